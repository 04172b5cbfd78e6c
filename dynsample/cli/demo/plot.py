"""The picture: accuracy against samples used, and the hidden share by epoch."""

from __future__ import annotations

import statistics
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dynsample.cli.experiment.rows import Settings
from dynsample.cli.experiment.summary import Runs
from dynsample.cli.experiment.tasks import Task

STYLES = {
    "baseline": ("black", "-"),
    "kakurenbo": ("tab:blue", "-"),
    "infobatch": ("tab:green", "-"),
    "importance": ("tab:purple", "-"),
    "random": ("tab:orange", "--"),
    "short": ("tab:gray", "--"),
    "random_same_cost": ("tab:brown", "--"),
    "hide_hardest": ("tab:red", ":"),
}


def write(path: Path, task: Task, settings: Settings, runs: Runs) -> None:
    """Draw means over seeds; no window is opened and pyplot's state is left alone."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    lowest = 100.0
    for name, by_seed in runs.items():
        if not by_seed:
            continue
        color, line = STYLES[name]
        style = {"color": color, "linestyle": line, "marker": ".", "label": name}
        curves = zip(*(run.curve for run in by_seed.values()), strict=False)
        points = [tuple(map(statistics.fmean, zip(*point, strict=True))) for point in curves]
        used = [cost / settings.num_samples for cost, _ in points]
        accuracy = [value for _, value in points]
        left.plot(used, accuracy, **style)
        left.plot(used[-1], accuracy[-1], "o", color=color)
        lowest = min(lowest, accuracy[-1])
        hidden = zip(*(run.hidden for run in by_seed.values()), strict=False)
        right.plot([100 * statistics.fmean(epoch) for epoch in hidden], **style)
    best = max(run.accuracy for by_seed in runs.values() for run in by_seed.values())
    left.set(
        xlabel="samples used / training set (forward-only passes count a third)",
        ylabel="test accuracy, %",
        ylim=(lowest - 1.5 * max(best - lowest, 1), best + 0.2 * max(best - lowest, 1)),
        title=f"{task.name}: accuracy against samples used",
    )
    right.set(xlabel="epoch", ylabel="hidden, % of samples", title="samples left out of the epoch")
    right.set_ylim(bottom=0)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False
    )
    figure.savefig(path, dpi=120)
