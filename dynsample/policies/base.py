"""What a policy gets and gives: `select(table, epoch, random) -> Selection`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample._arrays import fingerprint

if TYPE_CHECKING:
    from dynsample.arrays import Array
    from dynsample.columns import Column
    from dynsample.table import ScoreTable


@dataclass(frozen=True)
class EpochRandom:
    """The randomness of one epoch: a key for the counter-based generator, no state.

    Parameters
    ----------
    seed : int in [0, 2**64)
    epoch : int in [0, 2**32)
    """

    seed: int
    epoch: int


@dataclass(frozen=True)
class Selection:
    """What a policy decides for one epoch, row by row of the table; arrays where the table is.

    Attributes
    ----------
    hidden : bool[N] or None
        Samples left out of this epoch; None hides nothing.
    counts : uint32[N] or None
        How often each sample is drawn; None means once each, but for the hidden.
    weights : float32[N] or None
        Factor of each sample's loss; None means 1.
    lr_scale : float
        Factor of the learning rate in this epoch.
    refresh : bool
        Whether the hidden samples are due for a forward pass at the end of the epoch.
    stats : mapping of str to float
        Further figures for `Sampler.stats`.
    """

    hidden: Array | None = None
    counts: Array | None = None
    weights: Array | None = None
    lr_scale: float = 1.0
    refresh: bool = False
    stats: Mapping[str, float] = field(default_factory=dict)


class Policy(ABC):
    """A published method. Subclasses are frozen dataclasses; their fields are their identity.

    Attributes
    ----------
    confidence : "max" or "target"
        Which softmax probability the signal `confidence` is, where it is computed from logits.
    """

    confidence: str = "max"

    @property
    def columns(self) -> Mapping[str, Column]:
        """Columns the policy reads, by name; none by default."""
        return {}

    @abstractmethod
    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Decide the epoch from the table alone; the same answer for the same arguments."""

    def fingerprint(self, epoch: int) -> dict[str, Any]:
        """Identity of the policy in an epoch, JSON-able: class, fields, values of callables."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init}  # type: ignore[arg-type]
        return {
            "class": type(self).__qualname__,
            **{name: _identity(value, epoch) for name, value in values.items()},
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays that a resumed run needs and the table does not have; none by default."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, got {sorted(state)}")


def _identity(value: Any, epoch: int) -> Any:
    if isinstance(value, np.ndarray):
        return fingerprint(value)
    if callable(value):
        return {"at_epoch": epoch, "value": value(epoch)}
    return value if isinstance(value, (bool, int, float, str, type(None))) else repr(value)


def as_policy(policy):
    from dynsample.policies.uniform import Uniform

    return Uniform() if policy is None else policy
