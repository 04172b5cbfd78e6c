"""What a process of a study does: one run after the other, on one thread.

It imports torch where it uses it: the process that hands out the runs does without.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from functools import lru_cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

from dynsample.cli.experiment.rows import BASELINE, METHODS, Settings
from dynsample.cli.study.plan import settings_of, training_of
from dynsample.cli.study.runs import Key, Record

if TYPE_CHECKING:
    from dynsample.cli.experiment.tasks import Task


def begin() -> None:
    """Prepare this process: one thread, Ctrl-C for the parent alone, and no life without it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    import torch

    torch.set_num_threads(1)  # of two threads, each does little more than half of the work


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


@lru_cache(maxsize=2)
def _task(name: str, variant: str, data: Path | None) -> Task:
    from dynsample.cli.experiment.tasks import load
    from dynsample.cli.experiment.variants import VARIANTS

    return VARIANTS[variant](load(name, data))


def settings(name: str, variant: str, data: Path | None, epochs: int | None) -> Settings:
    """Return what the runs on a task share."""
    task = _task(name, variant, data)
    return settings_of(task.num_train, epochs or task.epochs)


def work(key: Key, shared: Settings, data: Path | None) -> Record:
    """Train one run."""
    import torch

    from dynsample.cli.experiment.memory import from_memory
    from dynsample.cli.experiment.train import train
    from dynsample.cli.study.inputs import sampler_for, with_cost

    task = _task(key.task, key.variant, data)
    training = training_of(key, shared)
    torch.manual_seed(key.seed)
    make_sampler, spent = sampler_for(METHODS.get(key.name, BASELINE), task, key.seed)
    run = train(
        task,
        training.policy,
        key.seed,
        epochs=training.epochs,
        open_loader=from_memory(task),
        budget=training.budget,
        make_sampler=make_sampler,
    )
    return Record(key, shared, training.identity(), with_cost(run, spent))
