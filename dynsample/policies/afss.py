"""AFSS: what is learned comes seldom, the longest unused first; what is not, in every epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last
from dynsample.table.issued import Issued

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class AFSS(Policy):
    """Use hard samples in every epoch, moderate ones in part, and easy ones seldom.

    How well a sample is learned, its sufficiency, is the least of its signals: of the precision and
    the recall of the detections in an image. An epoch holds all hard samples; int(moderate_fraction
    * M) of the M moderate ones, but all that were unused for `moderate_interval` epochs; and
    int(easy_fraction * E) of the E easy ones, of which up to a half are the longest unused for at
    least `easy_interval` epochs. The others are drawn at random from those of their level.

    Parameters
    ----------
    easy, moderate : float
        A sample is easy above the one, hard below the other, and else moderate.
    easy_fraction, moderate_fraction : float in [0, 1]
        Share of the easy and of the moderate samples that an epoch holds.
    easy_interval, moderate_interval : int
        Epochs without a sample after which it comes first.
    refresh_every : int
        Hidden samples are due for a forward pass in epochs divisible by this.
    signals : sequence of str
        What is observed of a sample, ("confidence",) for one.

    Notes
    -----
    A sample whose sufficiency is unknown, NaN or infinite is hard. Samples are "used" when an epoch
    issues them, which the column `issued` counts; a forward pass over the hidden ones does not use
    them. There are no weights: what is hidden is not a random part of all.

    References
    ----------
    Xie et al., "Does YOLO Really Need to See Every Training Image in Every Epoch?", 2026, arXiv
    2603.17684, section 3.

    Examples
    --------
    >>> policy = ds.AFSS(easy_fraction=0, moderate_fraction=0, easy_interval=9, moderate_interval=9)
    >>> table = ds.ScoreTable(3, policy.columns)
    >>> signal = np.array([0.1, 0.7, 0.9], np.float32)
    >>> table.observe(np.arange(3), precision=signal, recall=signal)
    >>> policy.sufficiency(table)
    array([0.1, 0.7, 0.9], dtype=float32)
    """

    easy: float = 0.85
    moderate: float = 0.55
    easy_fraction: float = 0.02
    moderate_fraction: float = 0.4
    easy_interval: int = 10
    moderate_interval: int = 3
    refresh_every: int = 5
    signals: Sequence[str] = ("precision", "recall")

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.easy, "easy", "(-inf, inf)")
        if real(self.moderate, "moderate", "(-inf, inf)") > self.easy:
            raise ValueError(
                f"moderate must be at most easy, which is {self.easy}, got {self.moderate}"
            )
        real(self.easy_fraction, "easy_fraction", "[0, 1]")
        real(self.moderate_fraction, "moderate_fraction", "[0, 1]")
        integer(self.easy_interval, "easy_interval", 0, MAX_SAMPLES)
        integer(self.moderate_interval, "moderate_interval", 0, MAX_SAMPLES)
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)
        if isinstance(self.signals, str) or not self.signals or "issued" in self.signals:
            raise ValueError(
                "signals must be a sequence of names, at least one and not 'issued', got "
                f"{self.signals!r}"
            )

    @property
    def columns(self) -> Mapping[str, Column]:
        """The last value of every signal, and when each sample was issued."""
        return {**{name: Last() for name in self.signals}, "issued": Issued()}

    def sufficiency(self, table: ScoreTable) -> Array:
        """Return the least of the signals, float32[N]; NaN where one is not finite."""
        signals = [table[name] for name in self.signals]
        least, finite = signals[0], table.seen | True
        for signal in signals:
            least = table.choose(signal < least, signal, least)
            finite = finite & (signal < math.inf) & (signal > -math.inf)
        return table.choose(finite, least, math.nan)

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select all that is hard, and of the other levels what is due, and some at random."""
        sufficiency, last = self.sufficiency(table), table.issued.last_epoch
        easy = sufficiency > self.easy
        moderate = (sufficiency >= self.moderate) & ~easy
        unused = (epoch - 1) - last
        due, overdue = (
            easy & (unused >= self.easy_interval),
            moderate & (unused >= self.moderate_interval),
        )
        num_easy, num_moderate, num_due, num_overdue = table.counts(easy, moderate, due, overdue)
        reviewed = int(self.easy_fraction * num_easy)
        first = min(int(0.5 * reviewed), num_due)
        longest = table.hide_lowest(table.floats(last), first, due)
        kept = longest | table.sample(reviewed - first, random, easy & ~longest)
        more = max(int(self.moderate_fraction * num_moderate) - num_overdue, 0)
        kept = kept | overdue | table.sample(more, random, moderate & ~overdue)
        return Selection(
            hidden=(easy | moderate) & ~kept,
            refresh=epoch % self.refresh_every == 0,
            stats={"easy": num_easy, "moderate": num_moderate},
        )
