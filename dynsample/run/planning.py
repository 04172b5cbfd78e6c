"""From a table to an epoch: what a policy selects becomes a plan, and the plan what is trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample.groups import single
from dynsample.groups.agreement import check_agreement
from dynsample.kernels import HOST, Kernels
from dynsample.plan.plan import Plan, build_plan
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.plan.sharded import build_sharded_plan
from dynsample.run.epoch import Epoch
from dynsample.run.ledger import Ledger
from dynsample.run.passes import Pass, steps_of
from dynsample.run.step import prepare
from dynsample.table.columns import Column
from dynsample.table.log import ObservationLog
from dynsample.table.places import make_log
from dynsample.table.rings import PinnedRing
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.sampler import Sampler


def start(
    sampler: Sampler, plan: Plan, *, named: bool, stats: dict[str, float], restart: bool = False
) -> None:
    """Put the sampler at the beginning of a plan; with `restart` drop what was observed."""
    log = sampler._log
    epoch = Epoch(
        plan,
        (Pass(False, stop_of(sampler, plan)), Pass(True, hidden_stop(plan))),
        Ledger(log, folded=0) if restart else Ledger(log),
        named=named,
        stats=stats,
    )
    adopt(sampler, epoch, drop=restart)


def adopt(sampler: Sampler, epoch: Epoch, *, drop: bool = False, **others: Any) -> None:
    """Have in place what an epoch needs, and then change the sampler in one statement."""
    log = epoch.ledger.log
    fetch(sampler, epoch)
    if sampler.device is not None:
        prepare(sampler, epoch)
    else:
        log.set_allowed(epoch.plan.allowed())
    changed = {"_epoch": epoch, "_told": None, **others}
    # Whatever interrupts this comes before it, and nothing has changed, or after it.
    _ = log.clear() if drop else None, vars(sampler).update(changed)  # type: ignore[func-returns-value]
    sampler.policy.planned(epoch.number)


def stop_of(sampler: Sampler, plan: Plan) -> int:
    """Where the kept pass ends: without its last batch when that is dropped."""
    rows, positions = steps_of(sampler).rows, plan.num_positions
    if not sampler.drop_last or positions % rows == 0:
        return positions
    if positions < rows:
        sampler._warn_once(
            "short",
            f"epoch {plan.random.epoch} holds {positions} samples, fewer than a batch of all "
            f"ranks, {rows}: it is one short batch, in spite of drop_last",
        )
        return positions
    return positions // rows * rows


def hidden_stop(plan: Plan) -> int:
    """Where the hidden pass ends."""
    return plan.num_hidden if plan.refresh else 0


def make_plan(sampler: Sampler, table: ScoreTable, number: int) -> Plan:
    """Select from a table and plan; on all ranks the same, or an error on all of them."""
    random = EpochRandom(sampler.seed, number)
    policy, group = sampler.policy, sampler.group
    what = f"the plan of epoch {number}"
    if table.sharded:
        selection = _on_host(policy.select(table, number, random), table.arrays)
    else:
        selection = group.agree(lambda: policy.select(table, number, random), what)
    plan = plan_of(sampler, table, selection, number)
    if group.size > 1:
        check_agreement(group, plan.summary(), what)
    return plan


def plan_of(sampler: Sampler, table: ScoreTable, selection: Selection, number: int) -> Plan:
    """Plan what was selected, where the table is."""
    given: dict[str, Any] = {"order": sampler._order, "index": sampler.subset}
    if table.sharded:
        random = EpochRandom(sampler.seed, number)
        return build_sharded_plan(selection, table.bounds, sampler.group, random=random, **given)
    given |= {"seed": sampler.seed, "epoch": number}
    if sampler.device is not None:
        from dynsample.plan.cuda import build_device_plan

        return build_device_plan(selection, table.num_samples, sampler.device, **given)
    return build_plan(selection, table.num_samples, **given)


def _on_host(selection: Selection, arrays: Kernels) -> Selection:
    here: dict[str, Any] = {}
    for name in ("hidden", "counts", "weights"):
        value = getattr(selection, name)
        here[name] = None if value is None else arrays.numpy(value)
    return replace(selection, **here)


def empty(
    sampler: Sampler, columns: Mapping[str, Column], group: Group
) -> tuple[ScoreTable, ObservationLog]:
    """Make a table and a log without observations, where the sampler wants them."""
    subset, rows = sampler.subset, _num_rows(sampler)
    arrays: Kernels = HOST
    if sampler.device is not None:
        from dynsample.kernels.cuda.backend import OnDevice

        arrays = OnDevice(sampler.device)
    signals = sorted({column.signal or name for name, column in columns.items()})
    log: Any = make_log(arrays, rows, signals, sampler.max_log_bytes)
    owners = group if sampler.placement == "sharded" else single()
    table = ScoreTable(rows, columns, subset, arrays, owners)
    if subset is not None:
        log.set_rows(_row_of(sampler))
    return table, log


def as_device(device: Any) -> Any:
    """Find a GPU, only where one was asked for: this imports torch."""
    if str(device) == "cpu":
        return None
    from dynsample.kernels import cuda as devices

    return devices.as_device(device)


def host_ids(sampler: Sampler) -> ObservationLog:
    """Make a log on the host that is only asked which rows ids have."""
    log = ObservationLog(sampler.table.num_samples, [])
    log.set_rows(_row_of(sampler))
    return log


def _row_of(sampler: Sampler) -> NDArray[np.int32] | None:
    subset = sampler.subset
    if subset is None:
        return None
    row_of = np.full(sampler.num_samples, -1, np.int32)
    row_of[subset] = np.arange(len(subset), dtype=np.int32)
    return row_of


def check_drop_last(sampler: Sampler, group: Group) -> None:
    """Raise when a batch of all ranks is larger than the data set, and dropped as it is short."""
    rows, step = _num_rows(sampler), sampler.batch_size * group.size
    if sampler.drop_last and 0 < rows < step:
        raise ValueError(
            f"drop_last must be False for {rows} samples, fewer than a batch of all ranks, {step}: "
            "every epoch would be empty"
        )


def _num_rows(sampler: Sampler) -> int:
    return sampler.num_samples if sampler.subset is None else len(sampler.subset)


def join(sampler: Sampler, group: Group) -> None:
    """Go on in a group that was found after the sampler was made as a process on its own.

    Columns that were imported come along.

    Raises
    ------
    RuntimeError
        When the process has been handed samples, or observed some, on its own.
    """
    epoch = sampler._epoch
    if epoch is not None and (epoch.observed or any(each.begun for each in epoch.passes)):
        raise RuntimeError(
            f"the sampler was used by this process alone, and now there are {group.size} ranks: "
            "make the sampler, or begin to iterate it, after the ranks are there "
            "(torch.distributed.init_process_group), or pass "
            "group=dynsample.groups.single() if each process trains a model of its own"
        )
    check_drop_last(sampler, group)
    table, log = empty(sampler, sampler.table.columns, group)
    first, last = table.bounds
    table.load({name: array[first:last] for name, array in sampler.table.state().items()})
    # All at once, as in `adopt`.
    vars(sampler).update(
        group=group, table=table, _log=log, _ring=PinnedRing(log), _epoch=None, _weights=None
    )


def fetch(sampler: Sampler, epoch: Epoch) -> None:
    """Have the rows of an epoch, and its digest, where they are needed: they come from others."""
    if sampler.placement == "sharded":
        kept = epoch.passes[0]
        epoch.plan.source(steps_of(sampler), kept.received, kept.stop, hidden=False)
        epoch.plan.digest  # noqa: B018 - so that state_dict is local afterwards
