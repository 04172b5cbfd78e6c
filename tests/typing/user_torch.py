"""A program of a user of torch, for Pyright in strict mode; see `user.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader as StockLoader
from torch.utils.data import Dataset, TensorDataset
from typing_extensions import assert_type

import dynsample as ds
from dynsample.torch import DataLoader, IndexSampler, scaled_lr


class Pictures(Dataset[tuple[torch.Tensor, int]]):
    """A data set of the user's own."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(3), index


class Rows:
    """Another, that is none of torch's classes."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, index: int) -> dict[str, float]:
        return {"x": float(index)}


class Hardest(ds.Policy):
    """A policy of the user's own."""

    @property
    def columns(self) -> dict[str, ds.Last]:
        return {"loss": ds.Last()}

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return ds.Selection(hidden=table.hide_lowest(table["loss"], epoch) & (table["loss"] > 0))


def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, data: TensorDataset) -> None:
    """Write the loop of the README."""
    sampler = ds.Sampler(len(data), ds.Kakurenbo(fraction=0.3), batch_size=100, device="cuda")
    loader = DataLoader(data, sampler=sampler, num_workers=4)
    assert_type(loader, DataLoader[tuple[torch.Tensor, ...]])
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for images, labels, index in loader:
            logits: torch.Tensor = model(images)
            loss = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
            sampler.observe(index, loss=loss, correct=logits.argmax(1) == labels)
            sampler.observe(index, logits=logits, targets=labels)
            (sampler.weights(index) * loss).mean().backward()
            with scaled_lr(optimizer, sampler.lr_scale):
                optimizer.step()
        for images, _, index in loader.hidden(batch_size=200):
            sampler.observe(index, loss=model(images))
    assert_type(len(loader), int)
    assert_type(loader.state_dict(), dict[str, Any])


def loaders(sampler: ds.Sampler) -> None:
    """Give data sets of several kinds, and ids to torch's own loader."""
    assert_type(DataLoader(Pictures(), sampler=sampler), DataLoader[tuple[torch.Tensor, int]])
    assert_type(DataLoader(Rows(), sampler=sampler), DataLoader[dict[str, float]])
    assert_type(DataLoader([1, 2, 3], sampler=sampler), DataLoader[int])
    StockLoader(Pictures(), batch_size=10, sampler=IndexSampler(sampler))


def kernels(scores: torch.Tensor, mask: torch.Tensor, ids: torch.Tensor) -> None:
    """Use the kernels: tensors in, tensors out."""
    assert_type(ds.ops.hide_lowest(scores, 2), torch.Tensor)
    assert_type(ds.ops.hide_lowest(scores, 2, mask, finite_only=True), torch.Tensor)
    assert_type(ds.ops.mask_ids(mask), torch.Tensor)
    assert_type(ds.ops.exact_mean(scores, where=mask), float)
    assert_type(ds.ops.draw(scores, 3, replacement=True, seed=0, epoch=0), torch.Tensor)
    assert_type(ds.ops.draw_mask(scores, 3, seed=0, epoch=0), torch.Tensor)
    assert_type(ds.ops.draw_counts(scores, 3, seed=0, epoch=0), torch.Tensor)
    assert_type(ds.ops.inverse_probabilities(scores, 3), torch.Tensor)
    assert_type(ds.ops.bernoulli_cdf(scores, 0.4, seed=0, epoch=0, where=mask), torch.Tensor)
    assert_type(ds.ops.power(scores, 0.5), torch.Tensor)
    assert_type(ds.ops.order_slice(ids, seed=0, epoch=0, stop=3), torch.Tensor)
    assert_type(ds.ops.unpermute(10, ids, seed=0, epoch=0), torch.Tensor)


def signals(logits: torch.Tensor, targets: torch.Tensor, sampler: ds.Sampler) -> None:
    """Compute signals and weights."""
    assert_type(ds.signals.loss(logits, targets), torch.Tensor)
    assert_type(ds.signals.confidence(logits, targets, "target"), torch.Tensor)
    assert_type(sampler.weights(targets), torch.Tensor)
    losses = ds.signals.loss(logits, targets)
    assert_type(ds.batch.hardest(losses, 10, losses), torch.Tensor)
    assert_type(ds.batch.selective_backprop(losses, seed=0, step=0), torch.Tensor)
    assert_type(ds.batch.LossHistory().select(losses), torch.Tensor)
    assert_type(ds.coreset.keep_highest(ds.signals.el2n(logits, targets), 10), NDArray[np.int64])
    ds.Sampler(10, ds.WeightedRandom(targets), subset=targets, groups=targets)


def replay(td_errors: torch.Tensor, ids: torch.Tensor) -> None:
    """Draw by priority."""
    tree = ds.PriorityTree(100)
    tree.update(ids, td_errors.abs())
    assert_type(tree[ids], NDArray[np.float64])


def table(sampler: ds.Sampler, model: torch.nn.Module, loader: DataLoader[int]) -> None:
    """Read what is known: where it is, the device says."""
    assert_type(sampler.table["loss"], NDArray[Any] | torch.Tensor)
    assert_type(sampler.table.seen, NDArray[Any] | torch.Tensor)
    assert_type(sampler.table.count(sampler.table["loss"] > 1), int)
    assert_type(ds.score(model, loader, ["el2n"]), dict[str, NDArray[np.float32]])
    assert_type(loader.peek(), list[Any])


def state(sampler: ds.Sampler, saved: Mapping[str, Any]) -> None:
    """Go on where a run was."""
    sampler.load_state_dict(saved)
    sampler.save("run", consumed=10)
    sampler.load("run", allow=["seed"])
