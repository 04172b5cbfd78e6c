"""Runs every body on the ranks of a world, and writes one report per rank.

In each rank: `python -m tests.ranks.world --transport mpi|torch --report DIR [names...]`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dynsample import groups

HERE = Path(__file__).parent
Body = Callable[[groups.Group], None]


def bodies() -> dict[str, Body]:
    """All bodies, by name: those of file.py are file.check_..."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    found: dict[str, Body] = {}
    for path in sorted((HERE / "bodies").glob("*.py")):
        module = importlib.import_module(f"bodies.{path.stem}")
        names = [name for name in vars(module) if name.startswith("check_")]
        found |= {f"{path.stem}.{name}": getattr(module, name) for name in names}
    return found


def join(transport: str) -> int:
    """Join the world that this process was launched in; give the rank."""
    # Jobs in the background of a shell, and all that they launch, ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if transport == "mpi":
        from mpi4py import MPI

        return MPI.COMM_WORLD.Get_rank()
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    store = os.environ.get("WORLD_STORE", "env://")
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=size)
    return rank


def leave(transport: str, group: groups.Group) -> None:
    """End when all ranks have come to the end."""
    group.barrier("the end")
    if transport == "torch":
        os._exit(0)  # threads of gloo can abort a process that unwinds


def library(transport: str) -> str:
    """What carries the messages."""
    if transport == "torch":
        return "gloo"
    from mpi4py import MPI

    return MPI.Get_library_version().splitlines()[0].strip("\0 ")


def run(group: groups.Group, names: list[str], report: dict[str, Any], file: Path) -> None:
    """Run bodies in turn, and write what came of each before the next: a rank may die."""
    found = bodies()
    for name in names or found:
        failure = None
        try:
            found[name](group)
        except Exception:
            failure = traceback.format_exc()
        report["bodies"][name] = failure
        file.write_text(json.dumps(report))
        group.barrier(f"the end of {name}")  # where one rank failed alone, this ends the world


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=["mpi", "torch"], required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--mpi-bytes", type=int, help="of one call: a small figure makes rounds")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    warnings.simplefilter("error")  # as pytest does
    join(arguments.transport)
    make = groups.mpi if arguments.transport == "mpi" else groups.torch
    group = make(time_limit=arguments.time_limit)
    if arguments.mpi_bytes:
        vars(sys.modules["dynsample.groups.mpi"])["_MAX_BYTES"] = arguments.mpi_bytes
    report = {"rank": group.rank, "size": group.size, "bodies": {}}
    report["library"] = library(arguments.transport)
    run(group, arguments.names, report, arguments.report / f"rank-{group.rank}.json")
    if arguments.transport == "torch":
        import torch.distributed as dist

        dist.destroy_process_group()


if __name__ == "__main__":
    main()
