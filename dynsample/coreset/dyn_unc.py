"""Dynamic uncertainty from recorded probabilities, a file an epoch, in the memory of one window."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from dynsample import _core
from dynsample.kernels.checks import MAX_SAMPLES, integer

FOLDER = "pred_prob_history"
_BLOCK = 1 << 22  # bytes of text that are in memory at once
_READERS = 2  # each holds an epoch of numbers
_LEAST = np.finfo(np.float32).smallest_subnormal


class DynUnc:
    """Uncertainty of every sample, epoch by epoch: N windows, N counts, N sums.

    Windows are float32 as long as that holds every probability exactly, as it does for those of
    networks; from the first other one on they are float64.

    Parameters
    ----------
    num_samples : int
    window : int
        Epochs in a window, at least 2.

    References
    ----------
    He et al., "Large-scale Dataset Pruning with Dynamic Uncertainty", 2023, equations 2 and 3.
    """

    def __init__(self, num_samples: int, window: int = 10) -> None:
        self.num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        self.window = integer(window, "window", 2, MAX_SAMPLES)
        self.values: NDArray[np.float32] | NDArray[np.float64]
        self.values = np.zeros(self.num_samples * self.window, np.float32)
        self.count = np.zeros(self.num_samples, np.uint32)
        self.sum = np.zeros(self.num_samples, np.float64)
        self.epochs = self.added = 0

    def add(self, probabilities: NDArray[np.float64], *, last: bool = False) -> None:
        """Take an epoch: float64[N], 0 for a sample that was not seen.

        Parameters
        ----------
        probabilities : float64[N]
        last : bool
            The last epoch of the run does not count, as published.
        """
        if probabilities.shape != (self.num_samples,):
            raise ValueError(
                f"probabilities must have shape ({self.num_samples},), got {probabilities.shape}"
            )
        if self.values.dtype == np.float32 and not _core.fit_floats(probabilities):
            self.values = self.values.astype(np.float64)
        self.epochs += 1
        counts = self.epochs >= self.window and not last
        _core.add_epoch(probabilities, self.values, self.count, self.sum, counts)
        self.added += counts

    def score(self) -> NDArray[np.float64]:
        """Mean uncertainty, float64[N]; NaN for a sample that was never seen."""
        if not self.added:
            raise ValueError(
                f"window must be less than the number of epochs: {self.window} of {self.epochs}"
            )
        return np.where(self.count > 0, self.sum / self.added, np.nan)

    @property
    def nbytes(self) -> int:
        """Bytes of all that is kept between epochs."""
        return self.values.nbytes + self.count.nbytes + self.sum.nbytes


def find(folder: str | os.PathLike[str]) -> list[Path]:
    """List `prob_<e>.txt` of a folder, or of its `pred_prob_history`, by epoch.

    Raises
    ------
    ValueError
        For an epoch that is missing, or there twice.
    """
    root = Path(folder)
    root = root / FOLDER if (root / FOLDER).is_dir() else root
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is no folder of prob_<epoch>.txt files")
    found = sorted(
        (int(match[1]), path)
        for path in root.iterdir()
        if (match := re.fullmatch(r"prob_(\d+)\.txt", path.name))
    )
    if not found:
        raise FileNotFoundError(f"{root} holds no prob_<epoch>.txt")
    first = found[0][0]
    for place, (epoch, path) in enumerate(found):
        if epoch != first + place:
            what = "is missing" if epoch > first + place else f"is there twice, also as {path.name}"
            raise ValueError(f"{root}: prob_{min(epoch, first + place)}.txt {what}")
    return [path for _, path in found]


def read_numbers(path: str | os.PathLike[str], out: NDArray[np.float64]) -> None:
    """Read one number a line into `out`, float64[N].

    Raises
    ------
    ValueError
        With file and line, for text that is no number; for more or fewer than N of them.
    """
    numbers = lines = at = 0
    block = _BLOCK
    with open(path, "rb") as file, _mapped(file) as (text, forget):
        while at < len(text):
            stop = min(at + block, len(text))
            forget(at)
            try:
                with text[at:stop] as part:
                    found, used, ended = _core.parse_lines(part, stop == len(text), out, numbers)
            except ValueError as error:
                raise ValueError(f"{path}, {_shifted(str(error), lines)}") from None
            block = _BLOCK if used else 2 * block  # a line longer than that
            numbers, lines, at = numbers + found, lines + ended, at + used
    if numbers != len(out):
        raise ValueError(
            f"{path} must have {len(out)} numbers, one for every sample, has {numbers}"
        )


@contextmanager
def _mapped(file: IO[bytes]) -> Iterator[tuple[memoryview, Callable[[int], None]]]:
    """Yield the content of a file without copying it, and how to give memory back up to a byte."""
    if not os.fstat(file.fileno()).st_size:  # nothing to map
        yield memoryview(b""), lambda at: None
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:

        def forget(at: int) -> None:
            if done := at // mmap.PAGESIZE * mmap.PAGESIZE:
                content.madvise(mmap.MADV_DONTNEED, 0, done)

        with memoryview(content) as text:
            yield text, forget


def _shifted(message: str, lines: int) -> str:
    """Count the line of a message from the start of the file."""
    return re.sub(r"line (\d+)", lambda match: f"line {int(match[1]) + lines}", message, count=1)


def write_probabilities(
    folder: str | os.PathLike[str],
    epoch: int,
    probabilities: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> Path:
    """Write an epoch as `pred_prob_history/prob_<epoch>.txt`, whole or not at all.

    A sample that was not seen is 0, and a probability that is 0 in float32 the next above it.

    Parameters
    ----------
    folder : path
    epoch : int
    probabilities : float32[N]
    seen : bool[N]
    """
    root = Path(folder) / FOLDER
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"prob_{epoch}.txt"
    partial = path.with_suffix(".partial")
    np.savetxt(partial, np.where(seen, np.maximum(probabilities, _LEAST), 0).astype(np.float32))
    os.replace(partial, path)
    return path


def dyn_unc(
    files: Sequence[Path],
    num_samples: int,
    window: int = 10,
    *,
    progress: Callable[[], None] = lambda: None,
) -> DynUnc:
    """Read all files of a run, the first epoch first, and give what they add up to.

    Parameters
    ----------
    files : sequence of path
        See `find`.
    num_samples : int
        Numbers in each.
    window : int
        In [2, number of files).
    progress : callable
        Called after every file.
    """
    if len(files) <= window:
        raise ValueError(
            f"window must be less than the number of epochs, {len(files)}, as the last does not "
            f"count; got {window}"
        )
    state = DynUnc(num_samples, window)
    for number, probabilities in enumerate(_read_ahead(files, num_samples)):
        state.add(probabilities, last=number == len(files) - 1)
        progress()
    return state


def _read_ahead(files: Sequence[Path], num_samples: int) -> Iterator[NDArray[np.float64]]:
    """Yield the numbers of each file in turn, while threads read the next; good until the next."""
    readers = min(_core.num_threads(), _READERS, len(files))
    free = [np.empty(num_samples, np.float64) for _ in range(readers + 1)]

    def read(path: Path, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        read_numbers(path, numbers)
        return numbers

    with ThreadPoolExecutor(readers) as pool:  # parsing lets go of the lock
        waiting = [pool.submit(read, path, free.pop()) for path in files[:readers]]
        try:
            for number in range(len(files)):
                if number + readers < len(files):
                    waiting.append(pool.submit(read, files[number + readers], free.pop()))
                numbers = waiting.pop(0).result()
                yield numbers
                free.append(numbers)
        finally:
            for future in waiting:
                future.cancel()
