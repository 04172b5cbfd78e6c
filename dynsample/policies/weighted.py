"""Draws with probabilities that the user gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from dynsample._arrays import as_numpy
from dynsample._checks import MAX_SAMPLES, boolean, integer
from dynsample.columns import Column, Last
from dynsample.policies.base import EpochRandom, Policy, Selection

if TYPE_CHECKING:
    import numpy as np

    from dynsample.table import ScoreTable


@dataclass(frozen=True)
class WeightedRandom(Policy):
    """Draw every epoch with given probabilities.

    Parameters
    ----------
    probabilities : float32 array over the data set, str, or callable(table) -> float32[N]
        Up to a common factor, not negative: fixed, a column by name (its last value), or computed
        from the table when an epoch is planned. What was never observed is NaN in a column, and
        NaN is drawn with the largest finite probability.
    num_draws : int, optional
        Draws of an epoch; None draws as many as there are samples.
    replacement : bool
        Whether one sample can be drawn more than once in an epoch.

    Notes
    -----
    The weights that undo the sampling are 1 / (N p_i); `dynsample.ops.inverse_probabilities` gives
    them. Two policies compare equal only if they are the same object.
    """

    probabilities: Any
    num_draws: int | None = None
    replacement: bool = True
    # What was set later, by the first epoch that uses it; and the last epoch planned.
    _since: dict[int, NDArray[np.float32]] = field(init=False, repr=False, default_factory=dict)
    _planned: list[int] = field(init=False, repr=False, default_factory=list)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __post_init__(self) -> None:
        if not isinstance(self.probabilities, str) and not callable(self.probabilities):
            object.__setattr__(self, "probabilities", _private(self.probabilities))
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)
        boolean(self.replacement, "replacement")

    @property
    def columns(self) -> Mapping[str, Column]:
        """The column that `probabilities` names; none when it is an array or a callable."""
        return {self.probabilities: Last()} if isinstance(self.probabilities, str) else {}

    def set_probabilities(self, probabilities: Any) -> None:
        """Draw with other probabilities, float32 over the data set, from the next epoch on.

        The epoch that is planned already keeps its own, also when it is resumed.
        """
        array = _private(probabilities)
        now = self._current(self._planned[0]) if self._planned else None
        since = self._planned[0] + 1 if self._planned else 0
        for epoch in [epoch for epoch in self._since if epoch != now]:
            del self._since[epoch]
        self._since[since] = array

    def _current(self, epoch: int) -> int | None:
        return max((since for since in self._since if since <= epoch), default=None)

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw with the probabilities that hold in this epoch."""
        self._planned[:] = [epoch]
        since = self._current(epoch)
        source = self.probabilities if since is None else self._since[since]
        known = None
        if isinstance(source, str):
            probabilities = table[source]
        else:
            known = table.seen | True  # given for every row, seen or not
            given = source(table) if callable(source) else table.rows(source, "probabilities")
            probabilities = table.checked(given, "probabilities")
        k = table.num_samples if self.num_draws is None else self.num_draws
        draw = table.draw(probabilities, k, random, replacement=self.replacement, known=known)
        return draw.selection()

    def fingerprint(self, epoch: int) -> dict[str, Any]:
        """Identity as constructed; a callable by its name, as its value needs the table."""
        if not callable(self.probabilities):
            return super().fingerprint(epoch)
        named = getattr(self.probabilities, "__qualname__", type(self.probabilities).__qualname__)
        return {**replace(self, probabilities="").fingerprint(epoch), "probabilities": named}

    def state(self) -> dict[str, NDArray[Any]]:
        """Give what `set_probabilities` set, by the first epoch that uses it."""
        return {f"since/{epoch}": array for epoch, array in self._since.items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` gave."""
        loaded = {}
        for name, array in state.items():
            prefix, _, epoch = name.partition("/")
            if prefix != "since" or not epoch.isdecimal():
                raise ValueError(f"state of WeightedRandom must hold 'since/<epoch>', got {name!r}")
            loaded[int(epoch)] = _private(array)
        self._since.clear()
        self._since.update(loaded)


def _private(probabilities: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = as_numpy(probabilities, "probabilities", "float32").copy()
    array.flags.writeable = False
    return array
