"""The charts of a study: accuracy against what it cost, in samples and in time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dynsample.cli.experiment.rows import CONTROLS
from dynsample.cli.experiment.summary import Summary
from dynsample.cli.inspect import svg
from dynsample.cli.study.balance import Balance

X: dict[str, Callable[[Summary], float]] = {
    "samples used, over the baseline's": lambda row: row.cost,
    "seconds, over the baseline's": lambda row: row.wall_ratio,
}
_MARKS = {"short": "s", "random": "^", "random_same_cost": "v"}
_GAP = 0.055  # between names, of the height


@dataclass(frozen=True)
class Colours:
    """What is drawn in which colour."""

    ink: str
    methods: str
    controls: Sequence[str]


_OF_THE_PAGE = Colours(svg.INK, svg.SERIES[0], svg.SERIES[1:])
_OF_THE_PICTURE = Colours("black", "tab:blue", ("tab:orange", "tab:purple", "tab:gray"))


def of_page(balance: Balance, name: str) -> list[str]:
    """Return the charts of a balance as SVG; their ids begin with `name`."""
    best = max(balance.methods, key=lambda each: each.figures[each.name].accuracy_mean)
    text = f"Points of {len(balance.methods)} methods and their controls; the best is {best.name}."
    return [
        svg.draw(
            f"{name}-{place}",
            f"{balance.title}: accuracy against {label}",
            text,
            partial(_plot, balance=balance, label=label, colours=_OF_THE_PAGE),
            height=4.0,
        )
        for place, label in enumerate(X)
    ]


def picture(file: BinaryIO, balances: Sequence[Balance]) -> None:
    """Write all charts as one PNG; no window is opened and pyplot's state is left alone."""
    figure = Figure(figsize=(13, 4.5 * len(balances)), layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(len(balances), len(X), squeeze=False)
    for balance, both in zip(balances, rows, strict=True):
        for axes, label in zip(both, X, strict=True):
            _plot(axes, balance, label, _OF_THE_PICTURE)
            axes.grid(alpha=0.3)
            axes.spines[["top", "right"]].set_visible(False)
        both[0].set_title(balance.title, loc="left")
    figure.savefig(file, format="png", dpi=110)


def _plot(axes: Axes, balance: Balance, label: str, colours: Colours) -> None:
    of = X[label]
    whole = balance.baseline.figures["baseline"]
    points: dict[str, list[tuple[float, float]]] = {}
    named = []
    for beside in balance.methods:
        own = beside.figures[beside.name]
        named.append((own.accuracy_mean, of(own), beside.name))
        for control in beside.controls:
            row = beside.figures[control]
            if not CONTROLS[control].negative:  # far below, they would press the others together
                points.setdefault(control, []).append((of(row), row.accuracy_mean))
    for (control, found), colour in zip(points.items(), colours.controls, strict=False):
        axes.plot(
            *zip(*sorted(set(found)), strict=True), color=colour, marker=_MARKS[control], ms=5,
            lw=0, label=control,
        )  # fmt: skip
    axes.plot(of(whole), whole.accuracy_mean, "*", ms=10, color=colours.ink, label="baseline")
    axes.plot(
        [x for _, x, _ in named], [y for y, _, _ in named], "o", ms=6, color=colours.methods,
        label="methods",
    )  # fmt: skip
    _name(axes, named, colours.ink)
    axes.set_xlabel(label)
    axes.set_ylabel("test accuracy, %")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.05, -0.14), ncols=5,
                columnspacing=1.0, handletextpad=0.2)  # fmt: skip


def _name(axes: Axes, named: Sequence[tuple[float, float, str]], colour: str) -> None:
    """Write names at the right, one above the other, each with a line to its point."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    places: list[float] = []
    for y, _, _ in sorted(named):
        places.append(max((y - low) / (high - low), places[-1] + _GAP if places else 0.0))
    limit = 1.0
    for k in reversed(range(len(places))):
        places[k] = limit = min(places[k], limit)
        limit -= _GAP
    for (y, x, name), place in zip(sorted(named), places, strict=True):
        axes.annotate(
            name, (x, y), (1.03, place), textcoords=axes.transAxes, color=colour, va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.4, "alpha": 0.5},
        )  # fmt: skip
