"""The hidden share of every class over the epochs of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dynsample.report import Run


@dataclass(frozen=True)
class Classes:
    """How much of every class was hidden.

    Attributes
    ----------
    epochs : list of int
    samples : int64[C]
    hidden : int64[E, C]
    names : sequence of str
        Of the classes; empty where only their numbers are known.
    """

    epochs: list[int]
    samples: NDArray[np.int64]
    hidden: NDArray[np.int64]
    names: Sequence[str] = ()

    def name(self, label: int) -> str:
        """Return what a class is called: its name, or its number."""
        return class_name(label, self.names)

    @property
    def share(self) -> NDArray[np.float64]:
        """float64[E, C] in [0, 1]; 0 of a class without samples."""
        return self.hidden / np.maximum(self.samples, 1)


def without_counts(labels: NDArray[np.integer] | None) -> str:
    """Say why hidden samples are not counted by class, and what would count them."""
    if labels is None:
        return (
            "The classes are not known. To count hidden samples by class, train with "
            "Sampler(report=ds.report.Report(DIR, labels=...)), or with Report(DIR, hidden=True) "
            "and give --labels here."
        )
    return (
        "The report does not say which samples were hidden: Sampler(report=Report(DIR, "
        "labels=...)) counts them by class, and Report(DIR, hidden=True) keeps them."
    )


def class_name(label: int, names: Sequence[str]) -> str:
    """Return what a class is called, where it has a name, else its number."""
    return names[label] if label < len(names) else str(label)


def by_class(
    run: Run, labels: NDArray[np.integer] | None, names: Sequence[str] = ()
) -> Classes | None:
    """Take the counts of the report, or count its hidden samples by label; None without either."""
    counted = [(line["epoch"], line["classes"]) for line in run.epochs if line["classes"]]
    if counted:
        samples = np.array(counted[-1][1]["samples"], np.int64)
        same = {e: found["hidden"] for e, found in counted if len(found["hidden"]) == len(samples)}
        return Classes(list(same), samples, np.array(list(same.values()), np.int64), names)
    if labels is None:
        return None
    if run.epochs and len(labels) < run.epochs[-1]["run"]["num_samples"]:
        raise ValueError(
            f"--labels must have one for each of {run.epochs[-1]['run']['num_samples']} samples, "
            f"got {len(labels)}"
        )
    count = int(labels.max(initial=-1)) + 1
    by_epoch = {line["epoch"]: run.hidden(line) for line in run.epochs}
    known = {epoch: ids for epoch, ids in by_epoch.items() if ids is not None}
    if not known:
        return None
    hidden = np.stack([np.bincount(labels[ids], minlength=count) for ids in known.values()])
    members = labels if run.members is None else labels[run.members]
    return Classes(list(known), np.bincount(members, minlength=count), hidden, names)
