"""What `dynsample plan --memory` measures: bytes of table and order that a rank holds."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.convert import host
from dynsample.plan.plan import WholePlan
from dynsample.plan.sharded import ShardedPlan
from dynsample.sampler import Sampler

COLUMNS = ("table", "order", "growth")
_MEGABYTE = 1e6
_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # in a unit of ru_maxrss


def held(sampler: Sampler) -> tuple[int, int]:
    """Go through the epoch, and give the bytes of table and of order that are then held."""
    for _ in sampler:
        pass
    issued = [part._rows for part in sampler.run.current.ledger.issued]
    return (
        sum(array.nbytes for array in sampler.table.state().values()),
        sum(array.nbytes for array in [*_of_plan(sampler), *issued]),
    )


def _of_plan(sampler: Sampler) -> Iterable[NDArray[Any]]:
    plan = sampler.plan
    if plan.weights is not None:
        yield host(plan.weights)
    if isinstance(plan, WholePlan):
        yield from (host(plan.members), host(plan.hidden_rows))
    elif isinstance(plan, ShardedPlan):
        yield from (plan.kept.times, plan.left_out.times)
        for delivered in plan._delivered.values():
            yield from delivered.arrays()


def of_ranks(sampler: Sampler, before: int) -> NDArray[np.int64]:
    """Return COLUMNS of every rank, int64[P, 3]; growth is of the peak of memory. Collective."""
    mine = np.array([*held(sampler), peak() - before])
    return np.stack(sampler.group.all_gather(mine, "the memory of the ranks"))


def table(ranks: NDArray[np.int64], whole: tuple[int, int]) -> list[str]:
    """Lines to print."""
    lines = [f"{'MB':<14}" + "".join(f"{name:>10}" for name in COLUMNS)]
    for rank, row in enumerate(ranks):
        lines.append(_line(f"rank {rank}", row.tolist()))
    lines.append(_line("one process", list(whole)))
    share = ranks[:, :2].sum(axis=1).max() / max(sum(whole), 1)
    lines.append(f"table and order of the fullest of {len(ranks)} ranks: {share:.3f} of the whole")
    return lines


def _line(name: str, numbers: list[int]) -> str:
    return f"{name:<14}" + "".join(f"{number / _MEGABYTE:>10.2f}" for number in numbers)


def resident() -> int:
    """Bytes of memory that the process has now."""
    status = Path("/proc/self/status")
    return _status("VmRSS") if status.exists() else peak()


def peak() -> int:
    """Bytes of memory that the process has had at most."""
    # The kernel hands ru_maxrss on from the program that started this one, VmHWM it does not.
    if Path("/proc/self/status").exists():
        return _status("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTES


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")
