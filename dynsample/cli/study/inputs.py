"""What methods are given beside losses: classes as groups, and losses of a reference model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from dynsample import Sampler
from dynsample.cli.experiment.memory import from_memory
from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.rows import BASELINE, Method, Settings
from dynsample.cli.experiment.tasks import Task
from dynsample.cli.experiment.train import train
from dynsample.policies.base import Policy

REFERENCE_EPOCHS = 1


def sampler_for(method: Method, task: Task, seed: int) -> tuple[Callable[..., Sampler], Run]:
    """Return what makes the sampler of a run, and what it cost to prepare."""
    options: dict[str, Any] = {"groups": task.train_labels.numpy()} if method.grouped else {}
    losses, spent = reference_losses(task, seed) if method.reference else (None, Run())

    def make(num_samples: int, policy: Policy, *, batch_size: int, seed: int) -> Sampler:
        sampler = Sampler(num_samples, policy, batch_size, seed=seed, **options)
        if losses is not None:
            sampler.table.set_column(method.reference, losses)
        return sampler

    return make, spent


def reference_losses(task: Task, seed: int) -> tuple[NDArray[np.float32], Run]:
    """Train a model on half of the samples; return its losses on all of them, and what it cost.

    After one epoch a model knows those it was trained on little better than the others.
    """
    chosen = np.random.default_rng(seed).permutation(task.num_train)[: task.num_train // 2]
    index = torch.from_numpy(np.sort(chosen))
    half = replace(
        task, train_images=task.train_images[index], train_labels=task.train_labels[index]
    )
    model = task.model(task.train_images.shape[-1], task.num_classes, seed)
    training = BASELINE.training(Settings(half.num_train, REFERENCE_EPOCHS, 0.0))
    run = train(
        half,
        training.policy,
        seed,
        epochs=training.epochs,
        open_loader=from_memory(half),
        model=model,
    )
    batches = zip(
        task.train_images.split(task.batch_size),
        task.train_labels.split(task.batch_size),
        strict=True,
    )
    with torch.no_grad():
        losses = [F.cross_entropy(model(x), y, reduction="none") for x, y in batches]
    run.forward_only += task.num_train
    return torch.cat(losses).numpy(), run


def with_cost(run: Run, spent: Run) -> Run:
    """Return a run that also cost what was spent before it."""
    return replace(
        run,
        backward=run.backward + spent.backward,
        forward_only=run.forward_only + spent.forward_only,
        seconds=run.seconds + spent.seconds,
        curve=[(cost + spent.cost, accuracy) for cost, accuracy in run.curve],
    )
