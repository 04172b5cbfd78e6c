"""Draws with probabilities that the user gives."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.checks import MAX_SAMPLES, boolean, integer
from dynsample.kernels.numbers import relative_on_host
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.base import Policy
from dynsample.table.columns import Column, Last

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


@dataclass
class _Set:
    """What `set_probabilities` set last, for all who use the policy.

    Attributes
    ----------
    latest : float32 array or None
    length : int or None
        Entries of the probabilities that an epoch was drawn with.
    """

    latest: NDArray[np.float32] | None = None
    length: int | None = None


@dataclass
class _Run:
    """What one sampler drew with.

    Attributes
    ----------
    epoch : int or None
        The epoch that started last.
    taken : float32 array or None
        What was set and has found its epoch.
    since : dict of int to float32 array
        What was set, by the first epoch that uses it.
    """

    epoch: int | None = None
    taken: NDArray[np.float32] | None = None
    since: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def current(self, epoch: int) -> int | None:
        """Find the first epoch of what is in force in `epoch`; None for what was constructed."""
        return max((since for since in self.since if since <= epoch), default=None)

    def followed_by(self, latest: NDArray[np.float32] | None) -> _Run:
        """Return the run with what was set since: it holds after the epoch that started last."""
        if latest is None or latest is self.taken:
            return self
        now = None if self.epoch is None else self.current(self.epoch)
        kept = {since: array for since, array in self.since.items() if since == now}
        first = 0 if self.epoch is None else self.epoch + 1
        return _Run(self.epoch, latest, {**kept, first: latest})


@dataclass(frozen=True)
class WeightedRandom(Policy):
    """Draw every epoch with given probabilities.

    Parameters
    ----------
    probabilities : float[num_samples], str, or callable(table) -> float[N]
        Up to a common factor, not negative: fixed, any sequence of real numbers over the data set;
        a column by name (its last value); or computed from the table, for its rows, when an epoch
        is planned. What was never observed is NaN in a column, and NaN is drawn with the largest
        finite probability.
    num_draws : int, optional
        Draws of an epoch; None draws as many as there are samples.
    replacement : bool
        Whether one sample can be drawn more than once in an epoch.

    Notes
    -----
    Probabilities are kept as float32: those of float64 that round to the same are drawn the same, a
    positive one stays positive, and where the largest is outside of [2**-64, 2**64] fixed ones are
    scaled by a power of two first. `dynsample.weights` works out those of classes.

    The weights that undo the sampling are 1 / (N p_i); `dynsample.ops.inverse_probabilities` gives
    them. Two policies compare equal only if they are the same object.

    Examples
    --------
    >>> sampler = ds.Sampler(3, ds.WeightedRandom([0.0, 1.0, 3.0], num_draws=8))
    >>> np.bincount(sampler.plan.order)
    array([0, 2, 6])
    """

    probabilities: Any
    num_draws: int | None = None
    replacement: bool = True
    _set: _Set = field(init=False, repr=False, default_factory=_Set)
    _run: _Run = field(init=False, repr=False, default_factory=_Run)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_draws is not None:
            integer(self.num_draws, "num_draws", 0, MAX_SAMPLES)
        boolean(self.replacement, "replacement")
        if not isinstance(self.probabilities, str) and not callable(self.probabilities):
            object.__setattr__(self, "probabilities", self._checked(self.probabilities))

    @property
    def columns(self) -> Mapping[str, Column]:
        """The column that `probabilities` names; none when it is an array or a callable."""
        return {self.probabilities: Last()} if isinstance(self.probabilities, str) else {}

    def set_probabilities(self, probabilities: Any) -> None:
        """Draw with other probabilities, a number for each sample, from the next epoch on.

        The epoch that has started already keeps its own, also when it is resumed. Of several that
        are set before an epoch starts the last one counts.

        Raises
        ------
        TypeError, ValueError
            For what cannot be drawn from, and for another length than was drawn from before; what
            was set before holds on.
        """
        array = self._checked(probabilities)
        if self._set.length not in {None, len(array)}:
            raise ValueError(
                f"probabilities must have {self._set.length} entries, as those that epochs were "
                f"drawn with so far, got {len(array)}"
            )
        self._set.latest = array

    def _checked(self, probabilities: Any) -> NDArray[np.float32]:
        """Copy probabilities that can be drawn from."""
        array: NDArray[np.float32] = relative_on_host(probabilities, "probabilities").copy()
        array.flags.writeable = False
        _, positive = _core.survey(array)  # refuses negative ones
        draws = len(array) if self.num_draws is None else self.num_draws
        if draws and len(array) and not positive:
            raise ValueError(f"probabilities must have a positive entry, got {len(array)} zeros")
        if self.num_draws is not None and not self.replacement and draws > positive:
            raise ValueError(
                f"num_draws must be at most the number of positive probabilities, {positive}, "
                f"without replacement, got {draws}"
            )
        return array

    def _source(self, run: _Run, epoch: int) -> Any:
        since = run.current(epoch)
        return self.probabilities if since is None else run.since[since]

    def for_run(self) -> WeightedRandom:
        """Give the policy with a record of its own of which epoch draws with what."""
        own = copy.copy(self)
        object.__setattr__(own, "_run", _Run())
        return own

    def planned(self, epoch: int) -> None:
        """Learn that an epoch has started: it keeps the probabilities that it was drawn with."""
        run = self._run.followed_by(self._set.latest)
        source = self._source(run, epoch)
        if not isinstance(source, str) and not callable(source):
            self._set.length = len(source)
        run = _Run(epoch, run.taken, run.since)
        object.__setattr__(self, "_run", run)

    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Draw with the probabilities that hold in this epoch."""
        source = self._source(self._run.followed_by(self._set.latest), epoch)
        by_name = isinstance(source, str)
        if by_name:
            probabilities = table[source]
        else:
            given = source(table) if callable(source) else table.rows(source, "probabilities")
            probabilities = table.checked(given, "probabilities")
        k = table.num_samples if self.num_draws is None else self.num_draws
        draw = table.draw(
            probabilities,
            k,
            random,
            replacement=self.replacement,
            known=None if by_name else True,  # it is given for every row, seen or not
        )
        return draw.selection()

    def fingerprint(self, epoch: int) -> dict[str, Any]:
        """Identity as constructed; a callable by its name, as its value needs the table."""
        if not callable(self.probabilities):
            return super().fingerprint(epoch)
        named = getattr(self.probabilities, "__qualname__", type(self.probabilities).__qualname__)
        return {**replace(self, probabilities="").fingerprint(epoch), "probabilities": named}

    def state(self) -> dict[str, NDArray[Any]]:
        """Return what `set_probabilities` set, by the first epoch that uses it."""
        run = self._run.followed_by(self._set.latest)
        return {f"since/{epoch}": array for epoch, array in run.since.items()}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` gave."""
        loaded = {}
        for name, array in state.items():
            prefix, _, epoch = name.partition("/")
            if prefix != "since" or not epoch.isdecimal():
                raise ValueError(f"state of WeightedRandom must hold 'since/<epoch>', got {name!r}")
            loaded[int(epoch)] = self._checked(array)
        object.__setattr__(self, "_run", _Run(self._run.epoch, self._set.latest, loaded))
