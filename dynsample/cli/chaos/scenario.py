"""What is trained, and what a launch of it is told."""

from __future__ import annotations

import json
import math
import random
from dataclasses import asdict, dataclass
from pathlib import Path

from dynsample.policies.registry import make
from dynsample.run.config import Issue, Placement

PHASES = ("step", "observe", "exchange", "hidden", "save")  # each must see a kill
OTHERS = ("start", "load", "plan", "end")  # where a kill from outside may land too
KINDS = ("one", "all", "SIGINT", "SIGTERM")  # of kills: one rank, all at once, or told to end
EPOCHS = 4
POLICIES = {
    "kakurenbo": make("kakurenbo", tau=0.5),
    "infobatch": make("infobatch", delta=1.0),
    "importance": make("importance", smoothing=0.2, correct_bias=True),
    "selective-backprop": make("selective-backprop", beta=1.0),
    "forgetting": make("forgetting", static_epochs=1, lag=True),
}
WITH_HIDDEN_PASS = frozenset({"kakurenbo", "selective-backprop", "forgetting"})


@dataclass(frozen=True)
class Scenario:
    """One training run, of which the undisturbed and the disturbed form must be equal.

    `global_batch` rows are a step, whatever the number of ranks, which divides it.
    """

    seed: int
    policy: str
    num_samples: int
    global_batch: int
    epochs: int = EPOCHS

    @classmethod
    def draw(cls, policy: str, ranks: tuple[int, int], source: random.Random) -> Scenario:
        """Draw seed and size; often with a last step of fewer rows than ranks, which is padded."""
        multiple = math.lcm(*range(ranks[0], ranks[1] + 1))
        rows = -(-48 // multiple) * multiple
        rest = source.choice([0, 1, 2, 3, source.randrange(rows)])
        return cls(source.getrandbits(32), policy, source.randint(9, 13) * rows + rest, rows)

    def __str__(self) -> str:
        return f"{self.policy}, seed {self.seed}, {self.num_samples} samples"


@dataclass(frozen=True)
class Kill:
    """When a rank dies: by its own hand at a point that it passes, or from outside.

    `entry` counts the points that the rank passes in the phase, or in all of them when `phase` is
    empty. From outside the kill comes `delay` seconds later, wherever the rank then is. `kind`
    says what comes: SIGKILL to this rank ("one") or to all of them in the same moment ("all"), or a
    signal that this rank catches.
    """

    rank: int
    phase: str
    entry: int
    outside: bool = False
    delay: float = 0.0
    kind: str = "one"

    @property
    def caught(self) -> bool:
        """Whether the ranks live to save and end by themselves."""
        return self.kind in {"SIGINT", "SIGTERM"}


@dataclass(frozen=True)
class Orders:
    """What every rank of one launch is told. No group: the undisturbed run."""

    scenario: Scenario
    folder: str
    life: int
    size: int = 1
    group: str | None = None
    placement: Placement = "replicated"
    issue: Issue = "sampler"
    kill: Kill | None = None
    time_limit: float = 20.0  # seconds that a rank may wait for the others
    late: int = 0

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> Orders:
        """Read what `write` wrote."""
        content = json.loads(path.read_text())
        kill = content.pop("kill")
        scenario = Scenario(**content.pop("scenario"))
        return cls(scenario=scenario, kill=Kill(**kill) if kill else None, **content)

    def page(self, rank: int) -> Path:
        """Where a rank says how far it is."""
        return Path(self.folder) / "pages" / f"{self.life:04d}-{rank}"

    def records(self, rank: int) -> Path:
        """Where a rank appends what it did."""
        return Path(self.folder) / "records" / f"{self.life:04d}-{rank}"
