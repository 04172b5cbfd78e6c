"""A task's images from memory, through torch's DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

import dynsample as ds
from dynsample.cli.experiment.tasks import Task
from dynsample.torch import DataLoader

Batches = Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
OpenLoader = Callable[[ds.Sampler], Any]  # gives what has __iter__ and hidden(), both Batches


class ImageSet(torch.utils.data.Dataset[Any]):
    """Images and labels in memory, fetched by the batch."""

    def __init__(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.images)

    def __getitems__(self, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        index = torch.tensor(ids)
        return self.images[index], self.labels[index]


def from_memory(task: Task) -> OpenLoader:
    """Read the task's own arrays."""
    train_set = ImageSet(task.train_images, task.train_labels)
    return lambda sampler: DataLoader(train_set, sampler=sampler, collate_fn=tuple)
