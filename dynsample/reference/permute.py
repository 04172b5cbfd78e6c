"""The keyed permutation: six Feistel rounds, walked until back in [0, n)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dynsample.reference.random import philox

ROUNDS = 6
MIN_BITS = 10
FACTORS = (0xB4B3, 0xE995, 0xA6C5)
Keys = NDArray[np.int64]


def _keys(n: int, seed: int, epoch: int, stream: int) -> Keys:
    words = philox(seed, 2**63 + n * 256, ROUNDS, epoch, stream).reshape(ROUNDS, 4)
    return words.astype(np.int64)[:, :3] & 0xFFFF


def _fold(x: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    product = (x & 0xFFFF) * factor
    return (product ^ product >> 16) & 0xFFFF


def _mix(keys: Keys, round_: int, half: NDArray[np.int64]) -> NDArray[np.int64]:
    x = _fold(half ^ keys[round_, 0], FACTORS[0])
    x = _fold(x + keys[round_, 1], FACTORS[1])
    return _fold(x ^ keys[round_, 2], FACTORS[2])


def _network(keys: Keys, bits: int, x: NDArray[np.int64], inverse: bool) -> NDArray[np.int64]:
    low_bits = bits - bits // 2
    high_mask, low_mask = (1 << (bits // 2)) - 1, (1 << low_bits) - 1
    high, low = x >> low_bits, x & low_mask
    for round_ in range(0, ROUNDS, 2):
        if inverse:
            last = ROUNDS - 1 - round_
            low = (low - _mix(keys, last, high)) & low_mask
            high = (high - _mix(keys, last - 1, low)) & high_mask
        else:
            high = (high + _mix(keys, round_, low)) & high_mask
            low = (low + _mix(keys, round_ + 1, high)) & low_mask
    return high << low_bits | low


def _walk(
    n: int, x: NDArray[np.int64], seed: int, epoch: int, stream: int, inverse: bool
) -> NDArray[np.int64]:
    keys = _keys(n, seed, epoch, stream)
    bits = max(MIN_BITS, (n - 1).bit_length())
    x = _network(keys, bits, x, inverse)
    while (outside := x >= n).any():
        x[outside] = _network(keys, bits, x[outside], inverse)
    return x


def permute(
    n: int, *, seed: int, epoch: int, start: int = 0, stop: int | None = None, stream: int = 0
) -> NDArray[np.int64]:
    """Values at the positions [start, stop)."""
    positions = np.arange(start, n if stop is None else stop, dtype=np.int64)
    return _walk(n, positions, seed, epoch, stream, inverse=False)


def unpermute(
    n: int, values: NDArray[np.int64], *, seed: int, epoch: int, stream: int = 0
) -> NDArray[np.int64]:
    """Positions of the values."""
    return _walk(n, values.copy(), seed, epoch, stream, inverse=True)
