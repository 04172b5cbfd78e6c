"""Scenario after scenario, life after life, until enough ranks were killed."""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
from pathlib import Path

from dynsample.cli import INTERRUPTED
from dynsample.cli.chaos import compare, generations, late, launch, report, sets
from dynsample.cli.chaos.compare import Life
from dynsample.cli.chaos.report import Tally
from dynsample.cli.chaos.scenario import PHASES, WITH_HIDDEN_PASS, Kill, Orders, Scenario
from dynsample.cli.progress import Progress, progress
from dynsample.run.config import Placement

OUTSIDE = 0.3  # share of the kills that come from outside
KIND_SHARES = {"one": 0.49, "all": 0.17, "SIGINT": 0.17, "SIGTERM": 0.17}  # of the kills
_ENTRIES = {"": 120, "step": 48, "observe": 30, "exchange": 12, "hidden": 10, "plan": 8, "save": 40}
# Seconds that a rank may wait for others. Ranks of gloo that lost one must be gone soon after; with
# MPI the launcher ends the job, and a rank that is only slow must not.
_TIME_LIMITS = {"mpi": 60.0, "torch": 20.0}
_LONGEST_DELAY = 6e-3  # seconds; a save takes about as long
_MOST_FAILURES = 5  # scenarios
_MOST_IDLE = 20  # scenarios in turn without a kill that was still wanted


class Chaos:
    """The draws, and what came of them.

    Attributes
    ----------
    tally : Tally
    """

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.source = random.Random(args.seed)
        self.tally = Tally(args.kills, self._required())
        self.compared = late if args.late else sets if args.issue == "external" else compare

    def _required(self) -> tuple[str, ...]:
        hidden = WITH_HIDDEN_PASS & set(self.args.policy)
        return tuple(phase for phase in PHASES if phase != "hidden" or hidden)

    def scenarios(self, shown: Progress) -> None:
        """Run scenarios until enough ranks were killed, in every phase."""
        policies, idle = list(self.args.policy), 0
        self.source.shuffle(policies)
        while self.tally.wanting and len(self.tally.failed) < _MOST_FAILURES and idle < _MOST_IDLE:
            before = self.tally.wanting
            policy = policies[self.tally.scenarios % len(policies)]
            scenario = Scenario.draw(policy, self.args.ranks, self.source)
            self.tally.scenarios += 1
            shown.update(what=str(scenario))
            folder = self.folder / f"scenario-{self.tally.scenarios:04d}"
            problems = self.lives(scenario, folder, shown)
            idle = idle + 1 if self.tally.wanting == before else 0
            name = f"scenario {self.tally.scenarios} ({scenario})"
            self.tally.mismatches += [f"{name}: {problem}" for problem in problems]
            if problems:
                self.tally.failed.append(folder)
            else:
                shutil.rmtree(folder)

    def lives(self, scenario: Scenario, folder: Path, shown: Progress) -> list[str]:
        """Run one scenario to its end, in as many lives as it takes; say what was not right."""
        reference, problems = self.undisturbed(scenario, folder / "undisturbed")
        each = math.ceil(self.args.kills / len(self.args.policy))
        kills = min(each, self.source.randint(4, 12))
        lives: list[Life] = []
        while not problems:
            orders = self.draw(
                scenario, folder, len(lives), kill=bool(kills > 0 and self.tally.wanting)
            )
            before = generations.newest(folder)
            outcome = launch.run(orders)
            life = Life.read(orders)
            lives.append(life)
            self.tally.count(orders, life, outcome)
            shown.update(done=self.tally.kills.total())
            problems = self.problems(life, reference, folder, before)
            if outcome.problem:
                problems.append(f"life {life.number} on {life.size} ranks: {outcome.problem}")
            if outcome.finished:
                if self.args.late:
                    self.tally.positions.update(late.account(lives))  # also of zeros
                return [*problems, *self.compared.gaps(lives, reference)]
            kills -= 1
        return problems

    def problems(self, life: Life, reference: Life, folder: Path, before: int) -> list[str]:
        """Say what is not right after a life, which began when `before` was the last generation."""
        found = []
        if life.start is not None and life.loaded != before:
            found.append(f"life {life.number}: went on from {life.loaded}, {before} was saved")
        if (after := generations.newest(folder)) < max(life.saved, before):
            found.append(f"life {life.number}: generation {after} is left of {life.saved}")
        return [*found, *self.compared.differences(life, reference)]

    def undisturbed(self, scenario: Scenario, folder: Path) -> tuple[Life, list[str]]:
        """Run on one process, without a save and without a kill."""
        orders = Orders(
            scenario, str(_made(folder)), life=0, issue=self.args.issue, late=self.args.late
        )
        outcome = launch.run(orders)
        life = Life.read(orders)
        if not outcome.finished or not life.ends:
            return life, [f"undisturbed: {outcome.problem}"]
        return life, []

    def draw(self, scenario: Scenario, folder: Path, number: int, *, kill: bool) -> Orders:
        """Draw number of ranks, placement, and who dies where."""
        size = self.source.randint(*self.args.ranks)
        external = self.args.issue == "external"
        placements: list[Placement] = ["replicated"] if external else ["replicated", "sharded"]
        placement = self.source.choice(placements)
        return Orders(
            scenario, str(_made(folder)), number, size, self.args.group, placement, self.args.issue,
            self.draw_kill(scenario, size, placement) if kill else None,
            _TIME_LIMITS[self.args.group], self.args.late,
        )  # fmt: skip

    def draw_kill(self, scenario: Scenario, size: int, placement: str) -> Kill:
        """Draw a kill; phases and kinds that saw few kills are drawn more often."""
        source = self.source
        rank, kind = source.randrange(size), self.draw_kind(size)
        if source.random() < OUTSIDE:
            phase = source.choice(["", "plan", "save"])
            entry = source.randint(1, _ENTRIES[phase])
            return Kill(rank, phase, entry, True, source.uniform(0, _LONGEST_DELAY), kind)
        phases = [*self._required(), "plan"]
        if scenario.policy not in WITH_HIDDEN_PASS and "hidden" in phases:
            phases.remove("hidden")
        if size == 1 and placement == "replicated":
            phases.remove("exchange")  # one process that holds all has none
        weights = [1 / (1 + self.tally.kills[phase]) ** 2 for phase in phases]
        phase = source.choices(phases, weights)[0]
        return Kill(rank, phase, source.randint(1, _ENTRIES[phase]), kind=kind)

    def draw_kind(self, size: int) -> str:
        """Draw what comes, the likelier the farther a kind is behind its share."""
        shares = dict(KIND_SHARES)
        if size == 1 < self.args.ranks[1]:
            del shares["all"]  # of one rank it is the same as "one"
        kinds = self.tally.kinds
        expected = kinds.total() + 1
        behind = [max(1e-3, expected * share - kinds[kind]) for kind, share in shares.items()]
        return self.source.choices([*shares], behind)[0]


def _made(folder: Path) -> Path:
    for name in ("pages", "records"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder


def run(args: argparse.Namespace) -> int:
    """Kill, and say how long it still takes; then report, after Ctrl-C what was done so far."""
    folder = Path(tempfile.mkdtemp(prefix="dynsample-chaos-"))
    chaos = Chaos(args, folder)
    interrupted = False
    with progress("", "kills", args.kills) as shown:
        try:
            chaos.scenarios(shown)
        except KeyboardInterrupt:
            interrupted = True
    tally = chaos.tally
    report.print_tally(args, tally)
    if args.json:
        report.write_json(args.json, args, tally)
    if not tally.failed:
        shutil.rmtree(folder)
    return INTERRUPTED if interrupted else int(tally.failing)
