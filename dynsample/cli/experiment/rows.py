"""The methods that are compared, and the controls that they must beat."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from dynsample.cli.experiment.result import FORWARD_COST
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
    refresh_every: int = 1

    @property
    def samples(self) -> int:
        """Samples that the baseline trains on."""
        return self.num_samples * self.epochs

    @property
    def kept(self) -> int:
        """Samples of an epoch that leaves out the fraction."""
        return self.num_samples - int(self.fraction * self.num_samples)


class Training(NamedTuple):
    """What a run is given: a policy, the epochs, and the most samples to train on."""

    policy: Policy
    epochs: int
    budget: float = math.inf

    def identity(self) -> dict[str, object]:
        """Return what another run must have been given to be the same, JSON-able."""
        budget = None if self.budget == math.inf else self.budget
        content = {
            "policy": self.policy.fingerprint(0), "epochs": self.epochs, "budget": budget
        }  # fmt: skip
        same: dict[str, object] = json.loads(json.dumps(content))  # as it is read again
        return same


@dataclass(frozen=True)
class Method:
    """A policy that trains for all epochs.

    Attributes
    ----------
    least_epochs : int
        With fewer it never leaves out anything.
    controls : tuple of str
        What it must beat at its own cost.
    grouped : bool
        The classes are the groups of its sampler.
    reference : str
        The column that takes the losses of a reference model, whose cost is the method's too.
    """

    policy: Callable[[Settings], Policy]
    least_epochs: int = 2
    controls: tuple[str, ...] = ("short", "random", "hide_hardest")
    grouped: bool = False
    reference: str = ""

    def training(self, settings: Settings) -> Training:
        """Return the run of the method."""
        return Training(self.policy(settings), settings.epochs)


@dataclass(frozen=True)
class Control:
    """What needs no scores, or turns them round.

    Attributes
    ----------
    words : str
        What it is called in a sentence.
    policy : callable(settings, fraction) -> Policy
        It leaves out that fraction of every epoch.
    fraction_at : callable(settings, cost) -> float
        The fraction for a cost, which is a share of the baseline's.
    fewer_epochs : bool
        Spend the cost on fewer epochs, the learning rate decaying within them.
    negative : bool
        Expected to do badly: to beat it is no merit.
    """

    words: str
    policy: Callable[[Settings, float], Policy]
    fraction_at: Callable[[Settings, float], float] = lambda settings, cost: 1 - cost
    fewer_epochs: bool = False
    negative: bool = False

    def training(self, settings: Settings, cost: float) -> Training:
        """Return the run of a cost."""
        policy = self.policy(settings, max(0.0, self.fraction_at(settings, cost)))
        if not self.fewer_epochs:
            return Training(policy, settings.epochs)
        return Training(policy, math.ceil(cost * settings.epochs), cost * settings.samples)

    def possible(self, settings: Settings, cost: float) -> bool:
        """Whether a run of this kind can have that cost."""
        return 0 <= self.fraction_at(settings, cost) < 1


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


def _hidden_hardest_at(settings: Settings, cost: float) -> float:
    """Fraction that `HideHardest` must hide: it begins with epoch 1, and looks at the hidden again.

    In epoch E - 1 it does not, as nothing comes after it.
    """
    looked_at = len(range(settings.refresh_every, settings.epochs - 1, settings.refresh_every))
    saved = settings.epochs - 1 - FORWARD_COST * looked_at
    return (1 - cost) * settings.epochs / saved if saved > 0 else math.inf


def _kakurenbo(settings: Settings) -> Policy:
    fraction, every = settings.fraction, settings.refresh_every
    return make("kakurenbo", fraction=fraction, refresh_every=every, lr="realised")


def _importance(settings: Settings) -> Policy:
    return make("importance", num_draws=settings.kept, smoothing=0.5, correct_bias=True)


def _selective_backprop(settings: Settings) -> Policy:
    # beta keeps 1 / (1 + beta) of losses that are spread evenly
    return make("selective-backprop", beta=settings.fraction / (1 - settings.fraction))


def _forgetting(settings: Settings) -> Policy:
    """Count for the first third of the epochs, and leave out the more in the rest."""
    counting = max(2, settings.epochs // 3)
    later = settings.fraction * (settings.epochs - 1) / (settings.epochs - counting)
    return make("forgetting", fraction=min(later, 0.9), static_epochs=counting)


def _curriculum(settings: Settings) -> Policy:
    """Grow linearly to all samples, so that as many are left out as by the other methods."""
    epochs = settings.epochs
    grown = (epochs - 1) / (2 * epochs)  # mean share of what is not there from the start
    start = max(0.1, (1 - settings.fraction * (epochs - 1) / epochs - grown) / (1 - grown))
    return make("curriculum", pace=lambda epoch: start + (1 - start) * min(epoch / epochs, 1))


def _order_dp(settings: Settings) -> Policy:
    ratio = math.sqrt(1 - settings.fraction)
    return make("order-dp", random_len_ratio=ratio, top_q_ratio=ratio)


def _afss(settings: Settings) -> Policy:
    """Leave out about half of those that are known with a probability above 0.85."""
    return make(
        "afss", signals=("confidence",), easy_fraction=0.5, moderate_fraction=0.8, refresh_every=1
    )


BASELINE = Method(lambda settings: make("uniform"), least_epochs=1, controls=())

METHODS: dict[str, Method] = {
    "kakurenbo": Method(
        _kakurenbo, controls=("short", "random", "random_same_cost", "hide_hardest")
    ),
    "infobatch": Method(lambda settings: make("infobatch", epochs=settings.epochs)),
    "importance": Method(_importance),
    "selective-backprop": Method(_selective_backprop),
    "forgetting": Method(_forgetting, least_epochs=4),
    "order-dp": Method(_order_dp),
    "seta": Method(
        # published is 0.5, a window that holds hardly a sample once the losses are low
        lambda settings: make("seta", window_scale=0.9, epochs=settings.epochs),
        least_epochs=3,
    ),
    "ies": Method(
        lambda settings: make("ies", delta=0.1, window=1, warmup_epochs=3), least_epochs=5
    ),
    "class-budget": Method(
        lambda settings: make("class-budget", fraction=settings.fraction), grouped=True
    ),
    "group-dro": Method(lambda settings: make("group-dro", num_draws=settings.kept), grouped=True),
    "reducible-loss": Method(
        lambda settings: make("reducible-loss", fraction=settings.fraction),
        reference="reference_loss",
    ),
    "afss": Method(_afss),
    "curriculum": Method(_curriculum, reference="difficulty"),
    "replay-priority": Method(
        # published is 0.1, for levels of games: of samples a handful would get most of the draws
        lambda settings: make("replay-priority", temperature=2.0, num_draws=settings.kept)
    ),
}

CONTROLS: dict[str, Control] = {
    "short": Control(
        "a shorter baseline of the same cost",
        lambda settings, fraction: make("uniform"),
        fraction_at=lambda settings, cost: 0.0,
        fewer_epochs=True,
    ),
    "random": Control(
        "random hiding (RS2) at the same cost",
        lambda settings, fraction: make("random", fraction=fraction),
    ),
    "random_same_cost": Control(
        "random hiding at the same cost and learning-rate scaling",
        lambda settings, fraction: ScaledRandomSubset(fraction),
    ),
    "hide_hardest": Control(
        "hiding the hardest at the same cost",
        lambda settings, fraction: HideHardest(fraction, settings.refresh_every),
        fraction_at=_hidden_hardest_at,
        negative=True,
    ),
}
