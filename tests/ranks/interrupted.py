"""Ranks of which the last gets Ctrl-C at random moments, catches it and goes on.

In each rank: `python -m tests.ranks.interrupted TRANSPORT SEED MOMENTS FOLDER`. Every moment has a
group of its own; what came of it on this rank is a line of FOLDER/rank-<rank>.txt.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np

import dynsample as ds
from dynsample import groups
from dynsample.groups import Group, GroupError
from dynsample.groups.agreement import DisagreementError
from dynsample.run.life import planned
from tests.ranks.runs import apart
from tests.ranks.world import join

N, EPOCHS = 20_000, 4


class Run:
    """Epochs of a sampler, each with a save."""

    def __init__(self, group: Group, placement: str, folder: Path) -> None:
        self.group, self.folder = group, folder
        policy = ds.Kakurenbo(fraction=0.5)
        rows = N // 4 // group.size
        self.sampler = ds.Sampler(N, policy, rows, group=group, placement=placement)
        self.sampler.set_epoch(0)

    def go_on(self) -> None:
        sampler = self.sampler
        while sampler.epoch < EPOCHS:
            for hidden in (False, True):
                if planned(sampler.run).passes[hidden].used_up:  # before an interrupt
                    continue
                for index in sampler.hidden if hidden else sampler:
                    ones = np.ones(len(index), np.float32)
                    sampler.observe(index, loss=ones, correct=ones, confidence=ones)
            sampler.save(self.folder)
            sampler.set_epoch(sampler.epoch + 1)

    def outcome(self, delay: float | None) -> str:
        """Go on to the end; with a delay, through an interrupt."""
        try:
            try:
                if delay is not None:
                    threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
                self.go_on()
                while delay is not None:
                    time.sleep(1e-3)
            except KeyboardInterrupt:
                self.go_on()
            self.group.barrier("the end")
        except (GroupError, DisagreementError) as error:
            with contextlib.suppress(GroupError):  # a rank that goes on would wait for this one
                self.group.barrier("the end after an error")
            return f"{type(error).__name__}: {error}"
        return "went through"


def main() -> None:
    transport, seed, moments, folder = sys.argv[1:]
    warnings.simplefilter("ignore")  # of batches that the interrupt left out
    rank = join(transport)
    world = (groups.mpi if transport == "mpi" else groups.torch)(time_limit=60)
    random = np.random.default_rng(int(seed))
    start = time.monotonic()
    Run(apart(world), "replicated", Path(folder) / "first").outcome(None)
    whole = time.monotonic() - start
    with (Path(folder) / f"rank-{rank}.txt").open("w") as file:
        for number in range(int(moments)):
            placement = str(random.choice(["replicated", "sharded"]))
            share = random.uniform()
            run = Run(apart(world), placement, Path(folder) / str(number))
            last = rank == world.size - 1
            print(run.outcome(share * whole if last else None), file=file, flush=True)
            world.barrier("the end of a moment")
    if transport == "torch":
        os._exit(0)  # threads of gloo can abort a process that unwinds


if __name__ == "__main__":
    main()
