"""The page for users of the published KAKURENBO scripts, run on the ranks of MPI.

In each rank: `python -m tests.docs.kakurenbo_ranks`. Horovod's optimizer is stood in for by one
that averages gradients through mpi4py; the schedule is the published one in other words.
"""

from __future__ import annotations

import argparse
import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mpi4py import MPI

from tests import pages

PAGE = "docs/migrate/kakurenbo.md"
HIDING, IMPORTANCE = pages.blocks(PAGE)
WORLD = MPI.COMM_WORLD
N, CLASSES = 203, 4
EPOCHS = (0, 1, 2, 3, 60)  # the last is beyond a milestone
MILESTONES = (60, 120, 160)
ARGS = argparse.Namespace(
    fraction=0.5,
    warmup_epochs=1.5,
    batch_size=8,
    log_batch_size=16,
    base_lr=0.5,
    seed=3,
    cuda=False,
)


def data() -> torch.utils.data.Dataset[Any]:
    """Images whose class shows, in most of them."""
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (N,), generator=random)
    images = torch.randn(N, 3, 8, 8, generator=random)
    images[torch.arange(N), :, labels] += 2.0
    return torch.utils.data.TensorDataset(images, labels)


class Averaging(torch.optim.SGD):
    """Averages gradients over the ranks; keeps the learning rates it stepped with."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rates: list[float] = []

    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                total = WORLD.allreduce(parameter.grad.numpy())
                parameter.grad.copy_(torch.from_numpy(total / WORLD.size))
        self.rates.append(self.param_groups[0]["lr"])
        super().step()


class Setting:
    """What stays of a published script."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, CLASSES))
        self.optimizer = Averaging(self.model.parameters(), lr=0.1)
        self.names: dict[str, Any] = {}

    def adjust_learning_rate(self, epoch: int, batch_idx: int, fraction: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(epoch, batch_idx, fraction)

    def rate(self, epoch: int, batch_idx: int, fraction: float) -> float:
        """Warm up from the rate of one rank, then fall at milestones; by 1 / (1 - fraction)."""
        peak = ARGS.base_lr * WORLD.size
        if epoch < ARGS.warmup_epochs:
            done = epoch + (batch_idx + 1) / len(self.names["train_loader"])
            return peak / WORLD.size * (done * (WORLD.size - 1) / ARGS.warmup_epochs + 1)
        return peak * 0.2 ** sum(epoch >= m for m in MILESTONES) / (1 - fraction)

    def run(self, block: str) -> dict[str, Any]:
        given = {
            "args": ARGS, "kwargs": {}, "train_dataset": data(), "model": self.model,
            "optimizer": self.optimizer, "adjust_learning_rate": self.adjust_learning_rate,
        }  # fmt: skip
        self.names = pages.run(PAGE, [block], given | self.names)
        return self.names


def everywhere(ids: list[int]) -> np.ndarray:
    """Count every id over all ranks."""
    return WORLD.allreduce(np.bincount(np.array(ids, np.int64), minlength=N))


def hiding(setting: Setting) -> None:
    """Check epochs against the published rules, from the scores that each was planned by."""
    names = setting.run(HIDING)
    sampler, observe = names["sampler"], names["sampler"].observe
    total = 0
    for epoch in EPOCHS:
        seen: dict[bool, list[int]] = {True: [], False: []}

        def noted(index: Any, seen: Any = seen, **more: Any) -> None:
            seen[setting.model.training] += index.tolist()
            observe(index, **more)

        sampler.observe = noted
        setting.optimizer.rates.clear()
        names["train"](epoch)
        fraction = ARGS.fraction * (1, 0.8, 0.6, 0.4)[sum(epoch >= m for m in MILESTONES)]
        rates = [setting.rate(epoch, b, fraction) for b in range(len(names["train_loader"]))]
        np.testing.assert_allclose(setting.optimizer.rates, rates, rtol=1e-12)
        hidden = np.zeros(N, np.int64)
        if epoch:
            table = sampler.table
            lowest = np.argsort(table["loss"], kind="stable")[: int(fraction * N)]
            sure = (table["correct"] == 1) & (table["confidence"] >= 0.7)
            hidden[lowest[sure[lowest]]] = 1
        trained, looked_at = everywhere(seen[True]), everywhere(seen[False])
        assert (trained[hidden == 0] >= 1).all()
        assert (trained[hidden == 1] == 0).all()
        assert trained.sum() - (N - hidden.sum()) in range(WORLD.size)  # rows that pad
        np.testing.assert_array_equal(looked_at > 0, hidden > 0)
        assert len(sampler.hidden) == -(-hidden.sum() // (ARGS.batch_size * WORLD.size))
        total += int(hidden.sum())
    assert total > N / 2, "too little is hidden to say anything"


def importance(setting: Setting) -> None:
    """Check that an epoch draws by the losses of a whole pass."""
    names = setting.run(IMPORTANCE)
    sampler, loader = names["sampler"], names["train_loader"]

    def drawn(epoch: int) -> np.ndarray:
        sampler.set_epoch(epoch)
        return everywhere([i for _, _, index in loader for i in index.tolist()])

    np.testing.assert_array_equal(drawn(0), np.ones(N))
    names["look_at_all"]()
    images, labels = names["train_dataset"].tensors
    losses = F.cross_entropy(setting.model(images), labels, reduction="none").detach().double()
    expected = (N * losses / losses.sum()).numpy()
    assert expected.max() > 2
    assert np.abs(drawn(1) - expected).max() < 1.01
    assert sampler.plan.num_positions == N


def main() -> None:
    warnings.simplefilter("error")
    setting = Setting()
    hiding(setting)
    importance(setting)
    print(f"rank {WORLD.rank} of {WORLD.size} is right", flush=True)


if __name__ == "__main__":
    main()
