"""A report as it is read again."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.fields import Mismatch, anything, parse
from dynsample.disk.files import read_regular
from dynsample.disk.state_files import INDEX
from dynsample.report.record import Record, checked
from dynsample.report.store import FILE, ReportError, read_array
from dynsample.report.writer import LABELS, SUBSET, VERSION, checked_labels

_REQUIRED = ("epoch", "run", "stats", "columns")


@dataclass(frozen=True)
class Run:
    """What a report holds.

    Attributes
    ----------
    folder : Path
    epochs : list of mappings
        One for each epoch, in their order; docs/inspect.md says what they hold.
    replaced : int
        Lines of epochs that were done again, after a load or by a new run: the last ones count.
    torn : bool
        The last line was not whole and is left out.

    Examples
    --------
    >>> ds.Sampler(4, ds.RandomSubset(0.5), report="runs/2").set_epoch(0)
    >>> run = ds.report.read("runs/2")
    >>> len(run.epochs), run.torn
    (1, False)
    """

    folder: Path
    epochs: list[Record]
    replaced: int
    torn: bool

    @cached_property
    def labels(self) -> NDArray[np.integer] | None:
        """Class of every sample, when the folder has labels.npy."""
        path = self.folder / LABELS
        return checked_labels(read_array(path)) if path.exists() else None

    def hidden(self, record: Record) -> NDArray[np.int64] | None:
        """Ids that are hidden in an epoch, ascending; None when the report does not say."""
        if not record["hidden"]:
            return None
        path = self.folder / Path(record["hidden"]).name
        if not path.exists():
            return None
        packed, count = read_array(path), record["stats"]["num_samples"]
        if packed.dtype != np.uint8 or packed.shape != (-(-count // 8),):
            raise ReportError(f"{path} must hold a bit for each of {count} samples")
        rows = np.flatnonzero(np.unpackbits(packed, count=count, bitorder="little"))
        if self.members is None:
            return rows
        if len(self.members) != count:
            raise ReportError(f"{self.folder / SUBSET} must hold {count} ids")
        return self.members[rows]

    @cached_property
    def members(self) -> NDArray[np.int64] | None:
        """Ids that were trained on, when they are a subset of the data set and it is known."""
        path = self.folder / SUBSET
        if not path.exists():
            return None
        ids = read_array(path)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or (len(ids) and ids.min() < 0):
            raise ReportError(f"{path} must hold ids, got {ids.dtype}{list(ids.shape)}")
        return ids.astype(np.int64)


def read(folder: str | os.PathLike[str]) -> Run:
    """Read the report in a folder; also while the run goes on.

    Raises
    ------
    ReportError

    Examples
    --------
    >>> ds.Sampler(4, report="runs/1").set_epoch(0)
    >>> run = ds.report.read("runs/1")
    >>> [record["stats"]["num_positions"] for record in run.epochs]
    [4]
    """
    path = Path(folder) / FILE
    try:
        content = read_regular(path)
    except FileNotFoundError:
        inside = sorted(str(found.parent) for found in Path(folder).glob(f"*/{FILE}"))
        hint = f"Sampler(report={str(folder)!r}) writes it at the start of every epoch"
        if (Path(folder) / INDEX).exists():
            hint = "it is a saved state, and Sampler(report=) writes a report to another folder"
        elif inside:
            hint = f"but in {', '.join(inside)}"
        raise ReportError(f"{folder} holds no report: there is no {FILE}; {hint}") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from error
    *lines, rest = content.split(b"\n")
    epochs: list[Record] = []
    for number, line in enumerate(lines, 1):
        record = _parse(line, f"{path}, line {number}")
        while epochs and epochs[-1]["epoch"] >= record["epoch"]:
            epochs.pop()  # the run was resumed before it, or began anew
        epochs.append(record)
    return Run(Path(folder), epochs, len(lines) - len(epochs), bool(rest))


def _parse(line: bytes, where: str) -> Record:
    try:
        record = parse(line, anything, "the line")
    except Mismatch as error:
        raise ReportError(f"{where}: not a line of a report, it is damaged: {error}") from None
    if not isinstance(record, dict) or not isinstance(record.get("version"), int):
        raise ReportError(f"{where}: not a line of a report")
    if record["version"] > VERSION:
        raise ReportError(
            f"{where}: has version {record['version']}, this dynsample reads up to {VERSION}"
        )
    if missing := [name for name in _REQUIRED if name not in record]:
        raise ReportError(f"{where}: {', '.join(missing)} missing")
    try:
        return checked(record)
    except Mismatch as error:
        raise ReportError(f"{where}: it is damaged: {error}") from None
