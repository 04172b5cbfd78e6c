"""Wrong labels: making them, and how well a score finds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NOISE_STREAM = 1  # of seeds: the labels' own, apart from those of runs


def noisy_labels(
    labels: NDArray[np.int64], fraction: float, mode: str, seed: int
) -> NDArray[np.int64]:
    """Labels of which int(fraction * N) are redrawn.

    "flip" moves each of them to another class; "permute" permutes the labels among these rows, as
    published, which leaves about one in ten as it was.
    """
    random = np.random.default_rng([seed, NOISE_STREAM])
    rows = random.choice(len(labels), int(fraction * len(labels)), replace=False)
    changed = labels.copy()
    if mode == "permute":
        changed[np.sort(rows)] = labels[rows]
    else:
        classes = int(labels.max()) + 1
        changed[rows] = (labels[rows] + random.integers(1, classes, len(rows))) % classes
    return changed


def auroc(scores: NDArray[np.floating], positive: NDArray[np.bool_]) -> float:
    """Probability that a positive scores higher than a negative; a tie is half."""
    below = np.sort(scores[~positive])
    left = np.searchsorted(below, scores[positive], "left")
    right = np.searchsorted(below, scores[positive], "right")
    return float((left + right).mean() / 2 / max(len(below), 1))


def draw(path: Path, scores: dict[str, NDArray[np.floating]], wrong: NDArray[np.bool_]) -> None:
    """Draw the distribution of every score, for wrong and for right labels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, values) in zip(figure.subplots(2, 4).flat, scores.items(), strict=False):
        finite = np.isfinite(values)
        highest = values[finite].max(initial=0)
        shown = np.where(finite, values, highest * 1.1 + 1e-9)  # the last bar: infinitely many
        bins = np.linspace(shown.min(), shown.max(), 40)
        for label, rows, color in (("right", ~wrong, "tab:blue"), ("wrong", wrong, "tab:red")):
            if rows.any():
                axes.hist(shown[rows], bins, density=True, alpha=0.6, color=color, label=label)
        axes.set(title=f"{name}: {auroc(values, wrong):.3f}" if wrong.any() else name, yticks=[])
        axes.spines[["top", "right", "left"]].set_visible(False)
    figure.axes[-1].axis("off")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="lower right", title="label")
    figure.suptitle("Scores of right and of wrong labels, and the AUROC of finding the wrong")
    figure.savefig(path, dpi=120)
