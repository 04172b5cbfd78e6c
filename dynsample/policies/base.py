"""What a policy gets and gives: `select(table, epoch, random) -> Selection`."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.convert import plain
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies.identity import identity
from dynsample.table.columns import Column

if TYPE_CHECKING:
    from dynsample.table.table import ScoreTable


class Policy(ABC):
    """A published method. Subclasses are frozen dataclasses; their fields are their identity.

    Fields are numbers, strings, None, arrays, callables of the epoch that give such, or sequences
    and mappings of these. Numbers of numpy and torch become those of Python.

    Attributes
    ----------
    confidence : "max" or "target"
        Which softmax probability the signal `confidence` is, where it is computed from logits.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Newest(ds.Policy):
    ...     share: float = 0.5
    ...     @property
    ...     def columns(self):
    ...         return {"age": ds.Last()}
    ...     def select(self, table, epoch, random):
    ...         k = int(self.share * table.num_samples)
    ...         return ds.Selection(hidden=table.hide_lowest(table["age"], k))
    >>> policy = Newest()
    >>> table = ds.ScoreTable(4, policy.columns)
    >>> table.observe(np.arange(4), age=np.array([3, 1, 2, 0], np.float32))
    >>> policy.select(table, 1, ds.EpochRandom(0, 1)).hidden
    array([False,  True, False,  True])
    """

    confidence: str = "max"

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}()"  # dataclasses bring one that has their fields

    def __post_init__(self) -> None:
        """Make Python numbers of the fields that are numbers of numpy or torch."""
        for name, value in _fields(self).items():
            if (number := plain(value)) is not value:
                object.__setattr__(self, name, number)

    @property
    def columns(self) -> Mapping[str, Column]:
        """Columns the policy reads, by name; none by default."""
        return {}

    @abstractmethod
    def select(self, table: ScoreTable, epoch: int, random: EpochRandom) -> Selection:
        """Decide the epoch from the table alone; the same answer for the same arguments.

        It changes nothing: an epoch may be selected more than once, and selected without starting.
        """

    def for_run(self) -> Policy:
        """Return the policy as one sampler uses it, apart from others that have it too.

        Itself, unless something can be set from outside while samplers run.
        """
        return self

    def planned(self, epoch: int) -> None:  # noqa: B027 - a hook
        """Learn that an epoch has started as `select` decided it; nothing by default."""

    def fingerprint(self, epoch: int) -> dict[str, object]:
        """Identity of the policy in an epoch, JSON-able: class, fields, values of callables.

        Raises
        ------
        TypeError
            When a field has no identity that another process could compare with.
        """
        if not is_dataclass(self) and vars(self):
            raise TypeError(
                f"{', '.join(vars(self))} of it must be fields of a dataclass: write "
                f"@dataclass(frozen=True) above the class {type(self).__name__}, or give it a "
                "fingerprint of its own"
            )
        return {
            "class": type(self).__qualname__,
            **{name: identity(value, name, epoch) for name, value in _fields(self).items()},
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """Arrays that a resumed run needs and the table does not have; none by default."""
        return {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` gave."""
        if state:
            raise ValueError(f"{type(self).__name__} has no state, got {sorted(state)}")


def _fields(policy: Policy) -> dict[str, object]:
    """Return what a policy was made with."""
    if not is_dataclass(policy):
        return {}
    return {each.name: getattr(policy, each.name) for each in fields(policy) if each.init}


def as_policy(policy: object) -> Policy:
    """Return `policy` as one run uses it, when a run can be planned by it, saved and resumed.

    Raises
    ------
    TypeError
        Naming what was found, or the part of the policy that a saved state could not hold.
    """
    if isinstance(policy, type) and issubclass(policy, Policy):
        raise TypeError(
            f"policy must be an object, got the class {policy.__name__}: write "
            f"{policy.__name__}() with its parameters"
        )
    if not isinstance(policy, Policy):
        raise TypeError(
            f"policy must be a dynsample.Policy, such as dynsample.Kakurenbo(), got "
            f"{type(policy).__name__} {policy!r:.80}"
        )
    Policy.__post_init__(policy)  # its own may have left this out
    name = type(policy).__name__
    columns = policy.columns
    if not isinstance(columns, Mapping) or not all(
        isinstance(key, str) and isinstance(column, Column) for key, column in columns.items()
    ):
        raise TypeError(
            f"{name}.columns must be a property that gives columns by name, such as "
            f'{{"loss": Last()}}, got {columns!r:.80}'
        )
    try:
        _check_saving(policy)
    except Exception as error:
        raise TypeError(
            f"policy {name} cannot be saved, so a run with it could not be resumed: {error}"
        ) from error
    return policy.for_run()


def _check_saving(policy: Policy) -> None:
    first, second = (json.loads(json.dumps(policy.fingerprint(0))) for _ in range(2))
    if first != second:
        raise ValueError(f"its fingerprint is another each time, {first} and then {second}")
    for key, array in policy.state().items():
        numpy = isinstance(array, np.ndarray) and not array.dtype.hasobject
        if not isinstance(key, str) or not numpy:
            raise TypeError(f"state() must give numpy arrays by name, got {key!r}: {array!r:.80}")
