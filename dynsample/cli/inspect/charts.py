"""The charts of the page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from dynsample.cli.inspect import svg
from dynsample.cli.inspect.classes import Classes
from dynsample.cli.printing import printable
from dynsample.report import Cost
from dynsample.report.histogram import Histogram
from dynsample.report.record import Record

_SHADE = (0.13, 0.55, 0.70)  # of heat maps, under its share as opacity: right on light and on dark
_TICKS = 9  # labels of an axis of bins at most
_EPOCH_TICKS = 13


def hidden(lines: Sequence[Record]) -> str:
    """Draw hidden samples, and those that came back, over epochs."""
    epochs = [line["epoch"] for line in lines]
    share = [line["stats"]["fraction"] for line in lines]
    back = [
        (line["epoch"], line["came_back"]["count"] / max(line["stats"]["num_samples"], 1))
        for line in lines
        if line["came_back"]
    ]

    def plot(axes: Axes) -> None:
        style: dict[str, Any] = {"ms": 3, "clip_on": False}  # a mark on the axis is seen whole
        axes.plot(epochs, share, color=svg.SERIES[0], marker="o", label="hidden", **style)
        if back:
            axes.plot(
                *zip(*back, strict=True),
                color=svg.SERIES[1], marker="s", ls="--", label="came back", **style,
            )  # fmt: skip
        axes.set_ylim(bottom=0)
        axes.set_ylabel("share of samples")
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0 if max(share) > 0.1 else 1))
        axes.legend(frameon=False)
        _epochs(axes)

    last = f"{share[-1]:.1%} in epoch {epochs[-1]}"
    text = f"Line over {len(epochs)} epochs: at most {max(share):.1%} of the samples, {last}."
    return svg.draw("hidden", "Hidden samples over epochs", text, plot)


def scores(name: str, lines: Sequence[Record]) -> str | None:
    """Draw the histograms of one column as a heat map, with its median; None without values."""
    lines = [line for line in lines if name in line["columns"]]
    columns = [line["columns"][name] for line in lines]
    medians = [column["quantiles"][2] for column in columns if column["quantiles"]]
    if not medians:
        return None
    known = [column for column in columns if column["quantiles"]]
    widest = max(known, key=lambda column: (column["scale"] == "linear", column["edges"][-1]))
    edges = np.array(widest["edges"])
    counts = np.stack([_onto(column, edges) for column in columns])
    epochs = [line["epoch"] for line in lines]
    filled = np.flatnonzero(counts.any(axis=0))
    if set(filled.tolist()) <= {0, len(edges) - 2} and widest["scale"] == "unit":
        return _ones(name, epochs, counts)
    first, last = int(filled[0]), int(filled[-1]) + 1
    if widest["scale"] == "unit":
        first, last = 0, len(edges) - 1
    opacity = counts[:, first:last] / np.maximum(counts.max(axis=1, keepdims=True), 1)

    def plot(axes: Axes) -> None:
        _heat(axes, opacity, epochs, (first, last))
        middle = [
            (place, _place(edges, column["quantiles"][2]))
            for place, column in enumerate(columns)
            if column["quantiles"]
        ]
        axes.plot(
            *zip(*middle, strict=True), color=svg.SERIES[1], lw=1.5, marker="o", ms=3,
            clip_on=False, label="median",
        )  # fmt: skip
        step = math.ceil((last - first) / _TICKS)
        places = range(first, last + 1, step)
        axes.set_yticks(list(places), [_number(edges[place]) for place in places])
        axes.set_ylim(first, last)
        axes.set_ylabel(_plain(name))
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)

    begin, end = medians[0], medians[-1]
    text = f"Heat map over {len(epochs)} epochs; the median goes from {begin:.3g} to {end:.3g}."
    return svg.draw(f"scores-{_word(name)}", f"Histograms of {name} over epochs", text, plot)


def _ones(name: str, epochs: Sequence[int], counts: NDArray[np.int64]) -> str:
    """Draw a column of zeros and ones: the share of ones."""
    share = counts[:, -1] / np.maximum(counts.sum(axis=1), 1)
    known = [(e, s) for e, s, n in zip(epochs, share, counts.sum(axis=1), strict=True) if n]

    def plot(axes: Axes) -> None:
        axes.plot(*zip(*known, strict=True), color=svg.SERIES[0], marker="o", ms=3, clip_on=False)
        axes.set_ylim(0, 1)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.set_ylabel(_plain(name))
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
        _epochs(axes)

    text = f"Line over {len(epochs)} epochs, from {known[0][1]:.1%} to {known[-1][1]:.1%}."
    return svg.draw(f"scores-{_word(name)}", f"Share of samples with {name} = 1", text, plot)


def _number(value: float) -> str:
    return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"


def _onto(column: Histogram, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Put counts into the bins of another range; its edges are, but for rare cases, also here."""
    counts = np.zeros(len(edges) - 1, np.int64)
    if column["quantiles"]:
        lows = np.array(column["edges"][:-1])
        places = np.searchsorted(edges, lows, side="right") - 1
        np.add.at(counts, places.clip(0, len(counts) - 1), column["counts"])
    return counts


def _place(edges: NDArray[np.float64], value: float) -> float:
    """Where a value is on an axis of bins."""
    place = int(np.searchsorted(edges, value, side="right")) - 1
    place = min(max(place, 0), len(edges) - 2)
    within = (value - edges[place]) / (edges[place + 1] - edges[place])
    return place + float(min(max(within, 0.0), 1.0))


def _heat(
    axes: Axes, opacity: NDArray[Any], epochs: Sequence[int], rows: tuple[float, float]
) -> None:
    pixels = np.zeros((opacity.shape[1], opacity.shape[0], 4))
    pixels[..., :3] = _SHADE
    pixels[..., 3] = np.sqrt(opacity.T)  # small shares are to be seen
    extent = (-0.5, len(epochs) - 0.5, *rows)
    axes.imshow(pixels, origin="lower", aspect="auto", interpolation="none", extent=extent)
    axes.grid(False)
    places = range(0, len(epochs), math.ceil(len(epochs) / _EPOCH_TICKS))
    axes.set_xticks(list(places), [str(epochs[place]) for place in places])
    axes.set_xlabel("epoch")


def classes(known: Classes, shown: Sequence[int]) -> str:
    """Draw the hidden share of some classes over epochs, as a heat map."""
    share = known.share[:, list(shown)]
    most = max(float(share.max(initial=0)), 1e-9)

    def plot(axes: Axes) -> None:
        _heat(axes, share / most, known.epochs, (-0.5, len(shown) - 0.5))
        axes.set_yticks(range(len(shown)), [printable(known.name(place)) for place in shown])
        axes.set_ylabel("class")
        for row, part in enumerate(share[-1]):
            axes.annotate(
                f"{part:.0%}", (1.01, row), xycoords=("axes fraction", "data"), va="center", size=8
            )

    text = f"Heat map of {len(shown)} classes over {len(known.epochs)} epochs, at most {most:.0%}."
    height = 1.2 + 0.2 * len(shown)
    return svg.draw("classes", "Hidden share of every class", text, plot, height=height)


def balance(costs: Sequence[Cost]) -> str | None:
    """Draw seconds saved beside seconds spent, epoch by epoch; None when nothing was timed."""
    timed = [cost for cost in costs if cost.saved is not None]
    if not timed:
        return None
    epochs = np.array([cost.epoch for cost in timed])
    saved = [cost.saved or 0.0 for cost in timed]
    parts = {
        "refresh": [cost.refresh for cost in timed],
        "fold and plan": [cost.fold + cost.plan for cost in timed],
        "report": [cost.report for cost in timed],
    }

    def plot(axes: Axes) -> None:
        axes.bar(epochs - 0.2, saved, 0.38, color=svg.SERIES[0], label="saved")
        below = np.zeros(len(epochs))
        for place, (name, seconds) in enumerate(parts.items(), 1):
            label = f"spent: {name}"
            axes.bar(epochs + 0.2, seconds, 0.38, below, color=svg.SERIES[place], label=label)
            below += seconds
        axes.set_ylabel("seconds")
        axes.margins(y=0.1)
        axes.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), borderpad=0)
        axes.grid(axis="x", visible=False)
        _epochs(axes)

    spent = sum(cost.spent for cost in timed)
    text = f"Bars over {len(timed)} epochs: {sum(saved):.3g} s saved, {spent:.3g} s spent."
    return svg.draw("balance", "Seconds saved and spent", text, plot)


def _epochs(axes: Axes) -> None:
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _plain(name: str) -> str:
    """Return a name as matplotlib shows it, without a formula in it."""
    return printable(name).replace("$", r"\$")


def _word(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
