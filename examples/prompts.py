"""Prompts by their pass rate, with rollouts in flight, killed and resumed.

A simulated learner trains on 17,000 prompts as asynchronous reinforcement learning does: every step
starts the rollouts of a plan, and takes those that are finished, of this plan or of one of the
three before it. A prompt whose rollouts all fail, or all pass, teaches nothing. The run kills
itself with SIGKILL while rollouts are in flight, and goes on from its last save. Printed are the
share of informative groups of rollouts, beside uniform draws, and the prompts that were lost or
repeated along the lives that survive.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

import dynsample as ds

ROLLOUTS = 8  # of a prompt
LATE = 3  # steps after which the slowest rollout is finished
SAVE_EVERY = 5  # steps
SKILL, OWN = 0.03, 0.2  # that a step of informative groups adds, and one group to its prompt


@dataclass
class Learner:
    """A skill for all prompts together, and one for each; it grows by what is informative."""

    difficulty: np.ndarray
    skill: float = 0.0
    own: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(cls, num_prompts: int, seed: int) -> Learner:
        """Make a learner that passes few of the prompts."""
        difficulty = np.random.default_rng(seed).normal(3, 5, num_prompts)
        return cls(difficulty, own=np.zeros(num_prompts))

    def passes(self) -> np.ndarray:
        """Return the probability that a rollout of each prompt passes, float64[N]."""
        return 1 / (1 + np.exp(self.difficulty - self.skill - self.own))

    def rewards(self, prompts: np.ndarray, source: np.random.Generator) -> np.ndarray:
        """Return the mean reward of the rollouts of some prompts."""
        return source.binomial(ROLLOUTS, self.passes()[prompts]) / ROLLOUTS

    def learn(self, prompts: np.ndarray, rewards: np.ndarray) -> np.ndarray:
        """Learn from the groups with more than one reward; mark them."""
        informative = (rewards > 0) & (rewards < 1)
        np.add.at(self.own, prompts[informative], OWN)
        self.skill += SKILL * float(informative.mean()) if len(prompts) else 0.0
        return informative

    def save(self, path: Path) -> None:
        """Write what was learned."""
        np.savez(path, skill=self.skill, own=self.own)

    def load(self, path: Path) -> None:
        """Read it again."""
        with np.load(path) as content:
            self.skill, self.own = float(content["skill"]), content["own"]


def policy_of(name: str, num_draws: int, num_prompts: int) -> ds.Policy:
    """Return the policy of a row of the table."""
    if name == "pass rate":
        return ds.PassRate(num_draws)
    return ds.RandomSubset(fraction=1 - num_draws / num_prompts)


def train(args: argparse.Namespace, name: str, folder: Path, kills: set[int]) -> None:
    """Train to the end, or to a kill; begin at the last save, and note all that happens."""
    from dynsample.torch import IndexSampler  # torch, which takes long to load

    sampler = ds.Sampler(
        args.prompts,
        policy_of(name, args.batch, args.prompts),
        issue="external",
        late=LATE,
        seed=args.seed,
        columns={"reward": ds.EMA(0.5)},
        group=ds.groups.single(),
    )
    learner, begin = Learner.of(args.prompts, args.seed), 0
    if (folder / "state").exists():
        sampler.load(folder / "state")
        begin = sampler.epoch
        learner.load(folder / f"learner-{begin}.npz")
    flight: list[tuple[int, int]] = []  # the step in which the rollouts of a prompt are finished
    with (folder / "journal").open("a") as journal:

        def note(kind: str, step: int, **what: object) -> None:
            print(json.dumps({"kind": kind, "step": step, **what}), file=journal, flush=True)

        note("begin", begin)
        for step in range(begin, args.steps + LATE):
            source = np.random.default_rng([args.seed, step])
            if step < args.steps:  # afterwards what is in flight comes in
                sampler.set_epoch(step)
                note("plan", step, prompts=sampler.plan.order.tolist())
                handed = np.array(list(IndexSampler(sampler)), np.int64)
                # What was in flight at the save comes first, and its plans are about to close.
                longest = 0 if step == begin else LATE
                finished = step + source.integers(0, longest + 1, len(handed))
                flight += zip(finished.tolist(), handed.tolist(), strict=True)
            prompts = np.array([prompt for when, prompt in flight if when <= step], np.int64)
            flight = [each for each in flight if each[0] > step]
            rewards = learner.rewards(prompts, source)
            informative = learner.learn(prompts, rewards)
            sampler.observe(prompts, reward=rewards.astype(np.float32))
            rates = {
                "informative": int(informative.sum()),
                "passes": float(learner.passes().mean()),
            }
            note("observed", step, prompts=prompts.tolist(), **rates)
            if step in kills:
                os.kill(os.getpid(), signal.SIGKILL)
            if step % SAVE_EVERY == SAVE_EVERY - 1 and step < args.steps:
                learner.save(folder / f"learner-{step}.npz")
                sampler.save(folder / "state")
                note("saved", step, in_flight=len(sampler.outstanding))
        note("end", step, outstanding=len(sampler.outstanding))


def lineage(journal: Path) -> list[dict]:
    """Return the notes of the lives that survive: of a killed one, those up to its last save."""
    kept: list[dict] = []
    for line in journal.read_text().splitlines():
        noted = json.loads(line)
        if noted["kind"] == "begin":
            saves = [place for place, each in enumerate(kept) if each["kind"] == "saved"]
            kept = kept[: saves[-1] + 1] if saves else []
        kept.append(noted)
    return kept


def run(args: argparse.Namespace, name: str, folder: Path, kills: list[int]) -> list[dict]:
    """Train in processes that are killed, one after the other, until one comes to the end."""
    if not kills:
        train(args, name, folder, set())
    for life in range(len(kills) + 1 if kills else 0):
        kill = json.dumps(kills[life : life + 1])
        command = [
            sys.executable, __file__, "--child", name, "--folder", str(folder), "--kills", kill,
            "--prompts", str(args.prompts), "--batch", str(args.batch), "--steps", str(args.steps),
            "--seed", str(args.seed),
        ]  # fmt: skip
        status = subprocess.run(command, check=False).returncode
        if status != (-signal.SIGKILL if kills[life:] else 0):
            raise RuntimeError(f"life {life} of the run with {name} ended with {status}")
    return lineage(folder / "journal")


def report(name: str, notes: list[dict], kills: list[int]) -> tuple[int, int]:
    """Print a row; give the numbers of prompts that were lost and repeated."""
    plans = {each["step"]: each["prompts"] for each in notes if each["kind"] == "plan"}
    issued = Counter(prompt for plan in plans.values() for prompt in plan)
    observed = [each for each in notes if each["kind"] == "observed"]
    seen = Counter(prompt for each in observed for prompt in each["prompts"])
    lost, repeated = (issued - seen).total(), (seen - issued).total()
    flying = [each["in_flight"] for each in notes if each["kind"] == "saved"]
    share = sum(each["informative"] for each in observed) / max(seen.total(), 1)
    print(
        f"{name:<12}{share:>12.1%}{observed[-1]['passes']:>12.1%}{issued.total():>10}"
        f"{len(kills):>8}{max(flying, default=0):>11}{lost:>8}{repeated:>10}"
    )
    return lost, repeated


def main() -> int:
    """Run both; 1 when a prompt was lost or repeated."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("--prompts", type=int, default=17_000, help="how many (%(default)s)")
    parser.add_argument("--batch", type=int, default=512, help="prompts of a step (%(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="of training (%(default)s)")
    parser.add_argument("--kills", type=json.loads, help="steps to be killed in: [12, 33, 59]")
    parser.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    # fmt: on
    args = parser.parse_args()
    if args.child:
        train(args, args.child, args.folder, set(args.kills))
        return 0
    kills = [12, 33, 59] if args.kills is None else args.kills
    print(f"{'draws by':<12}{'informative':>12}{'pass rate':>12}{'issued':>10}"
          f"{'kills':>8}{'in flight':>11}{'lost':>8}{'repeated':>10}")  # fmt: skip
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        for each, killed in (("pass rate", kills), ("chance", [])):
            folder = Path(name) / each.replace(" ", "-")
            folder.mkdir()
            wrong += sum(report(each, run(args, each, folder, killed), killed))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
