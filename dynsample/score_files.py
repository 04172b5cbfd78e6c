"""Scores out of files: .npy, CSV, the table of a saved sampler, recorded probabilities."""

from __future__ import annotations

import ast
import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import checkpoint
from dynsample._checks import choice
from dynsample.columns import EMA, Column, Last, Mean, Transitions, Uncertainty, Window
from dynsample.log import ObservationLog
from dynsample.policies import Forgetting
from dynsample.saved_run import check, check_observed, damaged
from dynsample.table import ScoreTable

INDEX_ORDERS = ("dataset", "class-sorted")
CLASS_SORTS = ("only", "stable", "numpy")
_NAMES = ("index", "id", "name", "path", "file")  # of a CSV's column that says which sample
_KINDS: dict[str, type[Column]] = {
    kind.__name__: kind for kind in (EMA, Last, Mean, Transitions, Uncertainty, Window)
}


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
    array: NDArray[Any] = np.load(path, allow_pickle=False)
    if array.ndim == 1 and array.dtype.kind in "fiu":
        return array
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise ValueError(
            f"{path} must be a number for each sample, [N], or rows of index, score and class, "
            f"[N, 3]; got {array.dtype}{list(array.shape)}"
        )
    keys = array[:, 0].tolist() if array.dtype.kind in "US" else array[:, 0]
    return _scattered(keys, array[:, 1].astype(np.float64), names, str(path))


def _scattered(
    keys: Any, values: NDArray[np.float64], names: Sequence[bytes] | None, path: str
) -> NDArray[np.float64]:
    """Put values where their index or file name says; the same row twice must say the same."""
    rows = np.asarray([_row_number(key) for key in keys], np.float64)
    if np.isnan(rows).any():
        if names is None:
            raise ValueError(f"{path} has file names, which need the data set's file list")
        row_of = {name.lstrip(b"/"): row for row, name in enumerate(names)}
        by_name = [os.fsencode(str(key)).lstrip(b"/") for key in keys]
        if unknown := [name for name in by_name if name not in row_of]:
            raise ValueError(
                f"{path} has {len(unknown)} names that the file list lacks, the first "
                f"{os.fsdecode(unknown[0])}"
            )
        rows = np.asarray([row_of[name] for name in by_name], np.float64)
    count = len(names) if names is not None else int(rows.max(initial=-1)) + 1
    if len(rows) and not 0 <= rows.min() <= rows.max() < count:
        raise IndexError(f"{path}: index must be in [0, {count}), got {rows.min()} to {rows.max()}")
    scores = np.full(count, np.nan)
    index = rows.astype(np.int64)
    scores[index] = values
    same = (scores[index] == values) | (np.isnan(scores[index]) & np.isnan(values))
    if not same.all():
        raise ValueError(f"{path} has two scores for sample {index[~same][0]}")
    return scores


def _row_number(key: Any) -> float:
    try:
        number = float(key)
    except ValueError:
        return np.nan
    return number if number.is_integer() else np.nan


def from_csv(
    path: str | os.PathLike[str], column: str | None = None, names: Sequence[bytes] | None = None
) -> NDArray[np.float64]:
    """Read scores from a CSV file with a line of headings.

    Parameters
    ----------
    path : path
        A column "index", "id", "name", "path" or "file" says which sample a row is; without one,
        rows are in the data set's order.
    column : str, optional
        The column of scores; needed when there are several.
    names : sequence of bytes, optional
        As in `from_npy`.
    """
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} must have a line of headings and a row for each sample")
    key = next((name for name in rows[0] if name.lower() in _NAMES), None)
    columns = [name for name in rows[0] if name != key]
    if column is None and len(columns) != 1:
        raise ValueError(f"{path} has columns {', '.join(columns)}: name one with --score")
    column = choice(columns[0] if column is None else column, "score", tuple(columns))
    values = np.array([float(row[column] or "nan") for row in rows])
    if key is None:
        return values
    return _scattered([row[key] for row in rows], values, names, str(path))


def from_sampler(path: str | os.PathLike[str], column: str | None = None) -> NDArray[np.float32]:
    """Read a column of the table that `sampler.save` wrote, with the observations since its fold.

    Samples that were never predicted correctly have infinitely many forgetting events.

    Parameters
    ----------
    path : path
    column : str, optional
        Needed when the table has several.
    """
    saved = checkpoint.Saved(Path(path))
    check(saved, path)
    identity, epoch = saved.facts["identity"], saved.facts["state"]["epoch"]
    if identity["subset"] is not None:
        raise ValueError(f"{path} is of a run on a subset: its rows are not the data set's ids")
    count = identity["num_samples"]
    rows = saved.cut("table", "", [(part[0], part[1]) for part in saved.parts], (0, count))
    with damaged(path, "the table"):
        if "seen" not in rows:
            raise ValueError("seen is missing")
        declared = {name: _column(text) for name, text in identity["columns"].items()}
        table = ScoreTable(count, declared)
        table.load(rows)
        _fold_rest(saved, table, epoch)
    if column is None and len([*table]) != 1:
        raise ValueError(f"{path} has columns {', '.join(table)}: name one with --score")
    column = choice(next(iter(table)) if column is None else column, "score", (*table,))
    if isinstance(declared.get(column), Transitions):
        return _forgetting(table, column)
    values: NDArray[np.float32] = table[column]
    return values


def _fold_rest(saved: checkpoint.Saved, table: ScoreTable, epoch: int) -> None:
    """Apply the observations of the epoch in which the sampler was saved."""
    signals = {column.signal or name for name, column in table.columns.items()}
    for rank in range(len(saved.parts)):
        observed = saved.read(f"log-{rank:05d}")
        check_observed(observed, signals, table.num_samples)
        log = ObservationLog(table.num_samples, sorted(signals))
        log.restore(observed["index"], {name: observed[f"signal/{name}"] for name in log.signals})
        table.fold(log, epoch=epoch, tickets=observed["ticket"].astype(np.int64))


def _forgetting(table: ScoreTable, column: str) -> NDArray[np.float32]:
    alone = ScoreTable(table.num_samples, {"forgetting": table.columns[column]})
    parts = ("transitions", "presentations", "previous", "ever_correct")
    state = {f"forgetting/{part}": table.part(column, part) for part in parts}
    alone.load({**state, "seen": table.seen})
    scores: NDArray[np.float32] = Forgetting().score(alone)
    return scores


def _column(text: str) -> Column:
    """Make a column of its `repr`, without running anything."""
    try:
        call = ast.parse(text, mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError(f"not a column: {text[:80]!r}") from None
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
        raise ValueError(f"not a column: {text!r}")
    kind = _KINDS[choice(call.func.id, "column", tuple(_KINDS))]
    options: Mapping[str, Any] = {
        str(word.arg): ast.literal_eval(word.value) for word in call.keywords
    }
    return kind(**options)


def to_dataset_order(
    scores: NDArray[Any],
    labels: NDArray[Any],
    class_sort: str | NDArray[np.int64] = "only",
) -> NDArray[Any]:
    """Give scores of samples that were sorted by class the data set's order.

    Data Diet sorts the data by class and numbers what results. Its sort is not a stable one, so the
    labels alone do not say where equal ones went.

    Parameters
    ----------
    scores : float[N]
        In class-sorted order.
    labels : int[N]
        In the data set's order.
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
        order = np.asarray(class_sort, np.int64)
        if not np.array_equal(np.sort(order), np.arange(len(scores))):
            raise ValueError(f"class_sort must be a permutation of 0 to {len(scores) - 1}")
        if (np.diff(labels[order].astype(np.int64)) < 0).any():
            raise ValueError("class_sort must order the labels, and does not")
    result = np.empty_like(scores)
    result[order] = scores
    return result
