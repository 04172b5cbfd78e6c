"""Philox4x32-10 against Random123's known answers, and the kernel against the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample import _core
from dynsample.reference.random import philox, philox4x32_10

KNOWN = [  # counter, key, answer: kat_vectors of Random123
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
WORD64 = st.integers(0, 2**64 - 1)
WORD32 = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(counter: tuple, key: tuple, answer: tuple) -> None:
    words = philox4x32_10([np.array([c], np.uint64) for c in counter], key)
    assert tuple(int(word[0]) for word in words) == answer
    kernel = _core.philox(
        key[1] << 32 | key[0], counter[1] << 32 | counter[0], 1, counter[2], counter[3]
    )
    assert tuple(kernel.tolist()) == answer


@given(WORD64, WORD64, st.integers(0, 100), WORD32, WORD32)
def test_the_kernel_equals_the_oracle(
    seed: int, first: int, blocks: int, epoch: int, stream: int
) -> None:
    first = min(first, 2**64 - 1 - blocks)
    assert np.array_equal(
        _core.philox(seed, first, blocks, epoch, stream), philox(seed, first, blocks, epoch, stream)
    )
