"""A program of a user, for Pyright in strict mode: what is inferred of what dynsample gives."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import dynsample as ds
from dynsample.plan.plan import Plan
from dynsample.run.passes import Batch

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def train(loss_of: Any) -> None:
    """Write a run over numpy arrays."""
    sampler = ds.Sampler(1000, ds.Kakurenbo(fraction=0.3), batch_size=100, seed=1)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index in sampler:
            assert_type(index, Batch)
            ids: Ids = index
            assert_type(sampler.weights(index), Floats)
            assert_type(list(index), list[int])
            loss: Floats = loss_of(ids)
            sampler.observe(index, loss=loss, correct=loss < 1, confidence=1 - loss)
        for index in sampler.hidden:
            assert_type(index, Batch)
    assert_type(len(sampler), int)
    assert_type(sampler.lr_scale, float)
    assert_type(sampler.stats, dict[str, float])
    assert_type(sampler.policy, ds.Policy)
    assert_type(sampler.state_dict(), dict[str, Any])
    assert_type(sampler.peek(2), list[Batch])
    assert_type(list(sampler.all(batch_size=50)), list[Batch])


def look(sampler: ds.Sampler) -> None:
    """Read what a run knows and plans."""
    plan = sampler.plan
    assert_type(plan, Plan)
    assert_type(plan.order, Ids)
    assert_type(plan.hidden, Ids)
    assert_type(plan.slice(0, 10), Ids)
    assert_type(plan.digest, str)
    assert_type(plan.num_hidden, int)
    table = sampler.table
    assert_type(table, ds.ScoreTable)
    assert_type(table.index, Ids)
    assert_type(table.count_unseen(), int)


def on_its_own() -> None:
    """Use a table, a policy and a plan without a sampler."""
    table = ds.ScoreTable(4, {"loss": ds.EMA(0.9)})
    table.observe(np.arange(4), loss=np.ones(4, np.float32))
    table.set_column("el2n", [1.0, 2.0, 3.0, 4.0])
    selection = ds.Kakurenbo().select(table, 0, ds.EpochRandom(0, 0))
    plan = ds.build_plan(selection, 4, seed=0, epoch=0)
    assert_type(plan, ds.EpochPlan)
    assert_type(plan.order, Ids)
    assert_type(plan.lr_scale, float)


def kernels(scores: Floats, mask: Bools, ids: NDArray[np.uint32]) -> None:
    """Use the kernels: numpy in, numpy out."""
    assert_type(ds.ops.hide_lowest(scores, 2), Bools)
    assert_type(ds.ops.hide_lowest(scores, 2, mask, finite_only=True), Bools)
    assert_type(ds.ops.mask_ids(mask), NDArray[np.uint32])
    assert_type(ds.ops.exact_mean(scores, where=mask), float)
    assert_type(ds.ops.min_max(scores), tuple[float, float])
    assert_type(ds.ops.draw(scores, 3, replacement=True, seed=0, epoch=0), Ids)
    assert_type(ds.ops.draw([0.5, 0.5], 3, replacement=True, seed=0, epoch=0), Ids)
    assert_type(ds.ops.draw_mask(scores, 3, seed=0, epoch=0), Bools)
    assert_type(ds.ops.draw_counts(scores, 3, seed=0, epoch=0), NDArray[np.uint32])
    assert_type(ds.ops.inverse_probabilities(scores, 3), Floats)
    assert_type(ds.ops.bernoulli_cdf(scores, 0.4, seed=0, epoch=0, where=mask), Bools)
    assert_type(ds.ops.power(scores, 0.5), Floats)
    assert_type(ds.ops.permute(10, seed=0, epoch=0), Ids)
    assert_type(ds.ops.order_slice(ids, seed=0, epoch=0, stop=3), Ids)
    assert_type(ds.ops.unpermute(10, ids, seed=0, epoch=0), Ids)
    assert_type(ds.ops.gather_rows([scores], ids), list[NDArray[Any]])


def signals(logits: Floats, targets: Ids) -> None:
    """Compute signals and weights."""
    assert_type(ds.signals.loss(logits, targets), Floats)
    assert_type(ds.signals.el2n(logits, targets), Floats)
    assert_type(ds.signals.margin(logits, targets), Floats)
    assert_type(ds.signals.correct(logits, targets), Floats)
    assert_type(ds.signals.confidence(logits, targets), Floats)
    assert_type(ds.weights.balanced([0, 0, 1]), NDArray[np.float64])
    losses = ds.signals.loss(logits, targets)
    assert_type(ds.batch.hardest(losses, 10, losses), Ids)
    assert_type(ds.batch.selective_backprop(losses, seed=0, step=0), Bools)
    assert_type(ds.batch.LossHistory().select(losses), Bools)


def coresets(scores: Floats, labels: Ids) -> None:
    """Keep samples for good."""
    assert_type(ds.coreset.keep_highest(scores, 10), Ids)
    assert_type(ds.coreset.keep_highest([0.1, 0.2], 1), Ids)
    assert_type(ds.coreset.keep_random(100, 10), Ids)
    ds.Sampler(100, ds.Uniform(), subset=ds.coreset.keep_lowest(scores, 10), groups=labels)


def replay(memory: Floats) -> None:
    """Draw by priority."""
    tree = ds.PriorityTree(100)
    tree.update([0, 1], [0.5, 1.5])
    assert_type(tree[3], float)
    assert_type(tree[[3, 4]], NDArray[np.float64])
    assert_type(tree[np.array([3])], NDArray[np.float64])
    index, probability = tree.draw(10, seed=0, step=0)
    assert_type(index, Ids)
    assert_type(probability, Floats)
    assert_type(memory[index], Floats)
    assert_type(tree.total, float)
