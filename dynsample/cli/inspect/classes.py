"""The hidden share of every class over the epochs of a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """

    epochs: list[int]
    samples: NDArray[np.int64]
    hidden: NDArray[np.int64]

    @property
    def share(self) -> NDArray[np.float64]:
        """float64[E, C] in [0, 1]; 0 of a class without samples."""
        return self.hidden / np.maximum(self.samples, 1)


def by_class(run: Run, labels: NDArray[np.integer[Any]] | None) -> Classes | None:
    """Take the counts of the report, or count its hidden samples by label; None without either."""
    lines = [line for line in run.epochs if line.get("classes")]
    if lines:
        samples = np.array(lines[-1]["classes"]["samples"], np.int64)
        lines = [line for line in lines if len(line["classes"]["hidden"]) == len(samples)]
        hidden = np.array([line["classes"]["hidden"] for line in lines], np.int64)
        return Classes([line["epoch"] for line in lines], samples, hidden)
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
    return Classes(list(known), np.bincount(members, minlength=count), hidden)
