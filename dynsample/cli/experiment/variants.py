"""What is done to the training set of a task: wrong labels, or a long tail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from dynsample.cli.experiment.tasks import Task

SEED = 0  # of what is changed: it is the same in every run
NOISE = 0.2  # share of wrong labels
IMBALANCE = 100  # samples of the first class to one of the last


def noise(task: Task) -> Task:
    """Give a fifth of the training samples another class, each of the others as likely."""
    random = np.random.default_rng(SEED)
    wrong = random.permutation(task.num_train)[: int(NOISE * task.num_train)]
    labels = task.train_labels.numpy().copy()
    labels[wrong] += random.integers(1, task.num_classes, size=len(wrong))
    labels[wrong] %= task.num_classes
    return replace(task, train_labels=torch.from_numpy(labels))


def tail(task: Task) -> Task:
    """Keep ever fewer samples of ever later classes, exponentially: 100 of the first to 1.

    As in Cui et al., CVPR 2019, section 5.1; the test set stays balanced.
    """
    labels = task.train_labels.numpy()
    random = np.random.default_rng(SEED)
    kept = []
    for label in range(task.num_classes):
        ids = random.permutation(np.flatnonzero(labels == label))
        share = IMBALANCE ** (-label / (task.num_classes - 1))
        kept.append(ids[: max(1, int(share * len(ids)))])
    index = torch.from_numpy(np.sort(np.concatenate(kept)))
    return replace(
        task, train_images=task.train_images[index], train_labels=task.train_labels[index]
    )


VARIANTS: dict[str, Callable[[Task], Task]] = {
    "clean": lambda task: task,
    "noise": noise,
    "tail": tail,
}
