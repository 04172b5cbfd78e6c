"""The balance of runs: differences between rows, and sentences that follow from the numbers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dynsample.cli.experiment.result import FORWARD_COST, Run
from dynsample.cli.experiment.rows import CONTROLS, Settings

Runs = Mapping[str, Mapping[int, Run]]  # by row, by seed


@dataclass(frozen=True)
class Summary:
    """One row of the table, over the seeds that both it and the baseline finished.

    `delta_pp` is the mean difference in accuracy to the baseline of the same seed, `delta_se` its
    standard error; what one seed cannot show is None. Fractions are of the baseline's samples.
    """

    policy: str
    accuracy_mean: float
    accuracy_std: float | None
    delta_pp: float
    delta_se: float | None
    backward_fraction: float
    forward_only_fraction: float
    wall_ratio: float

    @property
    def cost(self) -> float:
        """Samples trained on, and a third of those only looked at."""
        return self.backward_fraction + FORWARD_COST * self.forward_only_fraction


def summarise(runs: Runs, settings: Settings) -> list[Summary]:
    """Rows in the table's order; those without a finished pair of runs are left out."""
    rows = []
    samples = settings.samples
    for name, by_seed in runs.items():
        seeds = paired_seeds(runs, name, "baseline")
        if not seeds:
            continue
        accuracy = [by_seed[seed].accuracy for seed in seeds]
        delta, error = difference(runs, name, "baseline")
        rows.append(
            Summary(
                name,
                statistics.fmean(accuracy),
                _deviation(accuracy),
                delta,
                error,
                statistics.fmean(by_seed[seed].backward for seed in seeds) / samples,
                statistics.fmean(by_seed[seed].forward_only for seed in seeds) / samples,
                statistics.median(wall_ratios(runs, name)),
            )
        )
    return rows


def paired_seeds(runs: Runs, name: str, other: str) -> list[int]:
    """Seeds that both rows finished."""
    return sorted(runs.get(name, {}).keys() & runs.get(other, {}).keys())


def difference(runs: Runs, name: str, other: str) -> tuple[float, float | None]:
    """Mean of the paired differences in accuracy, and its standard error."""
    seeds = paired_seeds(runs, name, other)
    paired = [runs[name][seed].accuracy - runs[other][seed].accuracy for seed in seeds]
    return statistics.fmean(paired), _standard_error(paired)


def accuracy(runs: Runs, name: str) -> tuple[float, float | None]:
    """Mean accuracy over the seeds that the baseline finished too, and its standard error."""
    values = [runs[name][seed].accuracy for seed in paired_seeds(runs, name, "baseline")]
    return statistics.fmean(values), _standard_error(values)


def wall_ratios(runs: Runs, name: str) -> list[float]:
    """Training time over the baseline's, seed by seed."""
    seeds = paired_seeds(runs, name, "baseline")
    return [runs[name][seed].seconds / runs["baseline"][seed].seconds for seed in seeds]


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def verdict(runs: Runs, row: Summary, controls: Mapping[str, str]) -> str:
    """One method's balance in words, from its numbers alone; `controls` says what rows are."""
    ratios = wall_ratios(runs, row.policy)
    if max(ratios) < 1:
        speed = "faster"
    elif min(ratios) > 1:
        speed = "slower"
    else:
        speed = "not clearly faster or slower"
    planning = sum(run.planning_seconds for run in runs[row.policy].values())
    seconds = sum(run.seconds for run in runs[row.policy].values())
    parts = [
        f"{_share(row.backward_fraction, 'fewer')} backward passes, {_share(row.cost, 'less')} "
        f"work with its forward-only passes counted; {_share(row.wall_ratio, 'less')} time here "
        f"({min(ratios):.2f} to {max(ratios):.2f} of the baseline's): {speed}. Planning took "
        f"{planning / seconds:.1%} of it.",
        f"Accuracy {_compared(runs, row.policy, 'baseline')} the baseline",
    ]
    parts += [
        f"{_compared(runs, row.policy, control)} {words}"
        for control, words in controls.items()
        if paired_seeds(runs, row.policy, control)
    ]
    return f"{parts[0]} {', '.join(parts[1:])}."


def _standard_error(values: Sequence[float]) -> float | None:
    deviation = _deviation(values)
    return None if deviation is None else deviation / len(values) ** 0.5


def judged(runs: Runs, name: str, controls: Sequence[str]) -> str:
    """Whether a method pays: it does where it is better than every control, by two standard errors.

    `controls` are those at its own cost that need no scores.
    """
    compared = [(control, *difference(runs, name, control)) for control in controls]
    if not compared:
        return "is not judged: none of its controls is finished"
    worse, equal = [], []
    for control, delta, error in compared:
        if error is None:
            return "is not judged: the error of one seed is not known"
        if abs(delta) <= 2 * error:
            equal.append(CONTROLS[control].words)
        elif delta < 0:
            worse.append(CONTROLS[control].words)
    if worse:
        return f"is worse than {' and '.join(worse)}"
    if equal:
        return f"is no better than {' or '.join(equal)}"
    return f"pays: it is better than {' and '.join(CONTROLS[each].words for each in controls)}"


def with_error(value: str, error: float | None) -> str:
    """Return a number as text with its error behind it, where that is known."""
    return value if error is None else f"{value}±{error:.2f}"


def _share(ratio: float, less: str) -> str:
    return f"{abs(1 - ratio):.0%} {less if ratio <= 1 else 'more'}"


def _compared(runs: Runs, name: str, other: str) -> str:
    """Whether two rows differ by more than two standard errors."""
    delta, error = difference(runs, name, other)
    if error is None:
        return f"{delta:+.2f} pp (one seed: no error known) to"
    if abs(delta) <= 2 * error:
        return f"not distinguishable ({delta:+.2f} ± {error:.2f} pp) from"
    return f"{'better' if delta > 0 else 'worse'} ({delta:+.2f} ± {error:.2f} pp) than"
