"""Scores out of files: .npy, CSV, the table of a saved sampler, recorded probabilities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.coreset import csv_file, score_rows
from dynsample.disk.arrays import load_array
from dynsample.kernels.checks import choice
from dynsample.kernels.convert import host
from dynsample.policies import Forgetting
from dynsample.run import saved_table
from dynsample.table.columns import Transitions
from dynsample.table.table import ScoreTable

INDEX_ORDERS = ("dataset", "class-sorted")
CLASS_SORTS = ("only", "stable", "numpy")
# Headings of a CSV's column that says which sample a row is.
ID_COLUMNS = ("index", "idx", "id", "sample", "sample_id")
FILE_COLUMNS = ("name", "path", "file", "filename", "file_name")


def from_npy(path: str | os.PathLike[str], names: Sequence[bytes] | None = None) -> NDArray[Any]:
    """Read scores from a .npy file.

    Parameters
    ----------
    path : path
        [N], a score for each sample in their order; or [M, 2] or [M, 3] of batch reweighting: index
        or file name, score and class in any order of rows.
    names : sequence of bytes, optional
        Of the files, in the data set's order: needed when rows have file names, and otherwise for
        the number of samples.

    Returns
    -------
    float[N]
        NaN for a sample without a row.
    """
    array = load_array(path)
    if array.ndim == 1 and array.dtype.kind in "fiu":
        return array
    if array.ndim != 2 or array.shape[1] not in (2, 3) or array.dtype.kind not in "fiuUS":
        raise ValueError(
            f"{path} must be a number for each sample, [N], or rows of index, score and class, "
            f"[N, 3]; got {array.dtype}{list(array.shape)}"
        )
    count = None if names is None else len(names)
    if array.dtype.kind not in "US":
        ids, values = _whole_numbers(array[:, 0], path), array[:, 1].astype(np.float64)
        return score_rows.scatter(ids, values, count, _row_of(path, 0), whole=False)
    keys, texts = (column.tolist() for column in array[:, :2].T)
    if array.dtype.kind == "S":
        keys, texts = ([os.fsdecode(cell) for cell in cells] for cells in (keys, texts))
    ids = score_rows.ids_of(keys, _row_of(path, 0), names)
    return score_rows.scatter(
        ids, score_rows.numbers(texts, _row_of(path, 1)), count, _row_of(path, 0), whole=False
    )


def _row_of(path: str | os.PathLike[str], column: int) -> score_rows.Place:
    return lambda row: f"{path}, [{row}, {column}]"


def _whole_numbers(index: NDArray[Any], path: str | os.PathLike[str]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        ids = index.astype(np.int64)
    if len(odd := np.flatnonzero(ids != index)):
        raise ValueError(f"{_row_of(path, 0)(int(odd[0]))}: expected an id, got {index[odd[0]]}")
    return ids


def from_csv(
    path: str | os.PathLike[str],
    column: str | None = None,
    names: Sequence[bytes] | None = None,
    *,
    index: str | None = None,
    in_order: bool = False,
) -> NDArray[np.float64]:
    """Read scores from a CSV file with a line of headings.

    Parameters
    ----------
    path : path
        Separated by commas, in UTF-8, with a row for each sample and a line break after the last.
    column : str, optional
        The column of scores; needed when there are several. A score is a decimal number, inf, or
        nan for a sample without a score.
    names : sequence of bytes, optional
        As in `from_npy`.
    index : str, optional
        The column of ids or file names that says which sample a row is. By default the one that
        is called index, idx, id, sample or sample_id, or, with file names, name, path, file,
        filename or file_name, in capitals or not.
    in_order : bool
        No column says it: rows are in the data set's order. A file of one column always is.

    Raises
    ------
    ValueError, IndexError
        With line, column and what was found there; with the columns, when none of them says which
        sample a row is.
    """
    found = csv_file.read(path)
    key = _index_column(found, index, in_order)
    column = _score_column(found, column, key)
    values = score_rows.numbers(found.column(column), partial(found.place, heading=column))
    if key is None:
        if found.blank is not None:
            raise ValueError(
                f"{path}, line {found.blank}: is blank, and rows in the data set's order have a "
                "score each; nan is that of a sample without one"
            )
        return values
    where = partial(found.place, heading=key)
    only_names = index is None and key.lower() in FILE_COLUMNS
    ids = score_rows.ids_of(found.column(key), where, names, only_names=only_names)
    count = None if names is None else len(names)
    return score_rows.scatter(ids, values, count, where, whole=True)


def _index_column(found: csv_file.CsvFile, index: str | None, in_order: bool) -> str | None:
    """Column that says which sample a row is; None when rows are in the data set's order."""
    if in_order:
        if index is not None:
            raise ValueError("--index and --in-order exclude each other")
        return None
    if index is not None:
        return choice(index.strip(), "--index", tuple(found.headings))
    known = [name for name in found.headings if name.lower() in (*ID_COLUMNS, *FILE_COLUMNS)]
    if len(known) == 1:
        return known[0]
    if not known and len(found.headings) == 1:
        return None
    which = f"{len(known)} of them may" if known else "none of them is known to"
    raise ValueError(
        f"{found.path} has columns {found.listed}: {which} say which sample a row is; --index "
        "COLUMN names the one that does, --in-order says that rows are in the data set's order"
    )


def _score_column(found: csv_file.CsvFile, column: str | None, key: str | None) -> str:
    columns = tuple(name for name in found.headings if name != key)
    if column is not None:
        return choice(column.strip(), "--score", columns)
    if len(columns) != 1:
        raise ValueError(f"{found.path} has columns {found.listed}: name one with --score")
    if score_rows.is_number(columns[0]):
        raise ValueError(
            f"{found.path}, line 1: expected headings, got {found.listed}; --score "
            f"{columns[0]} says that it is one"
        )
    return columns[0]


def from_sampler(path: str | os.PathLike[str], column: str | None = None) -> NDArray[np.float32]:
    """Read a column of the table that `sampler.save` wrote, with the observations since its fold.

    Samples that were never predicted correctly have infinitely many forgetting events.

    Parameters
    ----------
    path : path
    column : str, optional
        Needed when the table has several.
    """
    return column_of(saved_table.read(path), path, column)


def column_of(
    saved: saved_table.SavedTable, path: str | os.PathLike[str], column: str | None
) -> NDArray[np.float32]:
    """Return a column of a saved table as scores; see `from_sampler`."""
    table = saved.table
    if column is None and len([*table]) != 1:
        raise ValueError(f"{path} has columns {', '.join(table)}: name one with --score")
    column = choice(next(iter(table)) if column is None else column, "score", (*table,))
    if isinstance(table.columns.get(column), Transitions):
        return _forgetting(table, column)
    return host(table[column])


def _forgetting(table: ScoreTable, column: str) -> NDArray[np.float32]:
    alone = ScoreTable(table.num_samples, {"forgetting": table.columns[column]})
    parts = ("transitions", "presentations", "previous", "ever_correct")
    state = {f"forgetting/{part}": host(table.part(column, part)) for part in parts}
    alone.load({**state, "seen": host(table.seen)})
    return host(Forgetting().score(alone))


def to_dataset_order(
    scores: NDArray[Any],
    labels: NDArray[Any],
    class_sort: str | NDArray[np.int64] = "only",
) -> NDArray[Any]:
    """Put scores of samples that were sorted by class in the data set's order.

    Data Diet sorts the data by class and numbers what results. Its sort is not a stable one, so the
    labels alone do not say where equal ones went.

    Parameters
    ----------
    scores : float[N]
        Scores in class-sorted order.
    labels : int[N]
        Classes in the data set's order.
    class_sort : "only", "stable", "numpy" or int64[N]
        How samples of one class were ordered: in the one way that a stable sort and numpy's default
        agree on, an error when they do not; by a stable sort; by numpy's default sort, as published
        (it depends on the version and the machine); or the permutation itself.
    """
    if labels.ndim != 1 or labels.shape != scores.shape or labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be int[{len(scores)}], one for each score, got "
            f"{labels.dtype}{list(labels.shape)}"
        )
    if isinstance(class_sort, str):
        choice(class_sort, "class_sort", CLASS_SORTS)
        stable, default = np.argsort(labels, kind="stable"), np.argsort(labels.astype(np.int64))
        order = default if class_sort == "numpy" else stable
        if class_sort == "only" and not np.array_equal(scores[np.argsort(stable)],
                                                       scores[np.argsort(default)]):  # fmt: skip
            ties = int(np.count_nonzero(stable != default))
            raise ValueError(
                f"ambiguous: labels have ties, and {ties} of {len(labels)} samples are elsewhere "
                'after an unstable sort; class_sort="stable", "numpy" or the permutation says '
                "which sort it was"
            )
    else:
        order = np.asarray(class_sort)
        if order.dtype.kind not in "iu" or not np.array_equal(
            np.sort(order), np.arange(len(scores))
        ):
            raise ValueError(f"class_sort must be a permutation of 0 to {len(scores) - 1}")
        if (np.diff(labels[order].astype(np.int64)) < 0).any():
            raise ValueError("class_sort must order the labels, and does not")
    result = np.empty_like(scores)
    result[order] = scores
    return result
