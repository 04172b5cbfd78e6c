"""What a sampler writes of every epoch into the folder of its report."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample import ops
from dynsample._core import Stream
from dynsample.disk.files import as_folder
from dynsample.kernels.numbers import integers
from dynsample.report.histogram import histogram
from dynsample.report.record import CameBack, Classes, Extreme, Record, RunFacts, Times
from dynsample.report.store import (
    FILE,
    ReportError,
    append_line,
    check_log,
    may_write,
    read_array,
    write_array,
)
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.groups import Group
    from dynsample.plan.plan import Plan

VERSION = 1
LABELS = "labels.npy"
SUBSET = "subset.npy"
NAMED = 32  # ids that a line holds of each kind
MAX_CLASSES = 10_000  # a line holds a number for each


@dataclass(frozen=True)
class Passed:
    """How long a pass of an epoch took, and how many rows of this rank it went over."""

    seconds: float = 0.0
    rows: int = 0


@dataclass(frozen=True)
class Start:
    """The start of an epoch, of which a line is written.

    Attributes
    ----------
    run : mapping
        What stays the same: policy, number of samples, seed, number of ranks.
    rank : int
        This process; rank 0 writes.
    subset : int64[n] or None
        Ids of the rows of the table.
    plan : Plan
        The plan of the epoch.
    table : ScoreTable
        What it was planned from.
    stats : mapping of str to float
        As in `Sampler.stats`.
    before : Plan or None
        The plan of the epoch before it, if there was one.
    kept, hidden : Passed
        How the passes of the epoch before went.
    """

    run: RunFacts
    rank: int
    subset: NDArray[np.int64] | None
    plan: Plan
    table: ScoreTable
    stats: Mapping[str, float]
    before: Plan | None
    kept: Passed
    hidden: Passed


class Report:
    """A folder that takes a line of figures for each epoch; `Sampler(report=)` writes it.

    A line holds `Sampler.stats`, histograms of the columns, the hardest and easiest ids, and a
    sample of those that came back: a few kilobytes, whatever the size of the data set.

    Parameters
    ----------
    folder : path
        Made when it is not there. Every rank must see it if it holds the labels.
    labels : int[num_samples], optional
        Class of every sample of the data set, from 0 on: hidden samples are counted by class. Kept
        in the folder as labels.npy; a file of this name that is there already is used.
    hidden : bool
        Also write which samples are hidden, a file of a bit for each in every epoch.

    Raises
    ------
    ReportError
        When the folder holds a log, or labels, that no report has written: they are left alone.

    Examples
    --------
    >>> report = ds.report.Report("runs/1", labels=[0, 0, 1, 1])
    >>> ds.Sampler(4, report=report).set_epoch(0)
    >>> run = ds.report.read("runs/1")
    >>> len(run.epochs), run.labels
    (1, array([0, 0, 1, 1]))
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        labels: ArrayLike | None = None,
        hidden: bool = False,
    ) -> None:
        self.folder, self.hidden = as_folder(folder, "folder"), bool(hidden)
        stored = self.folder / LABELS
        self._new_labels = labels is not None
        if labels is None and stored.exists():
            labels = read_array(stored)
        self.labels = None if labels is None else checked_labels(labels)
        self.num_classes = int(self.labels.max(initial=-1)) + 1 if self.labels is not None else 0
        if self.num_classes > MAX_CLASSES:
            raise ValueError(
                f"labels must be in [0, {MAX_CLASSES}), got {self.num_classes - 1}: a report "
                "holds a number for each class"
            )
        check_log(self.folder / FILE)
        new = self.labels if self._new_labels else None
        if new is not None and not may_write(stored, new):
            raise ReportError(
                f"{stored} is there, holds other labels, and was not written by a report: name "
                "another folder, or leave out labels to use it"
            )
        self._class_sizes: list[int] | None = None
        self._seconds = 0.0  # of the last line

    def __repr__(self) -> str:
        return f"Report({str(self.folder)!r}, hidden={self.hidden})"

    def facts(self) -> dict[str, object]:
        """Name what ranks must agree on to write one report together."""
        return {"hidden": self.hidden, "classes": self.num_classes}

    def write(self, start: Start) -> OSError | None:
        """Write the line of an epoch; collective where the table is sharded.

        Returns
        -------
        OSError or None
            Why the folder could not be written: a report never ends a training run.
        """
        if start.rank and not start.table.sharded:
            return None
        begin = time.perf_counter()
        record, bits = self._record(start)
        failed = None
        if start.rank == 0:
            try:
                self._store(start.subset, record, bits)
            except OSError as error:
                failed = error
        self._seconds = time.perf_counter() - begin
        return failed

    def _record(self, start: Start) -> tuple[Record, NDArray[np.uint8] | None]:
        plan, table, before = start.plan, start.table, start.before
        group = table.group
        if before is not None and before.random.epoch == plan.random.epoch:
            before = None  # it starts again
        left_out = plan.rows_left_out()
        score = "loss" if "loss" in table else next(iter(table), None)
        record: Record = {
            "version": VERSION,
            "epoch": plan.random.epoch,
            "run": start.run,
            "stats": {name: plain(value) for name, value in start.stats.items()},
            "previous": None if before is None else self._times(before, start.kept, start.hidden),
            "columns": {name: histogram(table, name, group) for name in table},
            "score": score,
            "easiest": extreme(table, score, group, hardest=False),
            "hardest": extreme(table, score, group, hardest=True),
            "came_back": None if before is None else came_back(table, before, plan, group),
            "classes": self._classes(table, left_out, group),
            "hidden": None,
        }
        if not self.hidden:
            return record, None
        record["hidden"] = f"hidden-{plan.random.epoch:05d}.npy"
        mask = np.zeros(table.num_rows, np.bool_)
        mask[left_out - table.bounds[0]] = True
        # Ranks own whole bytes of it, but for the last.
        parts = group.all_gather(np.packbits(mask, bitorder="little"), "the hidden samples")
        return record, np.concatenate(parts)

    def _times(self, before: Plan, kept: Passed, hidden: Passed) -> Times:
        return {
            "epoch": before.random.epoch,
            "kept_seconds": kept.seconds,
            "kept_rows": kept.rows,
            "hidden_seconds": hidden.seconds,
            "hidden_rows": hidden.rows,
            "report_seconds": self._seconds,
        }

    def _classes(
        self, table: ScoreTable, left_out: NDArray[np.int64], group: Group
    ) -> Classes | None:
        if self.labels is None:
            return None
        ids = table.index
        group.agree(lambda: _check_length(self.labels, ids), "the labels of the report")
        if self._class_sizes is None:
            self._class_sizes = self._count(ids, group)
        hidden = self._count(ids[left_out - table.bounds[0]], group)
        return {"samples": self._class_sizes, "hidden": hidden}

    def _count(self, ids: NDArray[np.int64], group: Group) -> list[int]:
        assert self.labels is not None
        counts = np.bincount(self.labels[ids], minlength=self.num_classes)
        total: list[int] = group.sum(counts.astype(np.int64), "the classes").tolist()
        return total

    def _store(
        self,
        subset: NDArray[np.int64] | None,
        record: Record,
        bits: NDArray[np.uint8] | None,
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._new_labels:
            assert self.labels is not None
            write_array(self.folder / LABELS, self.labels)
            self._new_labels = False
        if bits is not None and record["hidden"] is not None:
            write_array(self.folder / record["hidden"], bits)
            if subset is not None:
                write_array(self.folder / SUBSET, subset)
        append_line(self.folder / FILE, json.dumps(record, separators=(",", ":"), allow_nan=False))


def as_report(report: str | os.PathLike[str] | Report | None) -> Report | None:
    """Resolve the `report` argument of a sampler: None, a folder, or a Report.

    Examples
    --------
    >>> as_report("runs/2").folder.as_posix()
    'runs/2'
    """
    return report if report is None or isinstance(report, Report) else Report(report)


def checked_labels(labels: ArrayLike) -> NDArray[np.integer]:
    """Return labels as an array when they are integers from 0 on."""
    array = integers(labels, "labels")
    if len(array) and array.min() < 0:
        raise ValueError(f"labels must not be negative, got {array.min()}")
    return array


def _check_length(labels: NDArray[Any] | None, ids: NDArray[np.int64]) -> None:
    if labels is not None and len(ids) and ids[-1] >= len(labels):
        raise ValueError(f"labels must be one for each sample, got {len(labels)}")


def plain(number: object) -> object:
    """Return a number as JSON has it: None for what is not finite."""
    value = number.item() if hasattr(number, "item") else number
    return None if isinstance(value, float) and not math.isfinite(value) else value


def extreme(table: ScoreTable, name: str | None, group: Group, *, hardest: bool) -> Extreme | None:
    """Name the samples with the highest or lowest scores, those first; ties by the smaller id."""
    if name is None:
        return None
    values = -table[name] if hardest else table[name]
    rows = np.flatnonzero(table.arrays.numpy(table.hide_lowest(values, NAMED)))
    here = table.arrays.numpy(values)
    what = "the hardest samples" if hardest else "the easiest samples"
    ids = np.concatenate(group.all_gather(table.index[rows], what))
    scores = np.concatenate(group.all_gather(here[rows], what))
    order = np.lexsort((ids, scores))
    scores = 0 - scores[order] if hardest else scores[order]  # where -0 becomes 0
    return {"ids": ids[order].tolist(), "scores": scores.tolist()}


def came_back(table: ScoreTable, before: Plan, plan: Plan, group: Group) -> CameBack:
    """Count the samples that were hidden in the epoch before and are not now; name a few.

    Those named are a random sample, the same at any number of ranks.
    """
    first, _ = table.bounds
    mask = np.zeros(table.num_rows, np.bool_)
    mask[before.rows_left_out() - first] = True
    mask[plan.rows_left_out() - first] = False
    rows = np.flatnonzero(mask)
    key = {"seed": plan.random.seed, "epoch": plan.random.epoch, "stream": Stream.REPORT_SAMPLE}
    places = ops.unpermute(table.num_samples, rows + first, **key)
    chosen = np.argsort(places)[:NAMED]
    what = "the samples that came back"
    everyone = np.concatenate(group.all_gather(places[chosen], what))
    ids = np.concatenate(group.all_gather(table.index[rows[chosen]], what))
    named = np.sort(ids[np.argsort(everyone)[:NAMED]])
    count = int(group.sum(np.array([len(rows)]), what)[0])
    return {"count": count, "ids": named.tolist()}
