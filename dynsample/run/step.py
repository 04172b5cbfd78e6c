"""What a training step does: it observes, and asks for weights."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeAlias

import numpy as np

from dynsample import signals as signal_functions
from dynsample.kernels.checks import MAX_EPOCH, integer
from dynsample.kernels.convert import as_tensor, is_tensor, like, to_host
from dynsample.plan.plan import EpochPlan, Plan
from dynsample.run.external_ledger import open_weights
from dynsample.run.handed import external

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dynsample.kernels import Array, Given
    from dynsample.kernels.cuda import Device
    from dynsample.kernels.keys import Names
    from dynsample.run.epoch import Epoch
    from dynsample.run.run import Run

    Ids: TypeAlias = NDArray[np.int64]


def ids_of(run: Run, index: Given | None, keys: Names | None) -> Any:
    """Return the ids of a batch, of which either they or the keys were given."""
    if keys is None and index is not None:
        return index
    if keys is None or index is not None:
        found = "neither" if keys is None else "both"
        raise TypeError(f"either index or keys must be given, got {found}")
    if run.config.keys is None:
        raise ValueError(
            "keys need the names of all samples: make the sampler with keys=dynsample.Keys(names)"
        )
    return run.config.keys.rows(keys)


def observe(
    run: Run,
    index: object,
    logits: object,
    targets: object,
    signals: Mapping[str, object],
    epoch: SupportsIndex | None = None,
) -> None:
    """Append one observation, which may name its epoch, to the log of the run."""
    if run.epoch is None or run.looking is not None:
        _refuse(run)
    observations = run.observations
    if not observations.known.issuperset(signals):
        _refuse_unknown(set(signals) - observations.known, observations.known)
    plan = None if epoch is None else _named_plan(run, epoch)
    log = observations.log
    if logits is not None or targets is not None:
        confidence = run.config.policy.confidence
        if log.on_device:
            log.append_logits(index, logits, targets, confidence, signals)
            return
        computed = signal_functions.compute(log.signals, logits, targets, confidence)
        signals = {**computed, **signals}
    ring = observations.ring
    if plan is not None and not log.on_device:
        if ring.takes(index, signals):
            ring.push(index, signals, plan)
        else:
            log.append(index, signals, plan)
    elif ring or not log.append_in_place(index, signals):
        if not log.on_device and ring.takes(index, signals):
            ring.push(index, signals)
        else:
            log.append(index, signals)


def _refuse_unknown(names: AbstractSet[str], known: AbstractSet[str]) -> None:
    close = [close_to for name in sorted(names) for close_to in get_close_matches(name, known, 1)]
    hint = f"; did you mean {', '.join(close)}?" if close else ""
    raise ValueError(
        f"unknown signals {', '.join(sorted(names))}; known are {', '.join(sorted(known))}{hint}"
    )


def _refuse(run: Run) -> None:
    """Raise when there is nothing that could be observed now."""
    if run.epoch is None:
        raise RuntimeError(
            "observe before the first epoch was planned: call set_epoch, or iterate, first"
        )
    looking = run.looking
    if looking is not None and looking() is not None:
        raise RuntimeError(
            "observe while batches are only looked at, by all() or peek(): nothing of them was "
            "issued. Finish or drop that iterator first"
        )
    run.looking = None


def _named_plan(run: Run, epoch: SupportsIndex) -> int | None:
    """Return the plan that an observation or a batch names; None where no other can be open.

    Raises
    ------
    ValueError
        When the plan is not open.
    """
    number, current = integer(epoch, "epoch", 0, MAX_EPOCH), run.current
    numbers = current.ledger.open_numbers(current.plan)
    if number not in numbers:
        raise ValueError(
            f"epoch must be one whose plan is open, of {', '.join(map(str, numbers))}, got {number}"
        )
    return number if run.config.late else None


def prepare(run: Run, epoch: Epoch) -> None:
    """Have a log on a device expect the observations of an epoch, and renew the weights there."""
    positions = sum(each.stop for each in epoch.passes)
    ranks = 1 if run.config.external else run.group.size  # else one rank may observe everything
    steps = -(-positions // (run.config.batch_size * ranks)) + 2
    log = epoch.ledger.log
    assert log.on_device
    log.expect(steps * run.config.batch_size, epoch.plan.allowed())
    if run.observations.weights is not None:
        _set_weights(run.observations.weights, epoch.plan)


def _set_weights(there: torch.Tensor, plan: Plan) -> None:
    if plan.weights is None:
        there.fill_(1.0)
    else:
        there.copy_(as_tensor(plan.weights))


def weights(run: Run, epoch: Epoch, index: Array, named: SupportsIndex | None) -> Array:
    """Loss weights of a batch, which may name its epoch; of the kind that `index` is, and there."""
    plan = None if named is None else _named_plan(run, named)
    if run.config.late:
        rows = run.ids.rows_of(index)
        return _like(open_weights(external(epoch), epoch.plan, rows, plan), index)
    # The last batch of a pass that has come to its end: it may be drawn ahead.
    padded = [
        each.padded
        for each in epoch.passes
        if each.padded is not None and each.received == each.stop
    ]
    config = run.config
    device = None if config.placement == "sharded" else config.device
    if device is not None and is_tensor(index) and index.device == device.torch_device:
        return _weights_there(run, epoch.plan, device, index, padded)
    if padded and _is_padded(index, padded):
        values = np.zeros(1, np.float32)
    else:
        values = _weights_here(run, epoch.plan, index)
    return _like(values, index)


def _like(values: NDArray[np.float32], index: Array) -> Array:
    result = like(values, index)
    return as_tensor(result).to(index.device) if is_tensor(index) else result


def _is_padded(index: Array, padded: list[Ids]) -> bool:
    ids = to_host(index)
    return any(np.array_equal(np.reshape(ids, -1), each) for each in padded)


def _weights_here(run: Run, plan: Plan, index: Array) -> NDArray[np.float32]:
    log = run.observations.log
    if isinstance(plan, EpochPlan) and not log.on_device:
        return log.weights(index, plan.weights)
    return plan.weights_of(run.ids.rows_of(index).astype(np.int64))


def _weights_there(
    run: Run, plan: Plan, device: Device, index: torch.Tensor, padded: list[Ids]
) -> torch.Tensor:
    """Gather on the device, without waiting for it, from a tensor whose address stays."""
    log, there = run.observations.log, run.observations.weights
    assert log.on_device
    if there is None:
        run.observations.weights = there = device.full(run.table.num_samples, 1.0)
        _set_weights(there, plan)
    values = there[log.rows_of(index)]
    for ids in padded:
        if ids.shape == tuple(index.shape):
            values = values * (index != device.put(np.asarray(ids))).any()
    return values
