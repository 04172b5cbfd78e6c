"""What the ranks that train together can ask of each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.flat import Bytes, as_bytes, one_dimensional, split, summable, words

T = TypeVar("T")

TIME_LIMIT = 600.0
_SCAN_BYTES = 2**26  # gathered at a time where a transport has no scan of its own


class GroupError(RuntimeError):
    """Another rank has failed, died, stalls, or did not make the same call."""


class Group(ABC):
    """The ranks that train together.

    All methods are collective: every rank makes the same calls in the same order. No call waits
    longer than the time limit. `what` says what is waited for, and stands in the error.

    Attributes
    ----------
    rank : int
    size : int
    time_limit : float
        Seconds that any call may wait for the other ranks.
    device_group : torch.distributed.ProcessGroup or None
        What carries CUDA tensors between the ranks; None: they go through the host.
    """

    device_group: Any = None

    def __init__(self, rank: int, size: int, time_limit: float) -> None:
        if not time_limit > 0:
            raise ValueError(f"time_limit must be positive, got {time_limit!r} seconds")
        self.rank, self.size, self.time_limit = rank, size, float(time_limit)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"

    def sum(self, values: Any, what: str) -> NDArray[Any]:
        """Elementwise sum over the ranks.

        Parameters
        ----------
        values : (u)int64 or (u)int32 array
            Of one shape and dtype on all ranks. Sums wrap modulo 2**bits.
        what : str

        Returns
        -------
        array of the shape and dtype of `values`, the same on every rank
        """
        array = summable(values)
        return self._sum(words(array), what).view(array.dtype).reshape(array.shape)

    def exclusive_scan(self, values: Any, what: str) -> NDArray[Any]:
        """Elementwise sum over the lower ranks: zeros on rank 0. Else like `sum`."""
        array = summable(values)
        return self._scan(words(array), what).view(array.dtype).reshape(array.shape)

    def all_gather(self, values: Any, what: str) -> list[NDArray[Any]]:
        """Give every rank the array of every rank.

        Parameters
        ----------
        values : array [n]
            Of one dtype on all ranks, but not object; each rank has a length of its own.
        what : str

        Returns
        -------
        list of arrays, by rank
        """
        array = one_dimensional(values, "values")
        parts = self._all_gather(as_bytes(array), what)
        return [part.view(array.dtype) for part in parts]

    def all_to_all(self, parts: Sequence[Any], what: str) -> list[NDArray[Any]]:
        """Send `parts[r]` to rank r, and receive a part from every rank.

        Parameters
        ----------
        parts : sequence of arrays [n], one for each rank
            Of one dtype on all ranks, but not object; each part has a length of its own.
        what : str

        Returns
        -------
        list of arrays, by the rank that sent them
        """
        arrays = [one_dimensional(part, "parts") for part in parts]
        if len(arrays) != self.size:
            raise ValueError(f"parts must be {self.size}, one for each rank, got {len(arrays)}")
        dtype = arrays[0].dtype
        if any(array.dtype != dtype for array in arrays):
            raise TypeError(f"parts must have one dtype, got {dtype} and others")
        received = self._all_to_all([as_bytes(array) for array in arrays], what)
        return [part.view(dtype) for part in received]

    def exchange(self, values: Any, counts: Any, what: str) -> NDArray[Any]:
        """Send consecutive parts of an array, one to each rank, and receive theirs in one array.

        As `all_to_all`, without an array for every part: of a thousand ranks that is a million.

        Parameters
        ----------
        values : array [n]
            Of one dtype on all ranks, but not object.
        counts : int[P], which add up to n
            Entries for each rank.
        what : str

        Returns
        -------
        array [m], the parts by the rank that sent them
        """
        array = one_dimensional(values, "values")
        lengths = np.asarray(counts, np.int64) * array.itemsize
        if lengths.shape != (self.size,) or lengths.min() < 0 or lengths.sum() != array.nbytes:
            raise ValueError(
                f"counts must be {self.size}, one for each rank, and add up to {len(array)}"
            )
        return self._exchange_bytes(as_bytes(array), lengths, what).view(array.dtype)

    def whole(self, what):
        import contextlib

        return contextlib.nullcontext()

    def barrier(self, what: str) -> None:
        """Return when every rank has made this call."""
        self._sum(np.zeros(1, np.uint32), what)

    def agree(self, call: Callable[[], T], what: str) -> T:
        """Run `call` on every rank, and go on only where it succeeded on all of them.

        Raises
        ------
        GroupError
            When another rank's call raised; the message names the first. A rank whose own call
            raised sees that exception.
        """
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:
            error = raised
        text = "" if error is None else f"{type(error).__name__}: {error}"
        try:
            texts = [""] * self.size
            if self.sum(np.array([error is not None], np.int32), what)[0]:
                sent = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
                texts = [part.tobytes().decode() for part in self.all_gather(sent, what)]
        except GroupError:
            if error is not None:
                raise error from None  # the cause, not what came of it
            raise
        if error is not None:
            raise error
        for rank, failure in enumerate(texts):
            if failure:
                raise GroupError(f"{what} failed on rank {rank} of {self.size}: {failure}")
        return result

    @abstractmethod
    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        """Sum words, which are unsigned, flat and at most 2**31 - 1; the result is a new array."""

    def _scan(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        result = np.zeros_like(words)
        step = max(1, _SCAN_BYTES // (self.size * words.itemsize))
        for start in range(0, len(words), step):
            piece = slice(start, start + step)
            for part in self._all_gather(words[piece].view(np.uint8), what)[: self.rank]:
                result[piece] += part.view(words.dtype)
        return result

    @abstractmethod
    def _all_gather(self, sent: Bytes, what: str) -> list[Bytes]:
        """Gather bytes; the result is of new arrays, whose start is aligned like `sent`."""

    @abstractmethod
    def _all_to_all(self, parts: list[Bytes], what: str) -> list[Bytes]:
        """Exchange bytes; the result is of new arrays, whose start is aligned like `parts`."""

    def _exchange_bytes(self, sent: Bytes, lengths: NDArray[np.int64], what: str) -> Bytes:
        return np.concatenate(self._all_to_all(split(sent, lengths), what))

    def _waited(self, what: str) -> str:
        return (
            f"rank {self.rank} of {self.size} waited {self.time_limit:g} s for {what}: "
            "another rank has died, stalls, or did not make this call"
        )
