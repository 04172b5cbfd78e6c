"""How positions and rows are dealt to ranks: pure functions of the sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BLOCK_ROWS = 1 << 12  # of which the columns stay in the first-level cache during a fold
_MAX_BLOCKS = 2048
_BLOCKS_PER_RANK = 16  # at least, so that ranks own about as many rows
_LEAST_SHIFT = 6


@dataclass(frozen=True)
class Steps:
    """How a pass is dealt: every step gives each rank the same number of rows, the last one fewer.

    The rows of a step of R rows are split [r * R // P, (r + 1) * R // P).

    Parameters
    ----------
    batch_size : int
        Rows of a rank in a full step.
    rank, size : int
        This rank, and P.
    """

    batch_size: int
    rank: int
    size: int

    @property
    def rows(self) -> int:
        """Rows of a full step on all ranks."""
        return self.batch_size * self.size

    def block(self, start: int, stop: int) -> tuple[int, int]:
        """First position of this rank in the step [start, stop), and the one after its last."""
        rows = stop - start
        return start + self.rank * rows // self.size, start + (self.rank + 1) * rows // self.size

    def owners(self, positions: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int64]:
        """Ranks that positions of a pass [start, stop) go to, steps counted from `start`."""
        offset = positions - start
        step = offset // self.rows
        rows = np.minimum(stop - start - step * self.rows, self.rows)
        owners: NDArray[np.int64] = ((offset - step * self.rows + 1) * self.size - 1) // rows
        return owners

    def places(self, positions: NDArray[np.int64], start: int, stop: int) -> NDArray[np.int64]:
        """Places of this rank's positions among all that it gets of the pass [start, stop)."""
        offset = positions - start
        step = offset // self.rows
        rows = np.minimum(stop - start - step * self.rows, self.rows)
        first = step * self.rows + self.rank * rows // self.size
        places: NDArray[np.int64] = step * self.batch_size + (offset - first)
        return places

    def count(self, start: int, stop: int) -> int:
        """Positions that this rank gets of the pass [start, stop); a padded one not among them."""
        full, rest = divmod(stop - start, self.rows)
        first, last = self.block(0, rest)
        return full * self.batch_size + last - first


def block_shift(num_rows: int, size: int, *, sharded: bool) -> int:
    """Logarithm of the rows of a block: what logs are cut into when they go from rank to rank."""
    rows = _BLOCK_ROWS
    while rows * _MAX_BLOCKS < num_rows:
        rows *= 2
    shift = rows.bit_length() - 1
    if sharded:  # ranks own whole blocks
        shift = min(shift, max((num_rows // (_BLOCKS_PER_RANK * size)).bit_length() - 1, 0))
        shift = max(shift, _LEAST_SHIFT)
    return shift


def row_bounds(num_rows: int, size: int) -> list[int]:
    """First rows that ranks own when a table is sharded, and the end: whole blocks, about equal."""
    shift = block_shift(num_rows, size, sharded=True)
    blocks = -(-num_rows >> shift)
    return [min((rank * blocks // size) << shift, num_rows) for rank in range(size + 1)]
