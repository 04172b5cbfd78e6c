"""Whether selection pays: seconds saved by what is left out, against seconds spent to know it."""

from __future__ import annotations

from dataclasses import dataclass

from dynsample.report.reader import Run


@dataclass(frozen=True)
class Cost:
    """One epoch's balance, in seconds of rank 0.

    Attributes
    ----------
    epoch : int
    saved : float or None
        Rows that the epoch has fewer than samples, at the seconds that a row of it took. None when
        it was not timed: the last epoch of a report, and one that was resumed elsewhere.
    fold, plan : float
        Seconds that the fold and the planning took, before the epoch.
    refresh : float
        Seconds of the pass over hidden samples, after the epoch.
    report : float
        Seconds that it took to write this report.

    Examples
    --------
    >>> ds.report.Cost(epoch=3, saved=9.0, fold=0.5, plan=0.5, refresh=2.0, report=0.0).spent
    3.0
    """

    epoch: int
    saved: float | None
    fold: float
    plan: float
    refresh: float
    report: float

    @property
    def spent(self) -> float:
        """All that selection took."""
        return self.fold + self.plan + self.refresh + self.report


def costs(run: Run) -> list[Cost]:
    """Balance of every epoch of a report.

    Examples
    --------
    >>> sampler = ds.Sampler(4, ds.RandomSubset(0.5), report="runs/1")
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     rows = [row for index in sampler for row in index]
    >>> run = ds.report.read("runs/1")
    >>> [balance.saved is None for balance in ds.report.costs(run)]
    [False, True]
    """
    times = {line["previous"]["epoch"]: line["previous"] for line in run.epochs if line["previous"]}
    found = []
    for line in run.epochs:
        stats, timed = line["stats"], times.get(line["epoch"])
        saved = None
        if timed and timed["kept_rows"]:
            fewer = max(stats["num_samples"] - stats["num_positions"], 0)
            saved = fewer * timed["kept_seconds"] / timed["kept_rows"]
        found.append(
            Cost(
                line["epoch"],
                saved,
                stats.get("fold_seconds") or 0.0,
                stats.get("plan_seconds") or 0.0,
                timed["hidden_seconds"] if timed else 0.0,
                timed["report_seconds"] if timed else 0.0,
            )
        )
    return found
