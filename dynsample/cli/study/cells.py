"""The table of a balance, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Iterator

from dynsample.cli.experiment.result import FORWARD_COST
from dynsample.cli.experiment.summary import accuracy, paired_seeds, with_error
from dynsample.cli.study.balance import Balance, Beside

HEADINGS = ("policy", "accuracy %", "method over it", "cost", "time", "seeds")


def legend() -> str:
    """Say what the columns are."""
    return (
        "Below a method are its controls at its own cost. Method over it: mean difference in "
        "accuracy, in points, of the same seeds; on the line of a method, to the baseline. "
        "±: standard error. Cost: samples trained on, and "
        f"{FORWARD_COST:.2f} of those only looked at, over the baseline's; time: without "
        "evaluation, over the baseline's."
    )


def cells(balance: Balance) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table, the baseline's first."""
    yield _line("baseline", balance.baseline, "baseline", None)
    for beside in balance.methods:
        yield _line(beside.name, beside, beside.name, "baseline")
        for control in beside.controls:
            yield _line(f"  vs {control}", beside, control, control)


def _line(label: str, beside: Beside, name: str, other: str | None) -> tuple[str, ...]:
    mean, error = accuracy(beside.runs, name)
    row = beside.figures[name]
    over = ""
    if other:
        delta, delta_error = beside.against(other)
        over = with_error(f"{delta:+.2f}", delta_error)
    return (
        label,
        with_error(f"{mean:.2f}", error),
        over,
        f"{row.cost:.2f}",
        f"{row.wall_ratio:.2f}",
        str(len(paired_seeds(beside.runs, name, "baseline"))),
    )
