"""One training run, as a user of dynsample would write it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

import dynsample as ds
from dynsample.cli.demo.data import Task
from dynsample.cli.demo.loaders import OpenLoader
from dynsample.cli.demo.model import small_cnn
from dynsample.policies.base import Policy
from dynsample.torch import scaled_lr

FORWARD_COST = 1 / 3  # of a sample's forward pass, when forward and backward together cost 1
WARM_UP = 0.1  # of training, in which the learning rate rises
CLIP = 1.0  # largest norm of the gradient


@dataclass
class Run:
    """What one run cost and gave.

    Attributes
    ----------
    backward, forward_only : int
        Samples that were trained on, and those that were only looked at again.
    seconds, planning_seconds : float
        Wall time of training without the evaluations; the part that went into fold and plan.
    hidden : list of float
        Share of the samples that was left out, by epoch.
    curve : list of (float, float)
        Cost so far in samples, and accuracy on the test set in percent, after every epoch.
    """

    backward: int = 0
    forward_only: int = 0
    seconds: float = 0.0
    planning_seconds: float = 0.0
    hidden: list[float] = field(default_factory=list)
    curve: list[tuple[float, float]] = field(default_factory=list)

    @property
    def cost(self) -> float:
        """Samples trained on, and a third of those only looked at."""
        return self.backward + FORWARD_COST * self.forward_only

    @property
    def accuracy(self) -> float:
        """At the end, in percent."""
        return self.curve[-1][1]


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
) -> Run:
    """Train one network from scratch, at most on `budget` samples; the learning rate ends at 0."""
    model = small_cnn(task.train_images.shape[-1], task.num_classes, seed)
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
            with scaled_lr(optimizer, sampler.lr_scale * one_cycle(sampler.progress / length)):
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


def one_cycle(done: float) -> float:
    """Learning rate at a share `done` of training, over its peak: a linear rise, a half cosine.

    Without the decay, the accuracy on glyphs swings by several points from epoch to epoch, more
    than the methods differ. By share, so that a run on a smaller budget decays as far.
    """
    if done < WARM_UP:
        return done / WARM_UP
    return (1 + math.cos(math.pi * min(1.0, (done - WARM_UP) / (1 - WARM_UP)))) / 2


@torch.no_grad()
def accuracy(model: torch.nn.Module, task: Task) -> float:
    """Percent of the test set that is classified correctly."""
    right = model(task.test_images).argmax(1) == task.test_labels
    percent: float = 100 * right.float().mean().item()
    return percent
