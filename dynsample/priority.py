"""Prioritised replay: draws in proportion to priorities that change at every step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.table.log import _index, _signal


class PriorityTree:
    """A 64-ary tree of exact prefix sums over `num_samples` priorities, all 0 at first.

    Priorities are kept as multiples of a unit (2**-26 for a million samples), a positive one as at
    least one unit, so that sums never drift and do not depend on the order of the updates.

    Parameters
    ----------
    num_samples : int in [1, 2**32)

    References
    ----------
    Schaul et al., "Prioritized Experience Replay", ICLR 2016, section 3.3 and appendix B.2.1
    (stratified draws from a sum tree).
    """

    def __init__(self, num_samples: int) -> None:
        if isinstance(num_samples, bool) or not isinstance(num_samples, int):
            raise TypeError(f"num_samples must be an int, got {type(num_samples).__name__}")
        if not 1 <= num_samples < 2**32:
            raise ValueError(f"num_samples must be in [1, 2**32), got {num_samples}")
        self._native = _core.PrefixTree(num_samples)

    def __len__(self) -> int:
        return len(self._native)

    @property
    def unit(self) -> float:
        """The smallest positive priority; all are rounded to multiples of it."""
        return float(2.0 ** -self._native.bits())

    @property
    def max_priority(self) -> float:
        """The largest priority there may be; with it everywhere the sums still fit."""
        return self._native.max_priority()

    @property
    def total(self) -> float:
        """Sum of all priorities."""
        return self._native.total() * self.unit

    def update(self, index: Any, priorities: Any) -> None:
        """Set priorities: all of them, or none on an error. Of a repeated id the last counts.

        Parameters
        ----------
        index : int64[B] or int32[B]
            Ids; numpy or torch.
        priorities : float32[B]
            In [0, max_priority]; other real dtypes are converted.

        Raises
        ------
        IndexError
            An id out of range.
        ValueError
            A priority that is NaN, negative or too large; other lengths.
        """
        if self._native.update(index, priorities):
            return
        if not self._native.update(_index(index), _signal(priorities, "priorities")):
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
            for name, value, limit in (("k", k, 32), ("seed", seed, 64), ("step", step, 32)):
                if not 0 <= value < 2**limit:
                    raise ValueError(f"{name} must be in [0, 2**{limit}), got {value}") from None
            raise

    def state_dict(self) -> dict[str, Any]:
        """Return the priorities, in units."""
        return {"version": 1, "units": self._native.units()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the priorities of a `state_dict`."""
        if state.get("version") != 1:
            raise ValueError(f"version of the state must be 1, got {state.get('version')}")
        self._native.load(np.ascontiguousarray(state["units"], np.int64))
