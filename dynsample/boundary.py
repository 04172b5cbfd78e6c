"""Between two epochs: the fold of what was observed, and the next plan."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dynsample.agreement import check_agreement
from dynsample.arrays import HOST, Arrays
from dynsample.columns import Column
from dynsample.exchange import fold_everywhere
from dynsample.ledger import Ledger
from dynsample.plan import Plan, build_plan
from dynsample.policies.base import EpochRandom, Selection
from dynsample.resume import plan_stats
from dynsample.sharded_plan import build_sharded_plan
from dynsample.sharded_table import ShardedTable
from dynsample.shards import Steps
from dynsample.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.sampler import Sampler


@dataclass(frozen=True)
class Folded:
    """What came of the observations of an epoch, on all ranks.

    Attributes
    ----------
    not_issued : int
        Observations of nothing that was issued, left out.
    detail : str
        Of these, on this rank's device.
    non_finite : int
        Values that are NaN or infinite.
    seconds : float
    """

    not_issued: int = 0
    detail: str = ""
    non_finite: int = 0
    seconds: float = 0.0


def close_epoch(sampler: Sampler, plan: Plan) -> Folded:
    """Fold what was observed until now, on all ranks, into the table."""
    log, group = sampler._log, sampler.group
    what = f"the end of epoch {plan.random.epoch}"
    start = time.perf_counter()
    log.close()
    counts = np.array([log.num_closed, log.non_finite(), sampler._passes[0].drawn])
    observed, non_finite, drawn = group.sum(counts, what).tolist()
    if not observed:
        if sampler.policy.columns and drawn and not sampler._folded:
            _warn_unobserved(sampler, plan)
        return Folded()
    _warn_of_refresh(sampler, plan)
    detail = log.refusals()
    not_issued = fold(sampler.table, sampler._ledger, plan, sampler)
    return Folded(not_issued, detail, non_finite, time.perf_counter() - start)


def fold(table: ScoreTable, ledger: Ledger, plan: Plan, sampler: Sampler) -> int:
    """Fold a ledger of `plan` into a table; give how many observations were of nothing issued."""
    group, epoch = sampler.group, plan.random.epoch
    what = f"the observations of epoch {epoch}"
    if table.arrays.on_device:
        from dynsample.device import fold as on_device

        return on_device.fold(table, ledger, plan, group, epoch=epoch, what=what)
    tickets, not_issued = ledger.settle(plan, group, what)
    if group.size == 1 and not table.sharded:
        table.fold(ledger.log, epoch=epoch, tickets=tickets)
    else:
        fold_everywhere(table, ledger.log, tickets, group, epoch=epoch, repeated=plan.repeated)
    return not_issued


def _warn_of_refresh(sampler: Sampler, plan: Plan) -> None:
    hidden = sampler._passes[1]
    if plan.refresh and hidden.received < hidden.stop:
        sampler._warn_once(
            "refresh",
            f"epoch {plan.random.epoch}: {hidden.stop - hidden.received} of {plan.num_hidden} "
            "hidden samples were due for a forward pass and were not iterated; go over "
            "sampler.hidden after the epoch, or choose a larger refresh_every",
        )


def _warn_unobserved(sampler: Sampler, plan: Plan) -> None:
    sampler._warn_once(
        "unobserved",
        f"nothing was observed in epoch {plan.random.epoch}, and {type(sampler.policy).__name__} "
        f"selects by {', '.join(sampler._log.signals)}: call sampler.observe in every step",
    )


def begin_epoch(sampler: Sampler, epoch: int, folded: Folded) -> None:
    """Plan an epoch and start it; say what came of it in `stats`, and in the report."""
    start = time.perf_counter()
    before, passes = sampler._plan, sampler._passes
    plan = sampler._make_plan(sampler.table, epoch)
    sampler._ledger = Ledger(sampler._log)
    sampler._start(plan)
    sampler.stats = {
        **plan_stats(plan, sampler.table),
        "not_issued": 0,
        "non_finite": folded.non_finite,
        "fold_seconds": folded.seconds,
        "plan_seconds": time.perf_counter() - start,
    }
    if sampler.report is not None:
        sampler.report.write(sampler, before, passes)


def make_plan(sampler: Sampler, table: ScoreTable, epoch: int) -> Plan:
    """Select from a table and plan; on all ranks the same, or an error on all of them."""
    random = EpochRandom(sampler.seed, epoch)
    policy, group = sampler.policy, sampler.group
    what = f"the plan of epoch {epoch}"
    given: dict[str, Any] = {"order": sampler._order, "index": sampler.subset}
    if table.sharded:
        selection = _on_host(policy.select(table, epoch, random), table.arrays)
        plan: Plan = build_sharded_plan(selection, table.bounds, group, random=random, **given)
    else:
        selection = group.agree(lambda: policy.select(table, epoch, random), what)
        given |= {"seed": sampler.seed, "epoch": epoch}
        if sampler.device is not None:
            from dynsample.device.plan import build_device_plan

            plan = build_device_plan(selection, table.num_samples, sampler.device, **given)
        else:
            plan = build_plan(selection, table.num_samples, **given)
    if group.size > 1:
        check_agreement(group, plan.summary(), what)
    return plan


def _on_host(selection: Selection, arrays: Arrays) -> Selection:
    here: dict[str, Any] = {}
    for name in ("hidden", "counts", "weights"):
        value = getattr(selection, name)
        here[name] = None if value is None else arrays.numpy(value)
    return replace(selection, **here)


def empty(sampler: Sampler, columns: Mapping[str, Column]) -> tuple[ScoreTable, Ledger]:
    """Make a table and a ledger without observations, where the sampler wants them."""
    subset, rows = sampler.subset, sampler.num_samples
    rows = rows if subset is None else len(subset)
    arrays = HOST
    if sampler.device is not None:
        from dynsample.device.arrays import DeviceArrays

        arrays = DeviceArrays(sampler.device)
    signals = sorted({column.signal or name for name, column in columns.items()})
    log = arrays.log(rows, signals, sampler.max_log_bytes)
    if sampler.placement == "sharded":
        table: ScoreTable = ShardedTable(rows, columns, sampler.group, subset, arrays)
    else:
        table = ScoreTable(rows, columns, subset, arrays)
    if subset is not None:
        row_of = np.full(sampler.num_samples, -1, np.int32)
        row_of[subset] = np.arange(rows, dtype=np.int32)
        log.set_rows(row_of)
    return table, Ledger(log)


def fetch(sampler: Sampler, plan: Plan, begin: int, stop: int) -> None:
    """Have the rows of an epoch, and its digest, where they are needed: they come from others."""
    if sampler.placement == "sharded":
        steps = Steps(sampler.batch_size, sampler.group.rank, sampler.group.size)
        plan.source(steps, begin, stop, hidden=False)
        plan.digest  # noqa: B018 - so that state_dict is local afterwards
