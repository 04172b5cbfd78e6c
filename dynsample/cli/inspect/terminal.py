"""The report as a table and a few sentences."""

from __future__ import annotations

from collections.abc import Sequence

from dynsample.cli.inspect.classes import Classes
from dynsample.cli.printing import say, show_table
from dynsample.report import Cost, Run
from dynsample.report.record import Record

_MEDIAN = 2  # place among the quantiles


def show(run: Run, balance: Sequence[Cost], classes: Classes | None, uncounted: str) -> None:
    """Print a row for each epoch, then what they come to."""
    about, score = run.epochs[-1]["run"], run.epochs[-1]["score"]
    say(
        f"{about['policy']} on {about['num_samples']:,} samples, {len(run.epochs)} epochs, seed "
        f"{about['seed']}"
    )
    headings = (
        "epoch", "in epoch", "hidden", "came back", f"median\n{score or 'score'}", "lr scale",
        "s saved", "s spent",
    )  # fmt: skip
    show_table(headings, [_row(*each) for each in zip(run.epochs, balance, strict=True)])
    for sentence in sentences(run, balance, classes, uncounted):
        say(sentence)


def _row(line: Record, cost: Cost) -> list[str]:
    stats, back = line["stats"], line["came_back"]
    middle = median(line)
    return [
        str(line["epoch"]),
        f"{stats['num_positions']:,}",
        f"{stats['fraction']:.1%}",
        "" if back is None else f"{back['count']:,}",
        "" if middle is None else f"{middle:.3g}",
        f"{stats['lr_scale']:.3f}",
        "" if cost.saved is None else f"{cost.saved:.2f}",
        f"{cost.spent:.2f}",
    ]


def median(line: Record) -> float | None:
    """Median of the score of an epoch."""
    column = line["columns"].get(line["score"] or "")
    return column["quantiles"][_MEDIAN] if column and column["quantiles"] else None


def sentences(
    run: Run, balance: Sequence[Cost], classes: Classes | None, uncounted: str
) -> list[str]:
    """Say what the numbers come to, and what they leave out: `uncounted`, for want of classes."""
    found = [verdict(balance)]
    if classes is not None and classes.samples.any():
        share = classes.share[-1]
        order = sorted((i for i, n in enumerate(classes.samples) if n), key=share.__getitem__)
        found.append(
            f"Epoch {classes.epochs[-1]} hides most of class {classes.name(order[-1])} "
            f"({share[order[-1]]:.0%}) and least of class {classes.name(order[0])} "
            f"({share[order[0]]:.0%})."
        )
    else:
        found.append(uncounted)
    if run.replaced:
        found.append(f"{run.replaced} lines are of epochs that were done again, and left out.")
    if run.torn:
        found.append("The last line is not whole, and left out.")
    return found


def verdict(balance: Sequence[Cost]) -> str:
    """Whether selection paid, over the epochs that were timed."""
    timed = [cost for cost in balance if cost.saved is not None]
    if not timed:
        return "Whether it pays is known when a second epoch has begun."
    saved = sum(cost.saved or 0.0 for cost in timed)
    spent = {
        name: sum(getattr(cost, name) for cost in timed)
        for name in ("refresh", "fold", "plan", "report")
    }
    total = sum(spent.values())
    parts = ", ".join(f"{name} {seconds:.3g}" for name, seconds in spent.items())
    word = "pays" if saved > total else "does not pay"
    return (
        f"In seconds, selection {word}: over {len(timed)} timed epochs it saved {saved:.3g} s of "
        f"training and took {total:.3g} s ({parts}), net {saved - total:+.3g} s."
    )
