"""The hardest rows of a batch, and what an over-fetched batch is for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample import batch
from dynsample.reference.subsets import hardest
from tests import pages

NAN, INF = np.nan, np.inf
MINUS_NAN = np.uint32([0xFFC12345]).view(np.float32)[0]
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1.0, 1e-45, NAN, MINUS_NAN, INF, -INF]), st.floats(width=32)
)
PAIRS = st.lists(st.tuples(VALUES, VALUES), max_size=20).map(
    lambda pairs: np.array(pairs, np.float32).reshape(-1, 2).T.copy()
)


@given(PAIRS, st.integers(0, 25))
def test_it_is_its_oracle_for_arrays_and_tensors(pair, k) -> None:
    losses, reference = pair
    for other in (None, reference):
        expected = hardest(losses, k, other)
        found = batch.hardest(losses, k, other)
        assert found.dtype == np.int64
        assert found.tolist() == expected
        tensor = None if other is None else torch.from_numpy(other)
        there = batch.hardest(torch.from_numpy(losses), k, tensor)
        assert there.dtype == torch.int64
        assert there.tolist() == expected


def test_nan_is_highest_and_ties_go_to_the_lower_place() -> None:
    losses = np.float32([1, INF, NAN, 1, -0.0, MINUS_NAN, 0.0, -INF])
    assert batch.hardest(losses, 8).tolist() == [2, 5, 1, 0, 3, 4, 6, 7]
    assert batch.hardest(losses, 2).tolist() == [2, 5]
    assert batch.hardest(losses, 3, losses).tolist() == [1, 2, 5], "inf - inf is NaN"


def test_losses_are_taken_as_the_step_has_them() -> None:
    losses = torch.tensor([[1.0], [3.0], [2.0]], requires_grad=True)
    assert batch.hardest(losses.bfloat16(), 2, np.float32([0, 2.5, 0])).tolist() == [2, 0]
    assert batch.hardest(losses.detach().numpy()[::-1], 1, losses).tolist() == [0]
    assert batch.hardest(np.float64([1, 1e300, 2]), 1).tolist() == [1]
    assert batch.hardest(np.empty(0, np.float32), 3).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: batch.hardest(np.zeros(3), -1), ValueError, r"k must be in \[0, "),
        (lambda: batch.hardest(np.zeros(3), 1.5), TypeError, "k must be an integer"),
        (lambda: batch.hardest([1.0], 1), TypeError, "losses must be"),
        (lambda: batch.hardest(np.zeros((2, 2)), 1), ValueError, r"losses must have shape \[B\]"),
        (lambda: batch.hardest(np.zeros(3), 1, [0.0]), TypeError, "reference must be"),
        (lambda: batch.hardest(np.zeros(3), 1, np.zeros(2)), ValueError, "reference must have 3"),
        (lambda: batch.hardest(torch.tensor(1.0), 1), ValueError, "losses must have one value"),
    ],
)
def test_bad_input_is_named(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_the_page_trains_on_the_hardest_of_an_over_fetched_batch() -> None:
    n, large, classes = 96, 32, 3
    random = np.random.default_rng(0)
    inputs = torch.from_numpy(random.standard_normal((n, 4)).astype(np.float32))
    labels = torch.from_numpy(random.integers(0, classes, n))
    reference_losses = torch.from_numpy(random.random(n, np.float32))
    sampler = ds.Sampler(n, batch_size=large, columns={"loss": ds.Last()}, group=None)
    trained: list[int] = []

    class Model(torch.nn.Linear):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if torch.is_grad_enabled():
                trained.append(len(images))
            return super().forward(images)

    model = Model(4, classes)
    page = "docs/recipes.md"
    blocks = [block for block in pages.blocks(page) if "batch.hardest" in block]
    assert len(blocks) == 1
    for index in sampler:
        ids = torch.from_numpy(np.asarray(index))
        names = {
            "torch": torch, "F": torch.nn.functional, "ds": ds, "model": model, "sampler": sampler,
            "reference_losses": reference_losses, "images": inputs[ids], "targets": labels[ids],
            "index": ids,
        }  # fmt: skip
        found = pages.run(page, blocks, names)
        reducible = found["losses"].numpy() - reference_losses[ids].numpy()
        assert sorted(found["hard"].tolist()) == sorted(np.argsort(-reducible)[:3].tolist())
        model.zero_grad()
    assert trained == [3] * (n // large)
    sampler.set_epoch(1)
    assert sampler.stats["unseen"] == 0
