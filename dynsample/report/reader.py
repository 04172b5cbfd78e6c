"""A report as it is read again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.report.writer import FILE, LABELS, SUBSET, VERSION, checked_labels

Record = Mapping[str, Any]
_REQUIRED = ("epoch", "run", "stats", "columns")


class ReportError(RuntimeError):
    """A folder that is no report, or a damaged or newer one."""


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
    """

    folder: Path
    epochs: list[Record]
    replaced: int
    torn: bool

    @cached_property
    def labels(self) -> NDArray[np.integer[Any]] | None:
        """Class of every sample, when the folder has labels.npy."""
        path = self.folder / LABELS
        return checked_labels(np.load(path, allow_pickle=False)) if path.exists() else None

    def hidden(self, record: Record) -> NDArray[np.int64] | None:
        """Ids that are hidden in an epoch, ascending; None when the report does not say."""
        if not record.get("hidden"):
            return None
        path = self.folder / Path(record["hidden"]).name
        if not path.exists():
            return None
        bits = np.unpackbits(np.load(path, allow_pickle=False), bitorder="little")
        rows = np.flatnonzero(bits[: record["stats"]["num_samples"]])
        return rows if self.members is None else self.members[rows]

    @cached_property
    def members(self) -> NDArray[np.int64] | None:
        """Ids that were trained on, when they are a subset of the data set and it is known."""
        path = self.folder / SUBSET
        return np.load(path, allow_pickle=False) if path.exists() else None


def read(folder: str | os.PathLike[str]) -> Run:
    """Read the report in a folder; also while the run goes on.

    Raises
    ------
    ReportError
    """
    path = Path(folder) / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        inside = sorted(str(found.parent) for found in Path(folder).glob(f"*/{FILE}"))
        hint = f"Sampler(report={str(folder)!r}) writes it at the start of every epoch"
        if inside:
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
        record = json.loads(line)
    except ValueError:  # also of text that is not UTF-8
        raise ReportError(f"{where}: not a line of a report, it is damaged") from None
    if not isinstance(record, dict) or "version" not in record:
        raise ReportError(f"{where}: not a line of a report")
    if record["version"] > VERSION:
        raise ReportError(
            f"{where}: has version {record['version']}, this dynsample reads up to {VERSION}"
        )
    if missing := [name for name in _REQUIRED if name not in record]:
        raise ReportError(f"{where}: {', '.join(missing)} missing")
    return record
