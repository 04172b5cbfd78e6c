"""From a table to an epoch: what a policy selects becomes a plan, and the plan what is trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample.groups import single
from dynsample.groups.agreement import check_agreement
from dynsample.kernels import Array, Kernels
from dynsample.plan.plan import Plan, build_plan
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.plan.sharded import build_sharded_plan
from dynsample.run.config import RunConfig
from dynsample.run.epoch import Epoch
from dynsample.run.external_ledger import ExternalLedger
from dynsample.run.ledger import Ledger
from dynsample.run.open_plans import Left, OpenPlan
from dynsample.run.passes import Pass
from dynsample.run.run import Observations, Run
from dynsample.run.step import prepare
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    import torch

    from dynsample.groups import Group
    from dynsample.kernels.cuda import Device
    from dynsample.table.places import Log


def start(
    run: Run,
    plan: Plan,
    *,
    named: bool,
    stats: dict[str, float],
    restart: bool = False,
    left: Left = Left(),  # noqa: B008 - a constant
) -> None:
    """Put the run at the beginning of a plan; with `restart` drop what was observed.

    What is `left` of older plans stays open, and what is due of them comes first.
    """
    log = run.observations.log
    epoch = beginning(run, plan, log, left, 0 if restart else None)
    epoch.named, epoch.stats = named, stats
    adopt(run, epoch, drop=restart)


def beginning(run: Run, plan: Plan, log: Log, left: Left, folded: int | None = None) -> Epoch:
    """Return an epoch at the beginning of a plan."""
    passes = Pass(False, stop_of(run, plan)), Pass(True, hidden_stop(plan))
    used = None
    if left.due.any():
        used = np.append(~left.due, np.zeros(passes[0].stop + passes[1].stop, np.bool_))
    ledger = new_ledger(run.config, log, folded, left.plans)
    return Epoch(plan, passes, ledger, used=used)


def new_ledger(
    config: RunConfig, log: Log, folded: int | None = None, older: tuple[OpenPlan, ...] = ()
) -> Ledger:
    """Make the ledger of an epoch; see `Ledger` and `ExternalLedger`."""
    if config.external:
        return ExternalLedger(log, folded, config.late, older)
    return Ledger(log, folded)


def adopt(run: Run, epoch: Epoch, *, drop: bool = False, **others: object) -> None:
    """Have in place what an epoch needs, and then change the run in one statement."""
    log = epoch.ledger.log
    fetch(run, epoch)
    if run.config.device is not None:
        prepare(run, epoch)
    else:
        epoch.ledger.allow(epoch.plan)
    changed = {"epoch": epoch, "told": None, **others}
    # Whatever interrupts this comes before it, and nothing has changed, or after it.
    _ = log.clear() if drop else None, vars(run).update(changed)
    run.config.policy.planned(epoch.number)


def stop_of(run: Run, plan: Plan) -> int:
    """Where the kept pass ends: without its last batch when that is dropped."""
    rows, positions = run.steps().rows, plan.num_positions
    if not run.config.drop_last or positions % rows == 0:
        return positions
    if positions < rows:
        run.warn_once(
            "short",
            f"epoch {plan.random.epoch} holds {positions} samples, fewer than a batch of all "
            f"ranks, {rows}: it is one short batch, in spite of drop_last",
        )
        return positions
    return positions // rows * rows


def hidden_stop(plan: Plan) -> int:
    """Where the hidden pass ends."""
    return plan.num_hidden if plan.refresh else 0


def make_plan(config: RunConfig, table: ScoreTable, group: Group, number: int) -> Plan:
    """Select from a table and plan; on all ranks the same, or an error on all of them."""
    random = EpochRandom(config.seed, number)
    policy = config.policy
    what = f"the plan of epoch {number}"
    if config.placement == "sharded":
        selection = _on_host(policy.select(table, number, random), table.arrays)
    else:
        selection = group.agree(lambda: policy.select(table, number, random), what)
    plan = plan_of(config, table, group, selection, number)
    if group.size > 1:
        check_agreement(group, plan.summary(), what)
    return plan


def plan_of(
    config: RunConfig, table: ScoreTable, group: Group, selection: Selection, number: int
) -> Plan:
    """Plan what was selected, where the table is."""
    given: dict[str, Any] = {"order": config.order, "index": config.subset}
    if config.placement == "sharded":
        random = EpochRandom(config.seed, number)
        return build_sharded_plan(selection, table.bounds, group, random=random, **given)
    given |= {"seed": config.seed, "epoch": number}
    if config.device is not None:
        from dynsample.plan.cuda import build_device_plan

        return build_device_plan(selection, table.num_samples, config.device, **given)
    return build_plan(selection, table.num_samples, **given)


def _on_host(selection: Selection, arrays: Kernels[Array]) -> Selection:
    def here(array: Array | None) -> NDArray[Any] | None:
        return None if array is None else arrays.numpy(array)

    hidden, counts, weights = selection.hidden, selection.counts, selection.weights
    return replace(selection, hidden=here(hidden), counts=here(counts), weights=here(weights))


def empty(config: RunConfig, group: Group) -> tuple[ScoreTable, Log]:
    """Make a table and a log without observations, where the run wants them."""
    kernels, rows = config.kernels, config.num_rows
    owners = group if config.placement == "sharded" else single()
    groups = config.groups_of_rows
    table = ScoreTable(rows, config.columns, config.subset, kernels, owners, groups)
    return table, config.new_log()


def as_device(device: str | torch.device | Device) -> Device | None:
    """Find a GPU, only where one was asked for: this imports torch."""
    if str(device) == "cpu":
        return None
    from dynsample.kernels import cuda as devices

    return devices.as_device(device)


def join(run: Run, group: Group) -> None:
    """Go on in a group that was found after the run was made as a process on its own.

    Columns that were imported come along.

    Raises
    ------
    RuntimeError
        When the process has been handed samples, or observed some, on its own.
    """
    epoch = run.epoch
    if epoch is not None and (epoch.observed or any(each.begun for each in epoch.passes)):
        raise RuntimeError(
            f"the sampler was used by this process alone, and now there are {group.size} ranks: "
            "make the run, or begin to iterate it, after the ranks are there "
            "(torch.distributed.init_process_group), or pass "
            "group=dynsample.groups.single() if each process trains a model of its own"
        )
    run.config.check_drop_last(group)
    table, log = empty(run.config, group)
    first, last = table.bounds
    table.load({name: array[first:last] for name, array in run.table.state().items()})
    # All at once, as in `adopt`.
    vars(run).update(group=group, table=table, observations=Observations(log), epoch=None)


def fetch(run: Run, epoch: Epoch) -> None:
    """Have the rows of an epoch, and its digest, where they are needed: they come from others."""
    if run.config.placement == "sharded":
        kept = epoch.passes[0]
        epoch.plan.source(run.steps(), kept.received, kept.stop, hidden=False)
        epoch.plan.digest  # noqa: B018 - so that state_dict is local afterwards
