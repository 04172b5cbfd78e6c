"""Prioritised replay: draws in proportion to priorities that change at every step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels import Given
from dynsample.kernels.checks import MAX_EPOCH, MAX_SAMPLES, integer, real
from dynsample.kernels.convert import as_ids, plain
from dynsample.kernels.numbers import integers, sequence
from dynsample.table.log import _index, _signal

STATE_VERSION = 1


class PriorityTree:
    """A 64-ary tree of exact prefix sums over `num_samples` priorities, all 0 at first.

    Priorities are kept as multiples of a unit (2**-26 for a million samples), a positive one as at
    least one unit, so that sums never drift and do not depend on the order of the updates. A tree
    pickles and copies.

    Parameters
    ----------
    num_samples : int in [1, 2**32)

    Notes
    -----
    All take the time of the batch, `sum` and `total` next to none, but for `min`, which reads the
    priorities of its range.

    References
    ----------
    Schaul et al., "Prioritized Experience Replay", ICLR 2016, section 3.3 and appendix B.2.1
    (stratified draws from a sum tree).

    Examples
    --------
    >>> import dynsample as ds
    >>> tree = ds.PriorityTree(4)
    >>> tree.update([0, 2], [0.5, 1.5])
    >>> tree.update([3], [tree.max_priority])  # a new row
    >>> tree
    PriorityTree(num_samples=4, total=3.5, max_priority=1.5)
    >>> tree[2], tree.sum(0, 3), tree.min()
    (1.5, 2.0, 0.5)
    """

    def __init__(self, num_samples: int) -> None:
        self._native = _core.PrefixTree(integer(num_samples, "num_samples", 1, MAX_SAMPLES))

    def __len__(self) -> int:
        return len(self._native)

    def __repr__(self) -> str:
        return (
            f"PriorityTree(num_samples={len(self)}, total={self.total:g}, "
            f"max_priority={self.max_priority:g})"
        )

    @property
    def unit(self) -> float:
        """The smallest positive priority; all are rounded to multiples of it."""
        return float(2.0 ** -self._native.bits())

    @property
    def priority_limit(self) -> float:
        """The largest priority there may be; with it everywhere the sums still fit."""
        return self._native.max_priority()

    @property
    def max_priority(self) -> float:
        """The largest priority ever given to `update`: what a new row gets; 1 while there is none.

        It does not shrink when the row that had it gets another.
        """
        return self._native.largest() or 1.0

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return self._native.total() * self.unit

    @overload
    def __getitem__(self, index: int | np.integer) -> float: ...

    @overload
    def __getitem__(self, index: Given | Sequence[int]) -> NDArray[np.float64]: ...

    def __getitem__(self, index: object) -> object:
        """Return the priority of an id as a float, or those of int[B] as float64[B].

        Raises
        ------
        IndexError
            An id out of range.
        """
        number = plain(index)
        single = isinstance(number, int)
        ids = as_ids(integers([number] if single else index, "index"), "index")
        priorities = self._native.units_of(ids) * self.unit
        return float(priorities[0]) if single else priorities

    def sum(self, start: int = 0, end: int | None = None) -> float:
        """Return the sum of the priorities of ids in [start, end); by default of all."""
        return self._native.sum(*self._range(start, end)) * self.unit

    def min(self, start: int = 0, end: int | None = None) -> float:
        """Return the smallest positive priority of ids in [start, end), inf where there is none.

        Rows of priority 0 cannot be drawn, so that `min() / total` is the least probability.
        """
        return self._native.min(*self._range(start, end)) * self.unit or math.inf

    def _range(self, start: int, end: int | None) -> tuple[int, int]:
        stop = len(self) if end is None else integer(end, "end", 0, len(self))
        return integer(start, "start", 0, stop), stop

    def update(self, index: Given | Sequence[int], priorities: Given | Sequence[float]) -> None:
        """Set priorities: all of them, or none on an error. Of a repeated id the last counts.

        Parameters
        ----------
        index : int64[B] or int32[B]
            Ids; a sequence, numpy or torch. What is contiguous on the CPU is read in place.
        priorities : float[B]
            In [0, priority_limit], rounded to float32 and then to units; float32 is read in place.

        Raises
        ------
        IndexError
            An id out of range.
        ValueError
            A priority that is NaN, negative or too large; other lengths.
        TypeError
            For what is not integers, or not real numbers.
        """
        if not self._native.update(index, priorities):
            priorities = _signal(sequence(priorities, "priorities"), "priorities")
            if not self._native.update(_index(sequence(index, "index")), priorities):
                raise AssertionError("the tree refused arrays that were made for it")

    def draw(
        self, k: int, *, seed: int, step: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Draw with replacement in proportion to the priorities, one from each of k strata.

        Draw j looks for ``(j + u_j) / k`` of the total; u_j are 64 bits of Philox with counter
        (j // 2, step, stream kTree) and the seed as key. The ids ascend.

        Parameters
        ----------
        k : int
        seed : int in [0, 2**64)
        step : int in [0, 2**32)
            Number of the draw; the same seed and step give the same ids.

        Returns
        -------
        index : int64[k]
        probability : float32[k]
            Priority over total of each drawn id.

        Raises
        ------
        ValueError
            No priority is positive; k, seed or step out of range.
        """
        try:
            return self._native.draw(k, seed, step)
        except TypeError:  # looked at only now: this is called in every step
            return self._native.draw(
                integer(k, "k", 0, MAX_SAMPLES),
                integer(seed, "seed", 0, 2**64 - 1),
                integer(step, "step", 0, MAX_EPOCH),
            )

    def state_dict(self) -> dict[str, object]:
        """Return the priorities, in units, and the largest one ever given."""
        return {
            "version": STATE_VERSION,
            "units": self._native.units(),
            "max_priority": self._native.largest(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the priorities of a `state_dict`, of a tree with as many samples."""
        if state.get("version") != STATE_VERSION:
            raise ValueError(
                f"version of the state must be {STATE_VERSION}, got {state.get('version')}"
            )
        units = np.ascontiguousarray(state["units"], np.int64)
        known = float(units.max(initial=0) * self.unit)  # of a state that does not say it
        largest = real(state.get("max_priority", known), "max_priority", "[0, inf)")
        self._native.load(units, largest)

    def __getstate__(self) -> dict[str, object]:
        return {"num_samples": len(self), **self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["num_samples"])  # type: ignore[misc]
        self.load_state_dict(state)
