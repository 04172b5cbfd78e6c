"""What the tests of these pages share: a sampler that notes what is observed, and its data."""

from __future__ import annotations

from typing import Any

import torch

import dynsample as ds

N, EPOCHS, BATCH = 90, 4, 8


def up_and_down() -> ds.Kakurenbo:
    """Return a policy under which the second epoch is the shortest, and the last is whole."""
    schedule = [0.0, 1.0, 0.3, 0.0].__getitem__
    return ds.Kakurenbo(fraction=0.8, tau=0.0, schedule=schedule, lr="realised")


def samples() -> torch.utils.data.TensorDataset:
    """Return three classes that are easy to tell apart."""
    labels = torch.arange(N) % 3
    images = torch.randn(N, 3) + 3 * torch.nn.functional.one_hot(labels, 3)
    return torch.utils.data.TensorDataset(images, labels)


class Stopped(Exception):
    """In the place of whatever ends a run in the middle of an epoch."""


class Noted(ds.Sampler):
    """Notes the plan of every epoch of which something is observed, and what."""

    made: list[Noted]  # set by who gives this class to a page
    stop = -1  # the call of observe that ends the run

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.epochs: dict[int, tuple[ds.EpochPlan, list[int], list[int]]] = {}
        self.calls = 0
        self.made.append(self)

    def observe(self, index: torch.Tensor, **signals: Any) -> None:  # type: ignore[override]
        super().observe(index, **signals)
        _, kept, hidden = self.epochs.setdefault(self.epoch, (self.plan, [], []))
        (kept if torch.is_grad_enabled() else hidden).extend(index.tolist())
        self.calls += 1
        if self.calls == self.stop:
            raise Stopped

    @property
    def num_batches(self) -> list[int]:
        """Of every epoch, on one process."""
        return [-(-plan.num_positions // self.batch_size) for plan, *_ in self.epochs.values()]

    def check(self, *, hidden: bool = True) -> None:
        """Check that every epoch was trained on as planned, and the hidden looked at."""
        assert list(self.epochs) == list(range(EPOCHS))
        for plan, kept, looked_at in self.epochs.values():
            assert sorted(kept) == sorted(plan.order.tolist())
            assert sorted(looked_at) == sorted(plan.hidden.tolist() if hidden else [])
        first, second, *_, last = self.num_batches
        assert second < last == first
