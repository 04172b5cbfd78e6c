"""Weighted draws on four ranks: as even as docs/weighted-sampling.md says."""

from __future__ import annotations

from pathlib import Path

import launchers
import numpy as np
import pytest
from numpy.typing import NDArray

import dynsample as ds
from dynsample.groups import Group, simulate

RANKS = 4
SIZES = [5000, 3000, 1800, 1079, 648, 388, 233, 139, 83, 50]
LABELS = np.repeat(np.arange(len(SIZES)), SIZES)
N = len(LABELS)
CHI_SQUARE = 27.88  # of 9 degrees of freedom, exceeded with probability 0.001


@pytest.mark.parametrize("transport", ["mpich", launchers.whole("openmpi"), "gloo"])
def test_the_snippets_of_the_page_balance_the_classes(transport: str, tmp_path: Path) -> None:
    launchers.require(transport)
    kind = "torch" if transport == "gloo" else "mpi"
    command = ["-m", "tests.ranks.weighted_page", kind]
    with launchers.world(transport, RANKS, tmp_path, *command) as world:
        assert not any(world.wait()), world.output()
    for rank in range(RANKS):
        lines = f"rank {rank} of {RANKS} trained on [189, 189, 189]"
        assert world.output().count(lines) == 3, world.output()
        assert f"rank {rank} repeated 580, within 1: True" in world.output()
        assert f"rank {rank} of mixed labels trained on [189, 189, 189]" in world.output()


@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("power", [0.3, 1])
def test_every_class_is_within_one_of_its_target_on_four_ranks(
    placement: str, power: float
) -> None:
    weights = ds.weights.balanced(LABELS, power)
    target = np.bincount(LABELS, weights) * N / weights.sum()

    def body(group: Group) -> NDArray[np.int64]:
        policy = ds.WeightedRandom(weights)
        sampler = ds.Sampler(N, policy, 100, group=group, placement=placement)
        counts = []
        for epoch in range(3):
            sampler.set_epoch(epoch)
            ids = np.concatenate(list(sampler))
            ids = ids[sampler.weights(ids) > 0]  # without a padded row
            counts.append(np.bincount(LABELS[ids], minlength=len(SIZES)))
        return group.sum(np.stack(counts), "counts of classes")

    for counts in simulate(RANKS, body):
        assert (np.abs(counts - target) <= 1).all(), counts
        assert (counts.sum(1) == N).all()


def chi_square(counts: NDArray[np.int64], target: NDArray[np.float64]) -> float:
    return float(((counts - target) ** 2 / target).sum())


@pytest.mark.parametrize("seed", range(5))
def test_independent_draws_are_as_uneven_as_they_should_be(seed: int) -> None:
    """By chi-square, p > 0.001 of each seed, and not so even as to be no independent draws."""
    weights = ds.weights.balanced(LABELS, 0.3).astype(np.float32)
    target = np.bincount(LABELS, weights) * N / weights.sum()

    def body(group: Group) -> NDArray[np.int64]:
        table = ds.ScoreTable(N, {}, group=group)
        first, last = table.bounds
        here = table.draw(
            weights[first:last], N, ds.EpochRandom(seed, 0), replacement=True,
            method="multinomial", known=np.ones(last - first, np.bool_),
        )  # fmt: skip
        assert here.counts is not None
        counts = np.bincount(LABELS[first:last], here.counts, len(SIZES)).astype(np.int64)
        return group.sum(counts, "counts of classes")

    (counts, *others) = simulate(RANKS, body)
    assert all((other == counts).all() for other in others)
    found = chi_square(counts, target)
    print(f"chi-square of 9 degrees of freedom: {found:.2f}")
    assert 1.15 < found < CHI_SQUARE  # below 1.15 with probability 0.001
    systematic = ds.ops.draw_counts(weights, N, seed=seed, epoch=0)
    assert chi_square(np.bincount(LABELS, systematic, len(SIZES)), target) < 0.01
