"""The door for names: samples that go by names, uids or paths."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.convert import as_ids, to_host
from dynsample.kernels.numbers import sequence

_DIGEST = 16  # bytes of a hash
_SHOWN = 3  # names in a message
_INTEGER = re.compile(rb"0|-?[1-9][0-9]*")  # as it is encoded: int() takes 1_2, +12 and 012 too
Name: TypeAlias = "str | bytes | int"
Rows: TypeAlias = NDArray[np.int64]
Hashes: TypeAlias = NDArray[np.uint64]  # [2, N]
NamesOf: TypeAlias = "Callable[[NDArray[np.int64]], Sequence[str | bytes | int]]"
Names: TypeAlias = "Iterable[str | bytes | int | os.PathLike[str]]"


def _integer(text: bytes) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"a name must be an integer, as the keys are, got {text!r:.80}")
    return int(text)


_ENCODE: dict[str, Callable[[Name], bytes]] = {
    # Not str(name), which a member of an Enum answers with the name of its class.
    "str": lambda name: str.encode(name, "utf-8", "surrogateescape"),  # type: ignore[arg-type]
    "bytes": lambda name: bytes(name),  # type: ignore[arg-type]
    "int": lambda name: b"%d" % int(name),
}
_DECODE: dict[str, Callable[[bytes], Name]] = {
    "str": lambda text: text.decode("utf-8", "surrogateescape"),
    "bytes": bytes,
    "int": _integer,
}


class Keys:
    """Names of all samples of a data set, in its order: from a name to its row, and back.

    A name is found by its 128-bit hash, among all hashes in ascending order. Nothing changes after
    it is made, and it pickles.

    Parameters
    ----------
    names : iterable of str, bytes, int or os.PathLike
        One for each sample; also an array, or a column of a data frame, of these. All are of one
        kind, and no two are the same. A path stands for its text.

    Attributes
    ----------
    kind : "str", "bytes" or "int"

    Raises
    ------
    TypeError
        For what is no name, for names of more than one kind, and for a set, which has no order.
    ValueError
        For a name that is there twice, and for two names with the same hash; with both places.

    Notes
    -----
    A name takes 24 bytes for its hash and its row, 8 for where it is, and its own.

    numpy takes zeros at the end of its strings, of dtype S and U, for padding, and gives names
    without them: digests go into a list of bytes, or an array of dtype V.

    Examples
    --------
    >>> import dynsample as ds
    >>> keys = ds.Keys(["cat.jpg", "dog.jpg", "owl.jpg"])
    >>> keys.rows(["owl.jpg", "cat.jpg"]).tolist()
    [2, 0]
    >>> keys.names([1])
    ['dog.jpg']
    """

    kind: str
    _text: NDArray[np.uint8]  # all names, in the order of the rows
    _ends: NDArray[np.int64]  # 0, and where each name ends in it

    def __init__(self, names: Names) -> None:
        given = _listed(names)
        kind = _kind_of(given[0]) if given else "str"
        encoded = _encoded(given, kind)
        ends = np.append(0, np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded))))
        text = np.frombuffer(b"".join(encoded), np.uint8)
        vars(self).update(kind=kind, _text=text, _ends=ends, _sorted=_sort(kind, encoded))

    @classmethod
    def restored(cls, saved: Mapping[str, NDArray[np.unsignedinteger]]) -> Keys:
        """Return the keys whose `state` this is; their hashes wait until they are needed.

        Raises
        ------
        ValueError
            When it is none.
        """
        kind = next((name for name in saved if name in _DECODE), "")
        if saved.keys() != {kind, "lengths"}:
            raise ValueError(f"keys must be names and lengths, got {', '.join(saved) or 'nothing'}")
        lengths, text = saved["lengths"], saved[kind]
        if lengths.dtype != np.uint32 or lengths.ndim != 1:
            found = f"{lengths.dtype}{list(lengths.shape)}"
            raise ValueError(f"lengths must be uint32, one for each name, got {found}")
        ends = np.append(0, np.cumsum(lengths, dtype=np.int64))
        if text.dtype != np.uint8 or text.shape != (ends[-1],):
            found = f"{text.dtype}{list(text.shape)}"
            raise ValueError(f"names must be uint8[{ends[-1]}], by their lengths, got {found}")
        keys = cls.__new__(cls)
        vars(keys).update(kind=kind, _text=text, _ends=ends)
        return keys

    @cached_property
    def _sorted(self) -> tuple[Hashes, Rows]:
        """The hashes in ascending order, and their rows."""
        return _sort(self.kind, self._parts(self._ends[:-1], self._ends[1:]))

    def _parts(self, first: Rows, last: Rows) -> list[bytes]:
        places = zip(first.tolist(), last.tolist(), strict=True)
        return [self._text[begin:end].tobytes() for begin, end in places]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"keys do not change: {name} cannot be set")

    def __deepcopy__(self, memo: object) -> Keys:
        return self

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __repr__(self) -> str:
        shown = [repr(name) for name in self.names(range(min(len(self), _SHOWN)))]
        more = ["..."] if len(self) > _SHOWN else []
        return f"Keys([{', '.join(shown + more)}], num_samples={len(self)})"

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the names and of their order: 128 bits as 32 hexadecimal digits."""
        hashes, rows = self._sorted
        by_row = np.empty((len(rows), 2), ">u8")
        by_row[rows] = hashes.T
        identity = blake2b(self.kind.encode(), digest_size=_DIGEST)
        identity.update(by_row.tobytes())
        return identity.hexdigest()

    def rows(self, names: Names) -> NDArray[np.int64]:
        """Return the row of every name, which is the id of the sample in the data set.

        Parameters
        ----------
        names : iterable of B names, of the kind that the keys are

        Returns
        -------
        int64[B]

        Raises
        ------
        KeyError
            For names that are not among the keys: the first, and how many they are.
        TypeError
            For what is no name of this kind.
        """
        given, ((high, low), rows) = _listed(names), self._sorted
        wanted, wanted_low = _hashes_of(_encoded(given, self.kind))
        places = np.searchsorted(high, wanted)
        found = np.zeros(len(places), np.bool_)
        left = np.flatnonzero(places < len(rows))
        while len(left):  # nearly always once: those with the same upper half stand together
            here = places[left]
            found[left] = (high[here] == wanted[left]) & (low[here] == wanted_low[left])
            left = left[(high[here] == wanted[left]) & (low[here] < wanted_low[left])]
            places[left] += 1
            left = left[places[left] < len(rows)]
        if not found.all():
            raise KeyError(
                f"{np.count_nonzero(~found)} of {len(given)} names are not among the {len(self)} "
                f"keys, the first {given[int(np.argmin(found))]!r:.80}"
            )
        found_rows: Rows = rows[places]
        return found_rows

    def names(self, ids: object) -> list[Name]:
        """Return the names of samples.

        Parameters
        ----------
        ids : int[B]

        Returns
        -------
        list of B names

        Raises
        ------
        IndexError
            For an id that no sample has.
        """
        return self.decoded(self.encoded(ids))

    def encoded(self, ids: object) -> list[bytes]:
        """Return the names of samples as bytes: text in UTF-8, a number in digits."""
        rows = as_ids(sequence(ids, "ids"), "ids")
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            wrong = rows.min() if rows.min() < 0 else rows.max()
            raise IndexError(f"ids must be in [0, {len(self)}), got {wrong}")
        return self._parts(self._ends[rows], self._ends[rows + 1])

    def decoded(self, encoded: Iterable[bytes]) -> list[Name]:
        """Return the names that `encoded` gave, or lines of a file."""
        return list(map(_DECODE[self.kind], encoded))

    def text(self, first: int, last: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Return the `encoded` names of rows [first, last) in one block; 0, and where each ends."""
        ends = self._ends[first : last + 1]
        return self._text[ends[0] : ends[-1]], ends - ends[0]

    def state(self) -> dict[str, NDArray[np.unsignedinteger]]:
        """Return what a saved state holds: the names by their kind, uint8, and their `lengths`."""
        return {self.kind: self._text, "lengths": np.diff(self._ends).astype(np.uint32)}


def encoded(name: Name) -> bytes:
    """Return a name as bytes: text in UTF-8, a number in digits."""
    return _ENCODE[_kind_of(name)](name)


def _hash(name: bytes) -> bytes:
    return blake2b(name, digest_size=_DIGEST).digest()


def _hashes_of(encoded: list[bytes]) -> Hashes:
    """Return the upper and the lower halves of the hashes."""
    halves = np.frombuffer(b"".join(map(_hash, encoded)), ">u8").reshape(-1, 2)
    return np.ascontiguousarray(halves.T, np.uint64)


def _sort(kind: str, encoded: list[bytes]) -> tuple[Hashes, Rows]:
    hashes = _hashes_of(encoded)
    rows = np.lexsort(hashes[::-1])
    ordered = hashes[:, rows]
    same = np.flatnonzero((ordered[:, 1:] == ordered[:, :-1]).all(0))
    if len(same):
        raise _not_different(kind, encoded, sorted(rows[same[0] : same[0] + 2].tolist()))
    return ordered, rows


def as_keys(keys: object, num_samples: int) -> Keys:
    """Return the keys of a data set of this many samples."""
    if not isinstance(keys, Keys):
        raise TypeError(f"keys must be a dynsample.Keys, got {type(keys).__name__}")
    if len(keys) != num_samples:
        raise ValueError(f"keys must have num_samples = {num_samples} names, got {len(keys)}")
    return keys


def _listed(names: object) -> Sequence[object]:
    """Return names as objects of Python."""
    if isinstance(names, (str, bytes)) or not isinstance(names, Iterable):
        raise TypeError(
            f"names must be many, as in a list, got {type(names).__name__} {names!r:.80}"
        )
    if isinstance(names, (set, frozenset)):
        raise TypeError(f"names must be in an order, as in a list, got a {type(names).__name__}")
    if (dimensions := getattr(names, "ndim", 1)) != 1:  # a data frame gives those of its columns
        kind = type(names).__name__
        raise TypeError(f"names must have one dimension, got {kind} with {dimensions}")
    if hasattr(names, "to_pylist"):  # Arrow
        return list(names.to_pylist())
    if hasattr(names, "tolist"):  # numpy, torch, pandas
        names = to_host(names)
        if isinstance(names, np.ndarray) and names.dtype.kind in "mM":  # some would be numbers
            raise TypeError(f"names must be text, bytes or integers, got {names.dtype}")
        return list(names.tolist())  # type: ignore[attr-defined]
    return names if isinstance(names, list) else list(names)


def _kind_of(name: object) -> str:
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    for kind in (str, bytes, int):
        if isinstance(name, kind) and not isinstance(name, bool):
            return kind.__name__
    if isinstance(name, np.integer):
        return "int"
    raise TypeError(
        f"a name must be a str, bytes, an int or a path, got {type(name).__name__} {name!r:.80}"
    )


def _encoded(given: Sequence[object], kind: str) -> list[bytes]:
    """Return names, all of one kind, as bytes that are the same for the same name only."""
    plain = {"str": str, "bytes": bytes, "int": int}[kind]
    if set(map(type, given)) <= {plain}:
        names: Sequence[object] = given
    else:
        for place, name in enumerate(given):
            if (found := _kind_of(name)) != kind:
                raise TypeError(
                    f"names must be of one kind, {kind}, got {found} {name!r:.80} at {place}"
                )
        names = [os.fspath(name) if isinstance(name, os.PathLike) else name for name in given]
    try:
        return list(map(_ENCODE[kind], names))  # type: ignore[arg-type]
    except UnicodeEncodeError as error:
        raise ValueError(f"a name must be text, got {error.object!r:.80}: {error.reason}") from None


def _not_different(kind: str, encoded: list[bytes], places: list[int]) -> ValueError:
    first, second = places
    one, other = (_DECODE[kind](encoded[place]) for place in places)
    if one == other:
        return ValueError(f"names must differ, got {one!r} at {first} and at {second}")
    return ValueError(
        f"names must have different hashes, got the same of {one!r} at {first} and of {other!r} at "
        f"{second}: change one of them"
    )
