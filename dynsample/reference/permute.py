"""The keyed permutation: six Feistel rounds, walked until back in [0, n)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dynsample._core import Stream
from dynsample.reference.random import philox

ROUNDS = 6
MIN_BITS = 10
MOST_FITTED = 1 << 12  # values of a high half that is fitted to n
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


def _domain(n: int) -> tuple[int, int, bool]:
    """Bits of the low half, values of the high half, and whether these are fitted to n."""
    bits = max(MIN_BITS, (n - 1).bit_length())
    low_bits = bits // 2
    fitted = -(-max(n, 1 << MIN_BITS) >> low_bits)
    if fitted <= MOST_FITTED:
        return low_bits, fitted, True
    return low_bits, 1 << (bits - low_bits), False


def _network(keys: Keys, n: int, x: NDArray[np.int64], inverse: bool) -> NDArray[np.int64]:
    low_bits, high_size, fitted = _domain(n)
    low_mask = (1 << low_bits) - 1

    def step(round_: int, low: NDArray[np.int64]) -> NDArray[np.int64]:
        word = _mix(keys, round_, low)
        return word * high_size >> 16 if fitted else word

    high, low = x >> low_bits, x & low_mask
    for round_ in range(0, ROUNDS, 2):
        if inverse:
            last = ROUNDS - 1 - round_
            low = (low - _mix(keys, last, high)) & low_mask
            high = (high - step(last - 1, low)) % high_size
        else:
            high = (high + step(round_, low)) % high_size
            low = (low + _mix(keys, round_ + 1, high)) & low_mask
    return high << low_bits | low


def _walk(
    n: int, x: NDArray[np.int64], seed: int, epoch: int, stream: int, inverse: bool
) -> NDArray[np.int64]:
    keys = _keys(n, seed, epoch, stream)
    x = _network(keys, n, x, inverse)
    while (outside := x >= n).any():
        x[outside] = _network(keys, n, x[outside], inverse)
    return x


def permute(
    n: int,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    stop: int | None = None,
    stream: int = Stream.ORDER,
) -> NDArray[np.int64]:
    """Values at the positions [start, stop)."""
    positions = np.arange(start, n if stop is None else stop, dtype=np.int64)
    return _walk(n, positions, seed, epoch, stream, inverse=False)


def unpermute(
    n: int, values: NDArray[np.int64], *, seed: int, epoch: int, stream: int = Stream.ORDER
) -> NDArray[np.int64]:
    """Positions of the values."""
    return _walk(n, values.copy(), seed, epoch, stream, inverse=True)
