"""One rank of a training run. In each: `python -m dynsample.cli.chaos.worker ORDERS`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dynsample.cli.chaos.external import ExternalTraining
from dynsample.cli.chaos.flight import LateTraining
from dynsample.cli.chaos.hooks import HookedGroup, Hooks
from dynsample.cli.chaos.page import OwnPage
from dynsample.cli.chaos.scenario import Orders
from dynsample.cli.chaos.strikes import Signals, strike
from dynsample.cli.chaos.training import StoppedError, Training
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, GroupError, mpi, single, torch

LOOPS = {"sampler": Training, "external": ExternalTraining}
LOST_A_RANK, CANNOT_LOAD = 3, 4  # exit statuses


def join(orders: Orders) -> Group:
    """Join the ranks of this launch."""
    if orders.group is None:
        return single()
    if orders.group == "mpi":
        return mpi(time_limit=orders.time_limit)
    return _join_torch(orders)


def _join_torch(orders: Orders) -> Group:
    from datetime import timedelta

    import torch.distributed as dist

    dist.init_process_group(
        "gloo",
        init_method=(Path(orders.folder) / f"store-{orders.life:04d}").as_uri(),
        rank=int(os.environ["RANK"]),
        world_size=orders.size,
        timeout=timedelta(seconds=120),  # ranks start one after the other
    )
    return torch(time_limit=orders.time_limit)


def rank_of(orders: Orders) -> int:
    """Rank of this process, before it joined the others."""
    if orders.group == "mpi":
        from mpi4py import MPI

        return int(MPI.COMM_WORLD.Get_rank())
    return int(os.environ.get("RANK", "0"))


def main() -> int:
    """Train; return the exit status."""
    orders = Orders.read(Path(sys.argv[1]))
    rank = rank_of(orders)
    kill = orders.kill if orders.kill and orders.kill.rank == rank else None
    page = OwnPage(orders.page(rank))
    signals = Signals(page)
    signals.catch()
    page.show()
    hooks = Hooks(page, kill, lambda: strike(orders))
    try:
        group = HookedGroup(join(orders), hooks)
        if orders.group:
            hooks.watch_writes()
        try:
            loop = LateTraining if orders.late else LOOPS[orders.issue]
            loop(orders, group, hooks, signals).run()
        except StoppedError:
            page.stop()
        if orders.group == "torch":
            import torch.distributed as dist

            dist.destroy_process_group()
    except (GroupError, StateError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        # At once: threads of gloo that still wait for the lost rank abort a process that unwinds.
        os._exit(LOST_A_RANK if isinstance(error, GroupError) else CANNOT_LOAD)
    signals.ignore()
    return 0


if __name__ == "__main__":
    sys.exit(main())
