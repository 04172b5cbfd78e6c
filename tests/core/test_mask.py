"""Ids of a mask."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from dynsample import _core, ops
from dynsample.reference import select as reference

masks = npst.arrays(np.bool_, st.integers(0, 400))


def sparse_and_dense() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [
        random.random(n) < p for n in (1, 63, 64, 65, 70_001, 600_001) for p in (0, 1e-3, 0.5, 1)
    ]


def check(mask: np.ndarray) -> None:
    for invert in (False, True):
        ids = ops.mask_ids(mask, invert=invert)
        assert ids.dtype == np.uint32
        np.testing.assert_array_equal(ids, reference.mask_ids(mask, invert))


@given(masks)
def test_any_mask(mask: np.ndarray) -> None:
    check(mask)


@pytest.mark.parametrize("mask", sparse_and_dense(), ids=lambda m: f"{len(m)}-{m.sum()}")
def test_long_masks(mask: np.ndarray) -> None:
    check(mask)


def test_any_byte_that_is_not_zero_is_set() -> None:
    mask = np.array([0, 1, 2, 128, 255] * 40, np.uint8).view(np.bool_)
    assert ops.mask_ids(mask).tolist() == [i for i in range(200) if i % 5]
    assert _core.choose(mask, 2, 1).tolist() == [2 if i % 5 else 1 for i in range(200)]


def test_tensors() -> None:
    mask = torch.tensor([True, False, True])
    ids = ops.mask_ids(mask)
    assert isinstance(ids, torch.Tensor)
    assert ids.tolist() == [0, 2]


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match="mask must have dtype bool, got uint8"):
        ops.mask_ids(np.zeros(3, np.uint8))
