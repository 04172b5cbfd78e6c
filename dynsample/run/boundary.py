"""Between two epochs: the fold of what was observed, and the next plan."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dynsample.kernels import Array
from dynsample.kernels.convert import is_tensor
from dynsample.plan.plan import Plan
from dynsample.report.writer import Passed, Start
from dynsample.run.epoch import Epoch, plan_stats
from dynsample.run.handed import leave
from dynsample.run.ledger import Ledger, Settled
from dynsample.run.open_plans import Left
from dynsample.run.planning import make_plan, start
from dynsample.table.fold import fold_everywhere
from dynsample.table.issued import with_issued
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.run.run import Run


class ObservationError(RuntimeError):
    """Observations of samples that the epoch did not issue, or not that often.

    Examples
    --------
    >>> sampler = ds.Sampler(4, columns={"loss": ds.Last()})
    >>> for index in sampler:
    ...     for _ in range(2):
    ...         sampler.observe(index, loss=np.ones(4, np.float32))
    >>> sampler.set_epoch(1)
    Traceback (most recent call last):
        ...
    dynsample.run.boundary.ObservationError: 4 observations of epoch 0 were of samples that ...
    """


@dataclass(frozen=True)
class Folded:
    """What came of the observations of an epoch, on all ranks.

    Attributes
    ----------
    non_finite : int
        Values that are NaN or infinite.
    surplus : int
        Observations beyond what others had to hand out.
    late, ignored : int
        See `Settled`.
    seconds : float
    """

    non_finite: int = 0
    surplus: int = 0
    late: int = 0
    ignored: int = 0
    seconds: float = 0.0


def close_epoch(run: Run, epoch: Epoch) -> Folded:
    """Fold the observations of all ranks into the table, or raise what they were not issued."""
    log, group, plan = epoch.ledger.log, run.group, epoch.plan
    what = f"the end of epoch {plan.random.epoch}"
    begin = time.perf_counter()
    log.close()
    drawn_here = [each.drawn for each in epoch.passes]
    counts = np.array([log.num_closed, log.non_finite(), int(epoch.folded), *drawn_here])
    observed, non_finite, before, drawn, refreshed = group.sum(counts, what).tolist()
    if not observed:
        if run.config.decisive and drawn and not before and not run.config.late:
            warn_unobserved(run, plan)
        note_issued(run.table, epoch)
        return Folded()
    if not (run.config.external and refreshed):  # else only who hands out knows how much of it
        _warn_of_refresh(run, epoch)
    detail = log.refusals()
    settled = fold(run.table, epoch.ledger, plan, group)
    not_issued = settled.not_issued
    note_issued(run.table, epoch)
    if non_finite:
        _warn_of_nan(run, plan, non_finite)
    if not_issued:
        epoch.stats["not_issued"] = not_issued
        raise ObservationError(
            f"{not_issued} observations of epoch {epoch.number} were of samples that it did not "
            "issue to the rank that observed them, or not that often (a batch observed twice, or "
            "batches that did not come from this sampler); they were left out of the table"
            f"{': ' if detail else ''}{detail}. Calling set_epoch again goes on without them"
        )
    _warn_of_surplus(run, epoch, settled.surplus)
    seconds = time.perf_counter() - begin
    return Folded(non_finite, settled.surplus, settled.late, settled.ignored, seconds)


def note_issued(table: ScoreTable, epoch: Epoch) -> None:
    """Let columns of kind Issued count the positions that were handed out, each of them once.

    What an interrupt has left undone is done by the next call: the parts of the table are made
    before anything changes, and to put the same ones twice does no harm.
    """
    if epoch.noting is None:
        stop, here = epoch.passes[0].received, table.arrays
        if stop <= epoch.noted:
            return

        def rows() -> Iterator[Array]:
            for some in epoch.plan.issued(epoch.noted, stop):
                yield some if is_tensor(some) else here.take(some)

        parts = with_issued(table.columns, table.all_parts(), rows, epoch.number)
        if not parts:
            return
        epoch.noting = stop, parts
    stop, parts = epoch.noting
    table.put_parts(parts)
    vars(epoch).update(noted=stop, noting=None)  # at once


def fold(table: ScoreTable, ledger: Ledger, plan: Plan, group: Group) -> Settled:
    """Move what a ledger of `plan` has observed into a table; count what it leaves out of it."""
    epoch = plan.random.epoch
    what = f"the observations of epoch {epoch}"
    if table.arrays.on_device:
        from dynsample.run import cuda_settle as on_device

        not_issued, surplus = on_device.fold(table, ledger, plan, group, epoch=epoch, what=what)
        ledger.closed = True
        return Settled([], not_issued, surplus)
    settled = ledger.settle(plan, group, what)
    if group.size == 1:
        table.fold_portions(ledger.log, settled.portions)
    else:
        fold_everywhere(table, ledger.log, settled.portions, group)
    ledger.closed = True
    return settled


def _warn_of_refresh(run: Run, epoch: Epoch) -> None:
    plan, left = epoch.plan, epoch.passes[1].stop - epoch.positions[1]
    if plan.refresh and left:
        run.warn_once(
            "refresh",
            f"epoch {plan.random.epoch}: {left} of {plan.num_hidden} "
            "hidden samples were due for a forward pass and were not iterated; go over "
            "sampler.hidden after the epoch, or choose a larger refresh_every",
        )


def warn_unobserved(run: Run, plan: Plan) -> None:
    """Warn of an epoch in which nothing was observed, although the policy selects by that."""
    run.warn_once(
        "unobserved",
        f"nothing was observed in epoch {plan.random.epoch}, and "
        f"{type(run.config.policy).__name__} selects by "
        f"{', '.join(run.config.signals)}: call sampler.observe in every step. To look "
        "at batches use peek(), to go over all samples use all()",
    )


def _warn_of_surplus(run: Run, epoch: Epoch, surplus: int) -> None:
    """Warn when more observations were dropped than padding at the end of an order explains."""
    positions = sum(each.stop for each in epoch.passes)
    if 0 < positions <= surplus:
        run.warn_once(
            "surplus",
            f"{surplus} observations of epoch {epoch.number} were dropped, and its plan has "
            f"{positions} positions: each takes one observation, the first. Of a sample that was "
            "computed several times, such as rollouts of a prompt, observe the mean, once",
        )


def _warn_of_nan(run: Run, plan: Plan, non_finite: int) -> None:
    """Warn when no value of a column that the policy decides by is a number."""
    table = run.table
    for name, column in run.config.policy.columns.items():
        if column.observed and not table.count(table.arrays.finite(table[name])):
            run.warn_once(
                "nan",
                f"no value of {name!r} is finite after epoch {plan.random.epoch}, in which "
                f"{non_finite} of the observed values were NaN or infinite: "
                f"{type(run.config.policy).__name__} cannot tell samples apart by it",
            )


def begin_epoch(run: Run, number: int, folded: Folded, *, named: bool, restart: bool) -> None:
    """Plan an epoch and start it; say what came of it in `stats`, and in the report."""
    begin = time.perf_counter()
    before = run.epoch
    plan = make_plan(run.config, run.table, run.group, number)
    left = Left()
    if before is not None and run.config.late:
        left = leave(before, number, run.group, restart=restart)
    stats = {
        **plan_stats(plan, run.table),
        "not_issued": 0,
        "non_finite": folded.non_finite,
        "surplus": folded.surplus,
        "fold_seconds": folded.seconds,
    }
    if run.config.late:
        expired = sum(count for _, count in left.expired)
        stats |= {"late": folded.late, "ignored": folded.ignored, "expired": expired}
    start(run, plan, named=named, stats=stats, restart=restart, left=left)
    _warn_of_expired(run, left)
    stats["plan_seconds"] = time.perf_counter() - begin
    if run.config.report is not None:
        failed = run.config.report.write(_start_of(run, plan, stats, before))
        if failed is not None:
            run.warn_once("report", f"the report is not complete: {failed}")


def _warn_of_expired(run: Run, left: Left) -> None:
    """Warn of what was handed out and can be observed no more."""
    if left.expired:
        number, count = max(left.expired, key=operator.itemgetter(1))
        run.warn_once(
            "expired",
            f"{count} positions of epoch {number} were handed out, were not observed, and are open "
            f"no more: late={run.config.late} is for how many epochs plans stay open",
        )


def _start_of(run: Run, plan: Plan, stats: dict[str, float], before: Epoch | None) -> Start:
    passes = () if before is None else before.passes
    kept, hidden = [Passed(each.seconds, each.timed) for each in passes] or [Passed(), Passed()]
    return Start(
        run={
            "policy": type(run.config.policy).__name__,
            "num_samples": run.config.num_samples,
            "seed": run.config.seed,
            "ranks": run.group.size,
        },
        rank=run.group.rank,
        subset=run.config.subset,
        plan=plan,
        table=run.table,
        stats=stats,
        before=None if before is None else before.plan,
        kept=kept,
        hidden=hidden,
    )
