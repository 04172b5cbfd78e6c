"""What the ranks that train together can ask of each other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample.groups.calls import Calls
from dynsample.groups.flat import Bytes, as_bytes, one_dimensional, split, summable, words
from dynsample.groups.standing import GroupError, brief

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

T = TypeVar("T")

TIME_LIMIT = 600.0
_SCAN_BYTES = 2**26  # gathered at a time where a transport has no scan of its own

__all__ = ["TIME_LIMIT", "Group", "GroupError"]


class Group(Calls):
    """The ranks that train together.

    All methods are collective: every rank makes the same calls in the same order. No call waits
    longer than the time limit. `what` says what the call is for, and stands in the error.

    Every call begins with the same small exchange, in which the ranks compare which call it is and
    what it is for. Ranks that are out of step all raise a `GroupError` that says what each was
    doing, before anything else moves. A group whose call was left in the middle is broken: every
    later call raises.

    Attributes
    ----------
    rank : int
    size : int
    time_limit : float
    device_group : torch.distributed.ProcessGroup or None
        What carries CUDA tensors between the ranks; None: they go through the host.

    Examples
    --------
    >>> ds.groups.simulate(2, lambda group: group.sum([group.rank + 1], "an example").tolist())
    [[3], [3]]
    """

    device_group: ProcessGroup | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> Group:
        """Return the group itself: it stands for the ranks, and they are not copied."""
        return self

    def __reduce__(self) -> str | tuple[object, ...]:
        if self.size > 1:
            raise TypeError(
                f"a group of {self.size} ranks cannot be pickled, nor can a sampler of one: it is "
                "of this process. Make the sampler where it is used, and bring its state there by "
                "sampler.save(path) and load(path), or state_dict()"
            )
        return super().__reduce__()

    def sum(self, values: ArrayLike, what: str) -> NDArray[Any]:
        """Elementwise sum over the ranks.

        Parameters
        ----------
        values : (u)int64 or (u)int32 array
            The same shape and dtype on all ranks. Sums wrap modulo 2**bits.
        what : str

        Returns
        -------
        array of the shape and dtype of `values`, the same on every rank
        """
        array = summable(values)
        if self.size == 1:
            return np.array(array)
        flat = words(array)
        with self._call(what):
            _, small = self._meet(f"sum of {array.dtype.str} {array.shape}", what, as_bytes(flat))
            if small is None:
                total = self._sum(flat, what)
            else:
                total = small.view(flat.dtype).sum(axis=0, dtype=flat.dtype)
        return total.view(array.dtype).reshape(array.shape)

    def exclusive_scan(self, values: ArrayLike, what: str) -> NDArray[Any]:
        """Elementwise sum over the lower ranks: zeros on rank 0. Else like `sum`."""
        array = summable(values)
        flat = words(array)
        with self._call(what):
            _, small = self._meet(f"scan of {array.dtype.str} {array.shape}", what, as_bytes(flat))
            if small is None:
                below = self._scan(flat, what)
            else:
                below = small.view(flat.dtype)[: self.rank].sum(axis=0, dtype=flat.dtype)
        return below.view(array.dtype).reshape(array.shape)

    def all_gather(self, values: ArrayLike, what: str) -> list[NDArray[Any]]:
        """Give every rank the array of every rank.

        Parameters
        ----------
        values : array [n]
            The same dtype on all ranks, but not object; each rank has a length of its own.
        what : str

        Returns
        -------
        list of arrays, by rank
        """
        array = one_dimensional(values, "values")
        if self.size == 1:
            return [np.array(array)]
        sent = as_bytes(array)
        with self._call(what):
            lengths, small = self._meet(f"gather of {array.dtype.str}", what, sent)
            if small is None:
                parts = self._all_gather(sent, lengths, what)
            else:
                parts = [row[:length] for row, length in zip(small, lengths, strict=True)]
        return [part.view(array.dtype) for part in parts]

    def all_to_all(self, parts: Sequence[ArrayLike], what: str) -> list[NDArray[Any]]:
        """Send `parts[r]` to rank r, and receive a part from every rank.

        Parameters
        ----------
        parts : sequence of arrays [n], one for each rank
            The same dtype on all ranks, but not object; each part has a length of its own.
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
        lengths = np.array([array.nbytes for array in arrays], np.int64)
        sent = np.concatenate([as_bytes(array) for array in arrays])
        received, counts = self._exchanged(sent, lengths, dtype, what)
        return [part.view(dtype) for part in split(received, counts)]

    def exchange(self, values: ArrayLike, counts: ArrayLike, what: str) -> NDArray[Any]:
        """Send consecutive parts of an array, one to each rank, and receive theirs in one array.

        As `all_to_all`, without an array for every part: of a thousand ranks that is a million.

        Parameters
        ----------
        values : array [n]
            The same dtype on all ranks, but not object.
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
        return self._exchanged(as_bytes(array), lengths, array.dtype, what)[0].view(array.dtype)

    def _exchanged(
        self, sent: Bytes, lengths: NDArray[np.int64], dtype: np.dtype, what: str
    ) -> tuple[Bytes, NDArray[np.int64]]:
        longest = int(lengths.max())
        with self._call(what):
            told, small = self._meet(f"exchange of {dtype.str}", what, as_bytes(lengths), longest)
            if small is None:
                counts = self._turn(lengths, what)
            else:
                counts = small.view(np.int64)[:, self.rank]
            return self._exchange(sent, lengths, counts, max(told), what), counts

    def barrier(self, what: str) -> None:
        """Return when every rank has made this call."""
        with self._call(what):
            self._meet("barrier", what)

    def agree(self, call: Callable[[], T], what: str) -> T:
        """Run `call` on every rank, and go on only where it succeeded on all of them.

        Raises
        ------
        GroupError
            When another rank's call raised; the message names the first. A rank whose own call
            raised sees that exception.
        """
        if self.size == 1:
            return call()
        with self.whole(what):
            error: BaseException | None = None
            try:
                result = call()
            except BaseException as raised:
                error = raised
            text = "" if error is None else brief(error)
            try:
                sent = np.frombuffer(text.encode("utf-8", "replace"), np.uint8)
                texts = self.all_gather(sent, what)
            except GroupError:
                if error is not None:
                    raise error from None  # the cause, not what came of it
                raise
            if error is not None:
                raise error
            for rank, failure in enumerate(texts):
                if len(failure):
                    reason = failure.tobytes().decode()
                    raise GroupError(f"{what} failed on rank {rank} of {self.size}: {reason}")
            return result

    @abstractmethod
    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        """Sum words, which are unsigned, flat and at most 2**31 - 1; the result is a new array."""

    def _scan(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        result = np.zeros_like(words)
        step = max(1, _SCAN_BYTES // (self.size * words.itemsize))
        for start in range(0, len(words), step):
            piece = slice(start, start + step)
            for part in self._gather_rows(words[piece], what)[: self.rank]:
                result[piece] += part
        return result

    @abstractmethod
    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        """Gather bytes of these lengths, in new arrays whose start is aligned like `sent`."""

    @abstractmethod
    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        """Send values[r] to rank r; return what came, by rank."""

    @abstractmethod
    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        """Send lengths[r] consecutive bytes to rank r, and receive counts[r] of it.

        `longest` is the length of the longest part that any rank sends.
        """
