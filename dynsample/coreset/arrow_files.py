"""Scores and coresets as columns of Parquet and Arrow files; needs pyarrow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dynsample.coreset import score_rows
from dynsample.disk.files import open_regular, whole
from dynsample.kernels.keys import Keys, Name, NamesOf, as_keys, encoded
from dynsample.table.arrow import INDEX, KEY, facts, metadata

PARQUET = ".parquet"


def write(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> int:
    """Write batches as they come, each a row group; whole or not at all. Return the rows.

    Parameters
    ----------
    path : path
        .parquet; .arrow or .feather: Arrow's file format, which is Feather's second version.
    schema : pyarrow.Schema
    batches : iterable of pyarrow.RecordBatch
    """
    count = 0
    with whole(path) as file, _writer(path.suffix, file, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _writer(suffix: str, file: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    if suffix != PARQUET:
        return pa.ipc.new_file(file, schema)
    # Of scores there are no bounds: those of pyarrow leave NaN out, so that a reader who goes by
    # them would pass over samples that it takes elsewhere.
    return pq.ParquetWriter(file, schema, use_dictionary=False, write_statistics=[INDEX])


def read_scores(
    path: Path, column: str | None, index: str | None = None, count: int | None = None
) -> tuple[NDArray[np.float64], NamesOf | None]:
    """Read a column of scores, whose rows an index column puts in order.

    Parameters
    ----------
    path : path
    column : str, optional
        Needed when the file has several that could be one. A null is a sample without a score.
    index : str, optional
        The column of ids; by default "index".
    count : int, optional
        Samples of the data set; by default as many as the file says that there are, or as the
        highest id does.

    Returns
    -------
    float64[N]
        NaN for a sample without a score.
    callable(ids) -> list of names, or None
        Names of the samples, where the file has a column `key`.

    Raises
    ------
    ValueError, IndexError
        For a file without these columns; for an id that is missing, twice there or out of range.
    """
    with _open(path) as file:
        schema, key = file.schema, INDEX if index is None else index
        _check_names(path, schema.names, [key], "--index")
        others = [name for name in schema.names if name not in (key, KEY)]
        if column is None and len(others) != 1:
            raise ValueError(f"{path} has columns {', '.join(others)}: name one, as {path}:COLUMN")
        column = others[0] if column is None else column
        _check_names(path, others, [column], "the column of scores")
        found = file.read(sorted({key, column, KEY} & {*schema.names}))
    known = facts(schema).get("num_samples")
    if count is None and isinstance(known, int):
        count = known
    ids, values = _ids(path, found.column(key), key), _reals(path, found.column(column), column)
    scores = score_rows.scatter(ids, values, count, lambda row: f"{path}, row {row}", whole=True)
    if KEY not in found.column_names:
        return scores, None
    names, place = found.column(KEY), np.empty(len(ids), np.int64)
    place[ids] = np.arange(len(ids))
    return scores, lambda kept: names.take(pa.array(place[kept])).to_pylist()


def write_coreset(
    out: BinaryIO,
    suffix: str,
    ids: NDArray[np.int64],
    names: Sequence[Name] | None,
    facts: Mapping[str, object],
) -> None:
    """Write the ids of a coreset, and their keys where there are any."""
    columns = {INDEX: pa.array(ids)}
    if names is not None:
        columns[KEY] = _key_column(names)
    table = pa.table(columns).replace_schema_metadata(metadata(facts))
    with _writer(suffix, out, table.schema) as writer:
        writer.write_table(table)


def _key_column(names: Sequence[Name]) -> pa.Array:
    try:
        return pa.array(names)
    except (UnicodeEncodeError, OverflowError):  # a path that is no text, a uid beyond 64 bits
        return pa.array([encoded(name) for name in names])


def read_coreset(path: Path, num_samples: int, keys: Keys | None) -> NDArray[np.int64]:
    """Return the ids of a coreset; see `files.load`."""
    with _open(path) as file:
        names = [name for name in (INDEX, KEY) if file.schema.names.count(name) == 1]
        found, known = file.read(names), facts(file.schema).get("num_samples", num_samples)
    if known != num_samples:
        raise ValueError(f"{path} is of a data set of {known} samples, not {num_samples}")
    rows = None
    if keys is not None and KEY in names:
        rows = as_keys(keys, num_samples).rows(_names(found.column(KEY), keys))
    if INDEX not in names:
        if rows is None:
            raise ValueError(f"{path} must have a column index, or key beside keys, has neither")
        return rows
    ids = _ids(path, found.column(INDEX), INDEX)
    if rows is not None and (rows != ids).any():
        place = int(np.argmax(rows != ids))
        raise ValueError(
            f"{path} is of another data set: its row {place} has id {ids[place]}, and its key has "
            f"{rows[place]} here"
        )
    return ids


def _names(column: pa.ChunkedArray, keys: Keys) -> list[Name]:
    """Return a column of keys as names of the kind that the keys are.

    A path that is no text is bytes there, and an integer beyond 64 bits is text, or bytes.
    """
    names: list[Any] = column.to_pylist()
    if keys.kind != "bytes" and all(isinstance(name, bytes) for name in names):
        return keys.decoded(names)
    if keys.kind == "int" and all(isinstance(name, str) for name in names):
        return keys.decoded(map(encoded, names))
    return names


class _File(NamedTuple):
    schema: pa.Schema
    read: Callable[[Sequence[str]], pa.Table]


@contextlib.contextmanager
def _open(path: Path) -> Iterator[_File]:
    """Open a file whose columns are to be read; what is damaged is a ValueError that names it."""
    with open_regular(path) as file:
        try:
            if path.suffix == PARQUET:
                parquet = pq.ParquetFile(file)
                yield _File(parquet.schema_arrow, parquet.read)
            else:
                arrow = pa.ipc.open_file(file)
                yield _File(arrow.schema, lambda names: arrow.read_all().select(names))
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"{path} is no {path.suffix} file, or it is damaged: {error}"
            ) from None


def _check_names(path: Path, present: Sequence[str], names: Sequence[str], what: str) -> None:
    for name in names:
        if present.count(name) != 1:
            found = ", ".join(present) or "none"
            raise ValueError(f"{what} must be one of {path}, which has {found}, got {name!r}")


def _ids(path: Path, column: pa.ChunkedArray, name: str) -> NDArray[np.int64]:
    if not pa.types.is_integer(column.type) or column.null_count:
        nulls = f" with {column.null_count} nulls" if column.null_count else ""
        raise ValueError(f"{path}: column {name!r} must hold an id each, got {column.type}{nulls}")
    ids: NDArray[np.int64] = _cast(path, column, name, pa.int64())
    return ids


def _reals(path: Path, column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise ValueError(f"{path}: column {name!r} must hold a number each, got {kind}")
    values: NDArray[np.float64] = _cast(path, column, name, pa.float64())  # NaN for a null
    return values


def _cast(path: Path, column: pa.ChunkedArray, name: str, kind: pa.DataType) -> NDArray[Any]:
    try:
        numbers: NDArray[Any] = column.cast(kind).to_numpy()
    except pa.ArrowInvalid as error:  # a number that the other type does not hold
        raise ValueError(f"{path}: column {name!r}: {error}") from None
    return numbers
