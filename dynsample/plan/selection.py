"""What a policy decides for an epoch, and the randomness that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from dynsample.kernels.checks import real
from dynsample.kernels.convert import column, is_tensor, plain
from dynsample.kernels.numbers import integers, reals, sequence

if TYPE_CHECKING:
    from dynsample.kernels import Array


@dataclass(frozen=True)
class EpochRandom:
    """The randomness of one epoch: a key for the counter-based generator, no state.

    Parameters
    ----------
    seed : int in [0, 2**64)
    epoch : int in [0, 2**32)

    Examples
    --------
    >>> table = ds.ScoreTable(4, {})
    >>> selection = ds.RandomSubset(fraction=0.5).select(table, 1, ds.EpochRandom(seed=0, epoch=1))
    >>> int(selection.hidden.sum())
    2
    """

    seed: int
    epoch: int


@dataclass(frozen=True)
class Selection:
    """What a policy decides for one epoch, row by row of the table; arrays where the table is.

    Lists, and numbers of other dtypes, become arrays of those that are named here.

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

    Examples
    --------
    >>> ds.Selection(hidden=[True, False, False], lr_scale=1.5).hidden
    array([ True, False, False])
    """

    hidden: Array | None = None
    counts: Array | None = None
    weights: Array | None = None
    lr_scale: float = 1.0
    refresh: bool = False
    stats: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.hidden is not None:
            hidden = column(sequence(self.hidden, "selection.hidden"), "selection.hidden", np.bool_)
            object.__setattr__(self, "hidden", hidden)
        if self.counts is not None:
            object.__setattr__(self, "counts", _as_counts(self.counts))
        if self.weights is not None:
            object.__setattr__(self, "weights", reals(self.weights, "selection.weights"))
        lr_scale = real(self.lr_scale, "selection.lr_scale", "[0, inf)")
        object.__setattr__(self, "lr_scale", lr_scale)
        object.__setattr__(self, "refresh", bool(self.refresh))
        stats = {name: plain(value) for name, value in self.stats.items()}
        object.__setattr__(self, "stats", stats)


def _as_counts(counts: object) -> Array:
    """Return counts as they are on a device, where torch adds no uint32, or else as uint32."""
    if is_tensor(counts) or (isinstance(counts, np.ndarray) and counts.dtype == np.uint32):
        return counts
    given = integers(counts, "selection.counts")
    if len(given) and not 0 <= given.min() <= given.max() < 2**32:
        wrong = given.min() if given.min() < 0 else given.max()
        raise ValueError(f"selection.counts must be in [0, 2**32), got {wrong}")
    return given.astype(np.uint32)
