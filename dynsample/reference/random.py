"""Philox4x32-10, straight from the paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MULTIPLIER = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)


def philox4x32_10(
    counter: list[NDArray[np.uint64]], key: tuple[int, int]
) -> list[NDArray[np.uint64]]:
    """Ten rounds on four counter words (Salmon et al., SC 2011), each an array below 2**32."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0 = np.uint64(MULTIPLIER[0]) * c0
        product1 = np.uint64(MULTIPLIER[1]) * c2
        c0, c1, c2, c3 = (
            (product1 >> HALF) ^ c1 ^ np.uint64(k0),
            product1 & LOW,
            (product0 >> HALF) ^ c3 ^ np.uint64(k1),
            product0 & LOW,
        )
        k0 = (k0 + WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + WEYL[1]) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def philox(seed: int, first: int, blocks: int, epoch: int, stream: int) -> NDArray[np.uint32]:
    """Words of the blocks from `first` on of (seed, epoch, stream), uint32[4 * blocks]."""
    index = np.uint64(first) + np.arange(blocks, dtype=np.uint64)
    constant = [np.full(blocks, word, np.uint64) for word in (epoch, stream)]
    words = philox4x32_10([index & LOW, index >> HALF, *constant], (seed % 2**32, seed >> 32))
    return np.stack(words, axis=1).astype(np.uint32).reshape(-1)
