"""Forgetting events: hide what is never, or seldom, forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dynsample.kernels.checks import MAX_SAMPLES, boolean, choice, integer, real
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Transitions

if TYPE_CHECKING:
    from dynsample.kernels import Array
    from dynsample.table.table import ScoreTable


@dataclass(frozen=True)
class Forgetting(Policy):
    """Hide the samples that were least often forgotten.

    A sample is forgotten when it is predicted wrongly after it was predicted correctly.

    Parameters
    ----------
    fraction : float in [0, 1)
        Fraction of the samples to hide.
    static_epochs : int
        Epochs on all samples, before anything is hidden.
    never_learned : "inf", "n" or "zero"
        Score of a sample that was never predicted correctly: infinite, so that it is never hidden;
        the number of its presentations; or 0, which hides the hardest samples first.
    lag : bool
        False: events are counted in the first `static_epochs` only, and the same samples stay
        hidden. True: they are counted throughout, every epoch selects anew, and the hidden samples
        are due for a forward pass.
    refresh_every : int
        With `lag`, in epochs divisible by this.

    References
    ----------
    Toneva et al., "An Empirical Study of Example Forgetting during Deep Neural Network Learning",
    ICLR 2019, section 3; Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021 ("inf").

    Examples
    --------
    >>> policy = ds.Forgetting(fraction=0.5, static_epochs=3)
    >>> table = ds.ScoreTable(2, policy.columns)
    >>> for correct in ([1, 1], [0, 1], [1, 1]):
    ...     table.observe(np.arange(2), correct=np.array(correct, np.float32))
    >>> policy.score(table), policy.select(table, 3, ds.EpochRandom(0, 3)).hidden
    (array([1., 0.], dtype=float32), array([False,  True]))
    """

    fraction: float = 0.3
    static_epochs: int = 20
    never_learned: Literal["inf", "n", "zero"] = "inf"
    lag: bool = False
    refresh_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        real(self.fraction, "fraction", "[0, 1)")
        integer(self.static_epochs, "static_epochs", 0, MAX_SAMPLES)
        choice(self.never_learned, "never_learned", ("inf", "n", "zero"))
        boolean(self.lag, "lag")
        integer(self.refresh_every, "refresh_every", 1, MAX_SAMPLES)

    @property
    def columns(self) -> Mapping[str, Column]:
        """Forgetting events, from the signal `correct`."""
        until = None if self.lag else self.static_epochs
        return {"forgetting": Transitions(signal="correct", until=until)}

    def score(self, table: ScoreTable) -> Array:
        """Forgetting events of every sample, float32[N]; NaN where never seen."""
        events = table["forgetting"]
        if self.never_learned == "zero":
            return events
        never = ~table.part("forgetting", "ever_correct") & table.seen
        if self.never_learned == "inf":
            return events + table.choose(never, float("inf"), 0.0)
        # Who was never correct was never forgotten: one of the two terms is 0.
        return events + never * table.floats(table.part("forgetting", "presentations"))

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Select everything at first, then all but the least forgotten."""
        if epoch < self.static_epochs:
            return Selection()
        hidden = table.hide_lowest(self.score(table), int(self.fraction * table.num_samples))
        return Selection(hidden=hidden, refresh=self.lag and epoch % self.refresh_every == 0)
