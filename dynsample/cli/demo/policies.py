"""The rows of the demo's table: methods, and the controls that they must beat."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies import RandomSubset
from dynsample.policies.base import Policy
from dynsample.policies.registry import make
from dynsample.table.columns import Column, Last
from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class Settings:
    """What all rows share. `fraction` is the share of samples that an epoch leaves out."""

    num_samples: int
    epochs: int
    fraction: float
    refresh_every: int


@dataclass(frozen=True)
class Row:
    """A policy, and for how long it may train.

    Attributes
    ----------
    cost_of : str or None
        The row whose cost in the same seed this one is given. Its cost, as a share of the
        baseline's, is the second argument of `policy`.
    fewer_epochs : bool
        Spend that cost on fewer epochs, the learning rate decaying within them.
    """

    policy: Callable[[Settings, float], Policy]
    cost_of: str | None = None
    fewer_epochs: bool = False

    def plan(self, settings: Settings, cost: float) -> tuple[Policy, int, float]:
        """Policy, epochs and the most samples to train on, at `cost` of the baseline."""
        if not self.fewer_epochs:
            return self.policy(settings, cost), settings.epochs, math.inf
        epochs = cost * settings.epochs
        return self.policy(settings, cost), math.ceil(epochs), epochs * settings.num_samples


@dataclass(frozen=True)
class HideHardest(Policy):
    """The negative control: hide the highest losses, as much as KAKURENBO may hide of the lowest.

    Were the scores or their order meaningless, this would do no worse than random hiding.
    """

    fraction: float = 0.3
    refresh_every: int = 1

    @property
    def columns(self) -> Mapping[str, Column]:
        """The loss when the sample was last used."""
        return {"loss": Last()}

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Hide the samples of highest loss, and scale the learning rate like KAKURENBO."""
        if epoch == 0:
            return Selection()
        k = int(self.fraction * table.num_samples)
        hidden = table.hide_lowest(-table["loss"], k, eligible=table.seen)
        scale = 1 / (1 - table.count(hidden) / table.num_samples)
        return Selection(hidden, lr_scale=scale, refresh=epoch % self.refresh_every == 0)


@dataclass(frozen=True)
class ScaledRandomSubset(Policy):
    """A random subset that scales the learning rate as KAKURENBO does."""

    fraction: float = 0.3

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Leave out a fresh random part of the samples."""
        selection = RandomSubset(self.fraction).select(table, epoch, random)
        return replace(selection, lr_scale=1 / (1 - self.fraction))


def _kakurenbo(settings: Settings, cost: float) -> Policy:
    fraction, every = settings.fraction, settings.refresh_every
    return make("kakurenbo", fraction=fraction, refresh_every=every, lr="realised")


def _importance(settings: Settings, cost: float) -> Policy:
    draws = settings.num_samples - int(settings.fraction * settings.num_samples)
    return make("importance", num_draws=draws, smoothing=0.5, correct_bias=True)


ROWS: dict[str, Row] = {
    "baseline": Row(lambda settings, cost: make("uniform")),
    "kakurenbo": Row(_kakurenbo),
    "infobatch": Row(lambda settings, cost: make("infobatch", epochs=settings.epochs)),
    "importance": Row(_importance),
    "random": Row(lambda settings, cost: make("random", fraction=settings.fraction)),
    "short": Row(lambda settings, cost: make("uniform"), cost_of="kakurenbo", fewer_epochs=True),
    "random_same_cost": Row(
        lambda settings, cost: ScaledRandomSubset(max(0.0, 1 - cost)), cost_of="kakurenbo"
    ),
    "hide_hardest": Row(
        lambda settings, cost: HideHardest(settings.fraction, settings.refresh_every)
    ),
}

# Which controls a method must beat to be worth its trouble, and how to name them.
METHODS: dict[str, dict[str, str]] = {
    "kakurenbo": {
        "random": "random hiding of the same fraction",
        "short": "a shorter baseline of the same cost",
        "random_same_cost": "random hiding at the same cost and learning-rate scaling",
    },
    "infobatch": {"random": "random hiding of the set fraction"},
    "importance": {"random": "random hiding of the set fraction"},
}
