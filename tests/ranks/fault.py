"""A world of two, whose rank 1 is killed, stops, or never comes while rank 0 waits for it.

With the fault "interrupted" rank 1 stays away, and rank 0 gets Ctrl-C and goes on.

In each rank: `python -m tests.ranks.fault TRANSPORT FAULT TIME_LIMIT FILE`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from dynsample import groups
from tests.ranks.world import join


def suffer(fault: str, waiting: Path) -> None:
    """Fail as told, once rank 0 is about to wait."""
    while not waiting.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL if fault == "killed" else signal.SIGSTOP)


def main() -> None:
    transport, fault, time_limit, file = sys.argv[1:]
    waiting = Path(file)
    rank = join(transport)
    if fault == "absent" and rank == 1:
        suffer(fault, waiting)
    if fault == "absent":
        waiting.touch()
    make = groups.mpi if transport == "mpi" else groups.torch
    group = make(time_limit=float(time_limit))
    group.barrier("the start")
    if rank == 1 and fault == "interrupted":
        signal.pause()
    if rank == 1:
        suffer(fault, waiting)
    waiting.touch()
    if fault == "interrupted":
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        group.barrier("the end of the epoch")
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        group.barrier("the next epoch")
    if rank == 0:  # rank 1 may wake when the job is ended
        print("went on alone")


if __name__ == "__main__":
    main()
