"""The score table: what is known of every sample, and its state."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.groups import Group, single
from dynsample.kernels import HOST, AnyKernels, Array, Given, Kernels
from dynsample.kernels.checks import MAX_SAMPLES, integer
from dynsample.kernels.convert import host
from dynsample.kernels.numbers import as_row_ids, reals_on_host, rows_of_ids
from dynsample.plan.dealing import row_bounds
from dynsample.table import places
from dynsample.table.arithmetic import Floats, Mask
from dynsample.table.by_group import ByGroup, as_groups
from dynsample.table.column import checked_column
from dynsample.table.columns import Column, Lags, Last, signals_of
from dynsample.table.issued import IssuedRows, names_of_issued
from dynsample.table.log import Layout, Packed, Portion, fold_specs
from dynsample.table.reductions import Reductions

if TYPE_CHECKING:
    import pyarrow

    from dynsample.kernels.keys import Keys
    from dynsample.plan.plan import Plan
    from dynsample.table.places import Log


class ScoreTable(Reductions):
    """One row per sample: columns that observations update, and whether it was ever seen.

    Policies reduce over all of them by the methods of `Reductions`.

    Parameters
    ----------
    num_samples : int in [0, 2**32 - 1]
    columns : mapping of str to Column
        What to keep; `policy.columns` for one. A column reads the signal of its own name, or of its
        `signal`.
    index : int64[num_samples], optional
        Data-set ids of the rows, ascending: a table of a subset. By default rows are ids.
    arrays : Kernels
        Where the columns are: in host memory, or `dynsample.kernels.cuda.backend.OnDevice`.
    group : Group, optional
        Ranks that share the rows, each of which owns a range of them; by default one process has
        all. Reductions and `count_unseen` are then collective, and observations go to the owners of
        their rows through a `Sampler`.
    groups : int[num_samples], optional
        Group of every row, such as its class, numbered from 0: what `by_group` reduces within.

    Examples
    --------
    >>> table = ds.ScoreTable(3, {"loss": ds.Last()})
    >>> table.observe(np.array([0, 2]), loss=np.array([2.0, 1.0], np.float32))
    >>> table["loss"], table.hide_lowest(table["loss"], 1)
    (array([ 2., nan,  1.], dtype=float32), array([False, False,  True]))
    """

    _observing: ClassVar = threading.RLock()  # of all tables: a lock of each could not be copied

    def __init__(
        self,
        num_samples: int,
        columns: Mapping[str, Column],
        index: NDArray[np.int64] | None = None,
        arrays: AnyKernels = HOST,
        group: Group | None = None,
        groups: object = None,
    ) -> None:
        # The arrays of a table are all of one kind, which these kernels take.
        self.arrays = there = cast("Kernels[Array]", arrays)
        self.group = single() if group is None else group
        self.num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        first, last = row_bounds(self.num_samples, self.group.size)[self.group.rank :][:2]
        self.bounds = first, last
        self.columns = {name: checked_column(name, column) for name, column in columns.items()}
        self._index = None if index is None else as_row_ids(index, self.num_samples)
        rows = self.num_rows
        self.seen: Mask = there.mask(rows)
        self._all_seen = self._all_seen_anywhere = False  # once found so, until a load
        self._rows_given: Mask | None = None  # rows that were imported; None: none
        self._parts: dict[str, dict[str, Array]] = {
            name: {part: there.take(array) for part, array in column.allocate(rows).items()}
            for name, column in self.columns.items()
        }
        self._imported: dict[str, Column] = {}
        self.changed_by_hand = False  # since whoever plans has cleared it
        self._own_log: Log | None = None
        self._by_group = (
            None if groups is None else ByGroup(self, as_groups(groups, self.num_samples))
        )

    def __repr__(self) -> str:
        shared = f", rows {self.bounds[0]} to {self.bounds[1]} here" if self.sharded else ""
        return f"ScoreTable(num_samples={self.num_samples}, columns={self.columns}{shared})"

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_own_log": None}  # empty between two calls

    # Content

    @property
    def known(self) -> Mask:
        """Rows that were observed or imported, bool[N]: what reductions and draws run over."""
        return self.seen if self._rows_given is None else self.seen | self._rows_given

    @cached_property
    def index(self) -> NDArray[np.int64]:
        """Data-set ids of the rows that are here, int64[N], ascending."""
        return self.ids(slice(None))

    def ids(self, rows: slice) -> NDArray[np.int64]:
        """Data-set ids of some of the rows that are here."""
        here = range(*self.bounds)[rows]
        if self._index is not None:
            return self._index[here.start : here.stop]
        return np.arange(here.start, here.stop, dtype=np.int64)

    def __getitem__(self, name: str) -> Floats:
        """Value of a column, float32[N], read only; NaN for what was not observed."""
        return self.arrays.read_only(self.values(name, slice(None)))

    def values(self, name: str, rows: slice) -> Floats:
        """Value of a column for some of the rows that are here; it may be the column's memory."""
        column = self._column(name)
        value = column.value({part: array[rows] for part, array in self._parts[name].items()})
        if column.observed and not column.nan_until_observed and not self._sees_all():
            value = self.arrays.where(self.seen[rows], value, float("nan"))
        return value

    def to_arrow(self, *, keys: Keys | None = None, plan: Plan | None = None) -> pyarrow.Table:
        """Return index, columns, `seen` and `known` of the rows that are here, as `export` does.

        Parameters
        ----------
        keys : Keys, optional
            Names of the samples of the data set: a column `key` more.
        plan : Plan, optional
            That of an epoch: the columns `hidden` and `weight` more.
        """
        from dynsample.table import arrow

        return arrow.table_of(self, keys, plan)

    def _column(self, name: str) -> Column:
        column = self.columns.get(name) or self._imported.get(name)
        if column is None:
            known = ", ".join(map(repr, self)) or "none"
            raise KeyError(f"no column {name!r}; the table has {known}")
        return column

    def lag(self, name: str, back: int) -> Floats:
        """Value that a column of kind Lags had `back` observations ago, float32[N], read only.

        NaN where a row has had fewer; ``back=0`` is the latest.
        """
        column = self._column(name)
        if not isinstance(column, Lags):
            raise TypeError(f"column {name!r} must be of kind Lags, got {column!r}")
        back = integer(back, f"back of column {name!r}", 0, column.size - 1)
        return self.arrays.read_only(column.lag(self._parts[name], back))

    def _sees_all(self) -> bool:
        self._all_seen = self._all_seen or bool(self.seen.all())
        return self._all_seen

    def count_unseen(self) -> int:
        """Count the samples that were never observed; a device is not asked twice for none."""
        if self._all_seen_anywhere:  # of which all ranks know: what one has may not decide
            return 0
        unseen = self.num_samples - self.count(self.seen)
        if not unseen:
            self._all_seen = self._all_seen_anywhere = True
        return unseen

    def __iter__(self) -> Iterator[str]:
        return iter([*self.columns, *self._imported])

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def all_parts(self) -> Mapping[str, Mapping[str, Array]]:
        """All arrays of all columns, by name, to be written by a fold."""
        return self._parts

    def part(self, name: str, part: str) -> Array:
        """One of the arrays that a column is made of, read only; see its `allocate`."""
        if name not in self or part not in self._parts[name]:
            known = ", ".join(f"{n}/{p}" for n, parts in self._parts.items() for p in parts)
            raise KeyError(f"no part {name}/{part}; the table has {known or 'none'}")
        return self.arrays.read_only(self._parts[name][part])

    @property
    def by_group(self) -> ByGroup:
        """Reductions within each group of rows; needs a table, or a sampler, with `groups`."""
        if self._by_group is None:
            raise ValueError(
                "the table has no groups: give groups=, the group of every sample, to the Sampler "
                "or the ScoreTable"
            )
        return self._by_group

    @property
    def issued(self) -> IssuedRows:
        """How often each row was issued, and when last; needs a column of kind `Issued`."""
        names = names_of_issued(self.columns)
        if not names:
            raise KeyError(
                "the table does not keep what was issued: declare a column of kind Issued, as in "
                'columns={"issued": dynsample.Issued()}'
            )
        return IssuedRows(self.part(names[0], "count"), self.part(names[0], "last_epoch"))

    def put_parts(self, parts: Mapping[str, dict[str, Array]]) -> None:
        """Put arrays in the place of those of some columns, by name."""
        self._parts.update(parts)

    def observe(self, index: Given, *, epoch: int = 0, **signals: Given) -> None:
        """Fold one batch of observations at once.

        Parameters
        ----------
        index : int64[B]
            Data-set ids; numpy, torch or with DLPack.
        epoch : int
            Columns with `until` at or below it take nothing.
        **signals : float[B] or [B, 1]
            Every signal that the columns read; others are ignored.

        Raises
        ------
        IndexError, TypeError, ValueError
            As `ObservationLog.append`; the table is then unchanged.
        RuntimeError
            When ranks share the rows.
        """
        if self.sharded:
            raise RuntimeError("a sharded table takes observations through a Sampler only")
        self.changed_by_hand = True
        with self._observing:
            log = self._log_of_its_own()
            try:
                places.append(log, index, signals)
                log.close()
                self.fold(log, epoch=epoch)
            finally:  # after an error, or an interrupt on the way
                log.clear()

    def _log_of_its_own(self) -> Log:
        if self._own_log is None:
            log = places.make_log(self.arrays, self.num_samples, signals_of(self.columns))
            if self._index is not None:
                num_ids = int(self._index[-1]) + 1 if len(self._index) else 0
                log.set_rows(rows_of_ids(self._index, num_ids))
            self._own_log = log
        return self._own_log

    def fold(self, log: Log, *, epoch: int, tickets: NDArray[np.int64] | None = None) -> None:
        """Apply the closed part of a log to the columns; see `dynsample.table.log.fold`."""
        self.fold_portions(log, [Portion(epoch, tickets)])

    def fold_portions(self, log: Log, portions: Sequence[Portion]) -> None:
        """Apply portions of the closed part of a log, one after the other, as one step."""
        places.fold(log, self.columns, self._parts, self.seen, portions)

    def fold_packed(
        self,
        log: Log,
        packed: list[Packed],
        layout: Layout,
        rows: tuple[int, int],
        portion: Portion,
    ) -> None:
        """Apply what was packed of a portion of logs like `log` to the rows [first, last)."""
        begin = self.bounds[0]
        first, last = rows[0] - begin, rows[1] - begin
        parts = {
            name: {part: host(array)[first:last] for part, array in column.items()}
            for name, column in self._parts.items()
        }
        specs = fold_specs(log.signals, self.columns, parts, portion.epoch, portion.superseded)
        _core.fold_packed(packed, layout, specs, host(self.seen)[first:last], last - first)

    def imported(self, name: str) -> Floats:
        """Return a column that `set_column` is to have set, float32[N]; collective.

        Raises
        ------
        ValueError
            When no row has a finite value.
        """
        values = self[name]
        if self.num_samples and not self.count(self.arrays.finite(values)):
            raise ValueError(
                f"column {name!r} must have a finite value, got none: before the first epoch, set "
                f"it with table.set_column({name!r}, values), one number per row"
            )
        return values

    def set_column(self, name: str, values: object) -> None:
        """Set a column to imported scores, and mark every row as known, though not as seen.

        A column of kind Static marks no row.

        Parameters
        ----------
        name : str
            A column whose value says all that it keeps, such as one of kind Last or Mean; or a new
            name, which becomes a Last column that takes no observations.
        values : float[N]
            Any sequence of real numbers; rounded to float32.
        """
        array = self.checked(values)
        column, self.changed_by_hand = self.columns.get(name), True
        if column is None:
            self._imported[name] = checked_column(name, Last())
            self._parts[name] = {"value": self.arrays.copy(array)}
        else:
            column.set_values(self._parts[name], array)
        if column is None or column.observed:
            self._rows_given = self.arrays.mask(self.num_rows, True)

    def rows(self, values: object, name: str = "values") -> Floats:
        """Return those of numbers over the data set that belong to the rows, float32."""
        first, last = self.bounds
        array = reals_on_host(values, name)
        if self._index is None:
            if len(array) != self.num_samples:
                raise ValueError(f"{name} must have {self.num_samples} entries, got {len(array)}")
            return array[first:last]
        if len(self._index) and self._index[-1] >= len(array):
            raise ValueError(
                f"{name} must have an entry for every sample of the data set, got {len(array)} "
                f"and the subset holds sample {self._index[-1]}"
            )
        taken: Floats = array[self.index]
        return taken

    def checked(self, values: object, name: str = "values") -> Floats:
        """Return `values` as the table keeps them, float32, when they are one number per row."""
        array = self.arrays.checked(values, name)
        if len(array) != self.num_rows:
            raise ValueError(f"{name} must have {self.num_rows} entries, got {len(array)}")
        return array

    # State

    def state(self) -> dict[str, NDArray[Any]]:
        """Return all content as numpy: 'column/part', 'seen', and 'known' where that is more."""
        arrays = {
            f"{n}/{p}": array for n, parts in self._parts.items() for p, array in parts.items()
        }
        arrays["seen"] = self.seen
        if self._rows_given is not None:
            arrays["known"] = self.known
        return {name: self.arrays.numpy(array) for name, array in arrays.items()}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Replace all content by what `state` gave; imported columns come along.

        Where a state lacks 'known', the rows that were seen are known.

        Raises
        ------
        ValueError, TypeError
            For other names, shapes or dtypes; the table is then unchanged.
        """
        declared = {name: self._parts[name] for name in self.columns}
        content = {f"{n}/{p}": array for n, parts in declared.items() for p, array in parts.items()}
        content["seen"] = self.seen
        state = {"known": state["seen"], **state} if "seen" in state else state
        content["known"] = known = self.arrays.mask(self.num_rows)
        imported = {name for name in state if name not in content and name.endswith("/value")}
        names = {name[: -len("/value")] for name in imported}
        unknown = (state.keys() - content.keys() - imported) | (names & self.columns.keys())
        missing = sorted(content.keys() - state.keys() - {"known"})
        if unknown or missing:
            raise ValueError(f"state lacks {missing}, has unknown {sorted(unknown)}")
        checked = {name: checked_column(name, Last()) for name in sorted(names)}
        places.check_content(state, {**self.columns, **checked}, self.num_rows)
        self._all_seen = self._all_seen_anywhere = self._all_known = False
        for name, place in content.items():
            self.arrays.fill(place, state[name])
        num_known, num_seen = self.arrays.counts(known, self.seen)
        self._rows_given = None if num_known == num_seen else known
        self._imported = checked
        loaded = {
            name: {"value": self.arrays.take(state[f"{name}/value"].copy())} for name in checked
        }
        self._parts = {**declared, **loaded}
