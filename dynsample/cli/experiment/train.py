"""One training run, as a user of dynsample would write it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import dynsample as ds
from dynsample.cli.experiment.memory import OpenLoader
from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.tasks import Task
from dynsample.policies.base import Policy
from dynsample.torch import scaled_lr

CLIP = 1.0  # largest norm of the gradient


def train(
    task: Task,
    policy: Policy,
    seed: int,
    *,
    epochs: int,
    open_loader: OpenLoader,
    budget: float = math.inf,
    make_sampler: Callable[..., ds.Sampler] = ds.Sampler,
    epoch_done: Callable[[], None] = lambda: None,
    model: torch.nn.Module | None = None,
) -> Run:
    """Train `model`, or the task's from scratch, at most on `budget` samples; the lr ends at 0."""
    model = model or task.model(task.train_images.shape[-1], task.num_classes, seed)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=task.lr, momentum=0.9, nesterov=True, fused=True
    )
    sampler = make_sampler(task.num_train, policy, batch_size=task.batch_size, seed=seed)
    loader = open_loader(sampler)
    length = min(epochs, budget / task.num_train)  # epochs until the learning rate is 0
    run = Run()

    for epoch in range(epochs):
        start = time.perf_counter()
        sampler.set_epoch(epoch)
        model.train()
        batches_left = math.ceil(min(budget - run.backward, task.num_train) / task.batch_size)
        for images, labels, index in itertools.islice(loader, batches_left):
            logits = model(images)
            loss = F.cross_entropy(logits, labels, reduction="none")
            sampler.observe(index, logits=logits, targets=labels)
            optimizer.zero_grad()
            (sampler.weights(index) * loss).mean().backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP, foreach=True)
            with scaled_lr(optimizer, sampler.lr_scale * task.lr_curve(sampler.progress / length)):
                optimizer.step()
            run.backward += len(index)
        if epoch < epochs - 1:  # nothing is hidden by what the last epoch would find
            model.eval()
            with torch.no_grad():
                for images, labels, index in loader.hidden():
                    sampler.observe(index, logits=model(images), targets=labels)
                    run.forward_only += len(index)
        run.seconds += time.perf_counter() - start

        run.planning_seconds += sampler.stats["plan_seconds"] + sampler.stats["fold_seconds"]
        run.hidden.append(1 - min(sampler.plan.num_positions, task.num_train) / task.num_train)
        run.curve.append((run.cost, accuracy(model, task)))
        epoch_done()
    return run


@torch.no_grad()
def accuracy(model: torch.nn.Module, task: Task) -> float:
    """Percent of the test set that is classified correctly."""
    right = model(task.test_images).argmax(1) == task.test_labels
    percent: float = 100 * right.float().mean().item()
    return percent
