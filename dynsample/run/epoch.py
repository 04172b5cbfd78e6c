"""One epoch of a run: what it consists of, built whole and then put into the sampler at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import Array
from dynsample.plan.plan import Plan
from dynsample.run.ledger import Ledger
from dynsample.run.passes import Pass

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass(eq=False, repr=False)
class Epoch:
    """A plan, how far its two passes have come, and what was issued and observed.

    Attributes
    ----------
    plan : Plan
    passes : (Pass, Pass)
        Over the kept and over the hidden samples.
    ledger : Ledger
    named : bool
        Whether `set_epoch` began it or was called for it, and not an iterator alone.
    put : (int, int) or None
        Positions of both passes where a load put them, until `set_epoch` is called.
    over : bool
        The epoch was folded into the table before it was saved: it holds nothing more, and the next
        one is not planned yet.
    stats : dict of str to float
    latest : Pass or None
        The pass in which an iterator began last.
    used : bool[T] or None
        Places that do not come again, as of the last load or `set_epoch`, where others hand the
        plan out: of older plans that are open, and all positions of both passes. None: the older
        ones do not, all others do.
    plan_read : bool
        Whether the user has read the plan.
    noted : int
        Positions of the kept pass that the table has noted as issued.
    noting : (int, dict) or None
        What `noted` is about to become, and the parts of the table that go with it.
    """

    plan: Plan
    passes: tuple[Pass, Pass]
    ledger: Ledger
    named: bool = False
    put: tuple[int, int] | None = None
    over: bool = False
    stats: dict[str, float] = field(default_factory=dict)
    latest: Pass | None = None
    used: NDArray[np.bool_] | None = None
    plan_read: bool = False
    noted: int = 0
    noting: tuple[int, dict[str, dict[str, Array]]] | None = None

    def __repr__(self) -> str:
        return self.where(hidden=False)

    def where(self, *, hidden: bool) -> str:
        """Say how much of a pass was handed out."""
        done, stop = self.positions[hidden], self.passes[hidden].stop
        what = "hidden positions" if hidden else "positions"
        return f"epoch {self.number}, {done} of {stop} {what} handed out"

    @property
    def number(self) -> int:
        """Which epoch it is."""
        return self.plan.random.epoch

    @property
    def positions(self) -> tuple[int, int]:
        """Cursors of both passes, or how much of them was used where others hand them out."""
        if self.used is not None:
            return self.count(self.used)
        kept, hidden = self.passes
        return kept.received, hidden.received

    @property
    def folded(self) -> bool:
        """Whether observations of this epoch, or what it has issued, are in the table."""
        noted = self.noted > 0 or self.noting is not None
        return self.over or self.ledger.folded or noted

    @property
    def observed(self) -> bool:
        """Whether anything was observed in this epoch on this rank."""
        return self.folded or len(self.ledger.log) > 0

    def count(self, used: NDArray[np.bool_]) -> tuple[int, int]:
        """Count the used positions of each pass, in `used` as it is here."""
        kept_stop, hidden_stop = (each.stop for each in self.passes)
        own = used[len(used) - kept_stop - hidden_stop :]
        kept, hidden = own[:kept_stop], own[kept_stop:]
        return int(np.count_nonzero(kept)), int(np.count_nonzero(hidden))


def plan_stats(plan: Plan, table: ScoreTable) -> dict[str, float]:
    """Figures of a plan for `Sampler.stats`."""
    rows = table.num_samples
    return {
        "epoch": plan.random.epoch,
        "num_samples": rows,
        "num_positions": plan.num_positions,
        "num_hidden": plan.num_hidden,
        "fraction": plan.num_hidden / rows if rows else 0.0,
        "lr_scale": plan.lr_scale,
        "unseen": table.count_unseen(),
        **plan.stats,
    }
