"""A score table as Arrow's columns, some rows at a time."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dynsample.kernels.available import version
from dynsample.kernels.keys import Keys
from dynsample.plan.plan import Plan, WholePlan

try:
    import pyarrow as pa
except ImportError:
    raise ImportError(
        'Arrow and Parquet need pyarrow, not installed here: pip install "dynsample[arrow]"'
    ) from None

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dynsample.kernels import Array, Kernels

ROWS = 1 << 17  # of a batch, and of a row group in a file
_METADATA = b"dynsample"  # in a schema: JSON that says what the columns are of
INDEX, KEY = "index", "key"
_PLANNED = {"hidden": pa.bool_(), "weight": pa.float32()}


class Rows(Protocol):
    """What is read of a `ScoreTable`: the rows that are here, from the first of `bounds` on."""

    arrays: Kernels[Array]
    bounds: tuple[int, int]
    seen: Array

    @property
    def known(self) -> Array:
        """Which of them are known."""

    def __iter__(self) -> Iterator[str]:
        """Names of the columns."""

    def ids(self, rows: slice) -> NDArray[np.int64]:
        """Ids of some of them."""

    def values(self, name: str, rows: slice) -> Array:
        """Value of a column for some of them."""


def table_of(table: Rows, keys: Keys | None, plan: Plan | None) -> pa.Table:
    """Return all batches in one; see `ScoreTable.to_arrow`."""
    for name, given, kind in (("keys", keys, Keys), ("plan", plan, Plan)):
        if given is not None and not isinstance(given, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {type(given).__name__}")
    if keys is not None and len(last := table.ids(slice(-1, None))) and last[0] >= len(keys):
        raise ValueError(
            f"keys must be those of the data set, with a name for sample {last[0]}, got {keys!r}"
        )
    facts = {} if plan is None else facts_of(plan)
    schema = schema_of(table, keys, plan, facts)
    return pa.Table.from_batches(batches(table, keys, plan, schema), schema)


def facts_of(plan: Plan) -> dict[str, object]:
    """Say which epoch a plan is of."""
    return {"epoch": plan.random.epoch, "seed": plan.random.seed, "digest": plan.digest}


def schema_of(
    table: Rows, keys: Keys | None, plan: Plan | None, facts: Mapping[str, object]
) -> pa.Schema:
    """Return names and types of the columns, with `facts` and the version in the metadata.

    Raises
    ------
    ValueError
        When a column of the table has the name of another one.
    """
    fields = {INDEX: pa.int64()}
    if keys is not None:
        fields[KEY] = key_type(keys)
    after = {"seen": pa.bool_(), "known": pa.bool_(), **_PLANNED}
    for name in table:
        if name in {INDEX, KEY, *after}:
            raise ValueError(
                f"no column of the table may be called {name!r}, which the file has for another: "
                "give it another name, with signal= for what it reads"
            )
        fields[name] = pa.float32()
    fields |= {
        name: kind for name, kind in after.items() if plan is not None or name not in _PLANNED
    }
    return pa.schema(list(fields.items()), metadata(facts))


def metadata(facts: Mapping[str, object]) -> dict[bytes, bytes]:
    """Return what a schema says of its columns: `facts`, JSON-able, and the version."""
    return {_METADATA: json.dumps({"version": version(), **facts}).encode()}


def facts(schema: pa.Schema) -> Mapping[str, object]:
    """Return what the writer says of the columns; nothing when that was not dynsample."""
    with contextlib.suppress(ValueError):
        content = json.loads((schema.metadata or {}).get(_METADATA, b"{}"))
        if isinstance(content, dict):
            return content
    return {}


def batches(
    table: Rows, keys: Keys | None, plan: Plan | None, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are here in ascending order, `ROWS` at a time.

    Beside a batch nothing is held but a byte for every row.
    """
    there, known = table.arrays, table.known
    planned = None if plan is None else (_hidden(table, plan), plan.weights)
    for first in range(0, len(table.seen), ROWS):
        rows = slice(first, min(first + ROWS, len(table.seen)))
        index = table.ids(rows)
        columns = {name: there.numpy(table.values(name, rows)) for name in table}
        columns |= {"seen": there.numpy(table.seen[rows]), "known": there.numpy(known[rows])}
        if planned is not None:
            hidden, weights = planned
            ones = np.ones(len(index), np.float32)
            columns["hidden"] = hidden[rows]
            columns["weight"] = ones if weights is None else there.numpy(weights[rows])
        columns[INDEX] = index
        arrays = {
            name: pa.array(values, schema.field(name).type) for name, values in columns.items()
        }
        if keys is not None:
            arrays[KEY] = names_of(keys, index, schema.field(KEY).type)
        yield pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _hidden(table: Rows, plan: Plan) -> NDArray[np.bool_]:
    """Mark the rows that are here and left out of the epoch."""
    mask = np.zeros(len(table.seen), np.bool_)
    rows = plan.rows_left_out() - table.bounds[0]
    sizes = [] if plan.weights is None else [len(plan.weights)]
    sizes += [plan.num_rows] if isinstance(plan, WholePlan) else []
    if {len(mask), *sizes} != {len(mask)} or (
        len(rows) and not 0 <= rows[0] <= rows[-1] < len(mask)
    ):
        raise ValueError(f"plan must be one of this table, which has {len(mask)} rows, got {plan}")
    mask[rows] = True
    return mask


def key_type(keys: Keys) -> pa.DataType:
    """Return the type that holds all names: text where it is UTF-8, and else bytes."""
    if keys.kind == "bytes":
        return pa.large_binary()
    low, high, is_text = 0, 0, True
    for first in range(0, len(keys), ROWS):
        some = range(first, min(first + ROWS, len(keys)))
        if keys.kind == "int":
            numbers = [int(name) for name in keys.names(some)]
            low, high = min(low, *numbers), max(high, *numbers)
        else:
            is_text &= _are_utf8(*keys.text(some.start, some.stop))
    if keys.kind == "str":
        return pa.large_string() if is_text else pa.large_binary()
    if low >= -(2**63) and high < 2**63:
        return pa.int64()
    return pa.uint64() if low >= 0 and high < 2**64 else pa.large_string()


def _are_utf8(text: NDArray[np.uint8], ends: NDArray[np.int64]) -> bool:
    """Whether each part of a block is UTF-8: all of it, and no character goes across an end."""
    try:
        text.tobytes().decode()
    except UnicodeDecodeError:
        return False
    begins = ends[ends < len(text)]
    return not ((text[begins] & 0xC0) == 0x80).any()


def names_of(keys: Keys, index: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """Return the names of samples as `key_type` has them."""
    if not pa.types.is_integer(kind) and len(index) and index[-1] - index[0] + 1 == len(index):
        text, ends = keys.text(int(index[0]), int(index[-1]) + 1)  # as they lie
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(text)]
        return pa.Array.from_buffers(kind, len(index), buffers)
    if pa.types.is_integer(kind):
        return pa.array(keys.names(index), kind)
    return pa.array(keys.encoded(index), pa.large_binary()).cast(kind)
