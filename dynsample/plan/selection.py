"""What a policy decides for an epoch, and the randomness that it may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dynsample.kernels.checks import real
from dynsample.kernels.convert import plain

if TYPE_CHECKING:
    from dynsample.kernels import Array


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

    def __post_init__(self) -> None:
        lr_scale = real(plain(self.lr_scale), "selection.lr_scale", "[0, inf)")
        object.__setattr__(self, "lr_scale", lr_scale)
        object.__setattr__(self, "refresh", bool(self.refresh))
        stats = {name: plain(value) for name, value in self.stats.items()}
        object.__setattr__(self, "stats", stats)
