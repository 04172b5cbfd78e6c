"""What was killed, and what was not right afterwards."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dynsample.cli.chaos.compare import Life
from dynsample.cli.chaos.launch import Outcome
from dynsample.cli.chaos.scenario import KINDS, OTHERS, Orders
from dynsample.cli.printing import cry, say, show_table

_SAID = {
    "one": "SIGKILL to one rank",
    "all": "SIGKILL to all at once",
    "SIGINT": "SIGINT, caught",
    "SIGTERM": "SIGTERM, caught",
}


@dataclass
class Tally:
    """Counts of a whole run.

    Attributes
    ----------
    asked : int
        Kills that are wanted in all.
    required : tuple of str
        Phases that must see a kill.
    kills, outside : Counter of str
        Kills by phase, and those of them that came from outside.
    kinds : Counter of str
        Kills by what came: SIGKILL to one rank or to all, or a signal that was caught.
    ranks, placements : Counter
        Lives by number of ranks, and by placement of the table.
    positions : Counter of str
        With late observations: what became of the positions of all plans, see `late.account`.
    failed : list of Path
        What is left of scenarios with a mismatch.
    """

    asked: int
    required: tuple[str, ...]
    kills: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    ranks: Counter[int] = field(default_factory=Counter)
    placements: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    resumes: int = 0
    scenarios: int = 0
    steps: int = 0
    positions: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    failed: list[Path] = field(default_factory=list)

    def count(self, orders: Orders, life: Life, outcome: Outcome) -> None:
        """Count one life."""
        self.lives += 1
        self.resumes += life.loaded > 0
        self.ranks[orders.size] += 1
        self.placements[orders.placement] += 1
        self.steps += len(life.steps)
        if outcome.killed and orders.kill:
            self.kills[outcome.killed] += 1
            self.outside[outcome.killed] += orders.kill.outside
            self.kinds[orders.kill.kind] += 1

    @property
    def spared(self) -> list[str]:
        """Phases in which no rank died."""
        return [phase for phase in self.required if not self.kills[phase]]

    @property
    def scarce(self) -> list[str]:
        """Kinds of kills of which there were not a tenth of all that were asked for."""
        return [kind for kind in KINDS if self.kinds[kind] < self.asked // 10]

    @property
    def wanting(self) -> int:
        """Kills that are still to come, at least one in each phase, and a tenth of each kind."""
        few = sum(self.asked // 10 - self.kinds[kind] for kind in self.scarce)
        return max(0, self.asked - self.kills.total(), few) + len(self.spared)

    @property
    def failing(self) -> bool:
        """Whether the run shows something wrong, or shows too little."""
        return bool(self.mismatches or self.wanting)


def print_tally(args: argparse.Namespace, tally: Tally) -> None:
    """Print kills by phase, then the rest in sentences."""
    phases = (*tally.required, *(phase for phase in OTHERS if tally.kills[phase]))
    counts = [(tally.kills[phase], tally.outside[phase]) for phase in phases]
    counts.append((tally.kills.total(), tally.outside.total()))
    show_table(
        ("phase", "kills", "by itself", "from outside"),
        [
            (name, str(kills), str(kills - outside), str(outside))
            for name, (kills, outside) in zip((*phases, "all"), counts, strict=True)
        ],
        left=[0],
        alarming=[place for place, (kills, _) in enumerate(counts[:-1]) if not kills],
        totals=1,
    )
    ranks = ", ".join(f"{tally.ranks[size]} x {size}" for size in sorted(tally.ranks))
    placements = ", ".join(f"{count} {name}" for name, count in sorted(tally.placements.items()))
    for line in (
        f"kinds        {', '.join(f'{tally.kinds[kind]} {_SAID[kind]}' for kind in KINDS)}",
        f"scenarios    {tally.scenarios} of {', '.join(args.policy)}; --seed {args.seed}, "
        f"--issue {args.issue}{f' --late {args.late}' if args.late else ''}",
        f"lives        {tally.lives}, {tally.resumes} of them from a checkpoint; {placements}",
        f"ranks        {ranks}, over {args.group}",
        f"compared     {tally.steps} steps, and the final tables",
        *_of_positions(tally.positions),
        f"mismatches   {len(tally.mismatches)}",
    ):
        say(line)
    for line in tally.mismatches:
        cry(f"  {line}")
    for folder in tally.failed:
        say(f"  left for a look: {folder}")
    if tally.spared:
        cry(f"No rank died in: {', '.join(tally.spared)}")
    if tally.scarce:
        cry(f"Less than a tenth were: {', '.join(tally.scarce)}")


def _of_positions(count: Counter[str]) -> list[str]:
    if not count:
        return []
    return [
        f"positions    {count['positions']} of {count['plans']} plans, {count['late']} of them "
        f"observed in a later epoch: {count['lost']} lost, {count['twice']} twice"
    ]


def write_json(path: Path, args: argparse.Namespace, tally: Tally) -> None:
    """Write the same as one object."""
    content = {
        "group": args.group,
        "issue": args.issue,
        "late": args.late,
        "positions": dict(tally.positions),
        "ranks": list(args.ranks),
        "policies": args.policy,
        "seed": args.seed,
        "kills": {phase: tally.kills[phase] for phase in (*tally.required, *OTHERS)},
        "kills_by_kind": {kind: tally.kinds[kind] for kind in KINDS},
        "kills_from_outside": {p: tally.outside[p] for p in (*tally.required, *OTHERS)},
        "scenarios": tally.scenarios,
        "lives": tally.lives,
        "resumes": tally.resumes,
        "lives_by_ranks": {str(size): tally.ranks[size] for size in sorted(tally.ranks)},
        "lives_by_placement": dict(sorted(tally.placements.items())),
        "steps_compared": tally.steps,
        "phases_without_kills": tally.spared,
        "mismatches": tally.mismatches,
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
