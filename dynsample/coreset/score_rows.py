"""Scores in rows of any order: which sample each row is, and what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import MAX_SAMPLES

# What float() and int() take beside these is more likely a mistake: 1_2, and digits of any script.
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE
)
_ID = re.compile(r"(-?(?:0|[1-9][0-9]{0,17}))(?:\.0*)?")
Place = Callable[[int], str]  # row -> where it is, for a message


def is_number(text: str) -> bool:
    """Whether this is a decimal number, nan or inf."""
    return _NUMBER.fullmatch(text.strip()) is not None


def numbers(texts: Sequence[str], place: Place) -> NDArray[np.float64]:
    """Read scores.

    Raises
    ------
    ValueError
        For text that is no decimal number, nan or inf, and for a number beyond float64.
    """
    values = np.array([float(text) if is_number(text) else 0.0 for text in texts], np.float64)
    suspects = np.flatnonzero((values == 0) | np.isinf(values)).tolist()
    for row in suspects:
        text = texts[row]
        if not is_number(text) or (np.isinf(values[row]) and "n" not in text.lower()):
            hint = "" if text.strip() else " (nan for a sample without a score)"
            raise ValueError(f"{place(row)}: expected a number{hint}, got {text!r}")
    return values


def ids_of(
    keys: Sequence[str], place: Place, names: Sequence[bytes] | None, *, only_names: bool = False
) -> NDArray[np.int64]:
    """Return the samples that the keys of rows name, by id or by file name.

    Parameters
    ----------
    keys : sequence of str
        All are ids, or all are of `names`; a slash at the front does not matter.
    place : callable
    names : sequence of bytes, optional
        Names of the files, in the data set's order.
    only_names : bool
        A key that looks like an id is a name nevertheless.
    """
    ids = [] if only_names else [_ID.fullmatch(key.strip()) for key in keys]
    if not only_names and all(ids):
        return np.array([int(match[1]) for match in ids if match], np.int64)
    odd = next((row for row, match in enumerate(ids) if not match), 0)
    expected = "a name of the file list" if only_names else "an id, or a name of the file list"
    if names is None:
        raise ValueError(
            f"{place(odd)}: expected {expected}, got {keys[odd]!r}; --file-list gives the names"
        )
    row_of = {name.lstrip(b"/"): row for row, name in enumerate(names)}
    if len(row_of) != len(names):
        raise ValueError(
            f"file_list must not repeat names when scores go by name: {len(names) - len(row_of)} "
            "are repeated"
        )
    found = [row_of.get(_encoded(key).lstrip(b"/"), -1) for key in keys]
    if unknown := [row for row, sample in enumerate(found) if sample < 0]:
        row = odd if odd in unknown else unknown[0]
        raise ValueError(
            f"{place(row)}: expected {expected}, got {keys[row]!r}; the list lacks "
            f"{len(unknown)} of {len(keys)}"
        )
    return np.array(found, np.int64)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def scatter(
    ids: NDArray[np.int64],
    values: NDArray[np.float64],
    count: int | None,
    place: Place,
    *,
    whole: bool,
) -> NDArray[np.float64]:
    """Put values where their ids say.

    Parameters
    ----------
    ids : int64[M]
    values : float64[M]
    count : int or None
        Number of samples; None: the highest id and one.
    place : callable
    whole : bool
        Every sample must have one row. Otherwise a sample without one is NaN, and one with several
        must have the same value in each.

    Raises
    ------
    IndexError
        For an id outside the data set.
    ValueError
        For a sample with no row, or with two.
    """
    count = min(int(ids.max(initial=-1)) + 1, MAX_SAMPLES) if count is None else count
    if len(outside := np.flatnonzero((ids < 0) | (ids >= count))):
        row = int(outside[0])
        raise IndexError(f"{place(row)}: an id must be in [0, {count}), got {ids[row]}")
    present, first = np.unique(ids, return_index=True)
    if whole and len(present) < len(ids):
        row = int(np.setdiff1d(np.arange(len(ids)), first)[0])
        before = int(first[np.searchsorted(present, ids[row])])
        raise ValueError(f"{place(row)}: sample {ids[row]} has a row already, see {place(before)}")
    if whole and len(present) < count:
        gaps = np.flatnonzero(present != np.arange(len(present)))
        raise ValueError(
            f"each of {count} samples must have a row, {count - len(present)} have none, the first "
            f"is {gaps[0] if len(gaps) else len(present)} (nan is the score of a sample without "
            f"one); the last row is {place(len(ids) - 1)}"
        )
    scores = np.full(count, np.nan)
    scores[ids] = values
    same = (scores[ids] == values) | (np.isnan(scores[ids]) & np.isnan(values))
    if not same.all():
        row = int(np.flatnonzero(~same)[0])
        raise ValueError(f"{place(row)}: there are two scores for sample {ids[row]}")
    return scores
