"""What the runs showed: table, JSON, and sentences that follow from the numbers."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from dynsample.cli.demo.data import Task
from dynsample.cli.demo.policies import METHODS, Settings
from dynsample.cli.demo.train import FORWARD_COST, Run
from dynsample.cli.demo.verify import Check

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


def summarise(runs: Runs, settings: Settings) -> list[Summary]:
    """Rows in the table's order; those without a finished pair of runs are left out."""
    rows = []
    samples = settings.num_samples * settings.epochs
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
    deviation = _deviation(paired)
    return statistics.fmean(paired), None if deviation is None else deviation / len(paired) ** 0.5


def wall_ratios(runs: Runs, name: str) -> list[float]:
    """Training time over the baseline's, seed by seed."""
    seeds = paired_seeds(runs, name, "baseline")
    return [runs[name][seed].seconds / runs["baseline"][seed].seconds for seed in seeds]


def _deviation(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def write_json(path: Path, task: Task, runs: Runs, rows: Sequence[Summary]) -> None:
    """Write one object; what one seed cannot show is null."""
    content = {
        "dataset": task.name,
        "seeds": len(runs["baseline"]),
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def print_table(
    console: Console, task: Task, settings: Settings, runs: Runs, rows: Sequence[Summary]
) -> None:
    """Print a line per row, within 80 columns."""
    seeds = len(runs["baseline"])
    table = Table(
        title=f"{task.name}: {task.num_train} training samples, {len(task.test_labels)} to test, "
        f"{settings.epochs} epochs, {seeds} seed{'' if seeds == 1 else 's'}",
        caption="delta: to the baseline of the same seed, ± standard error. Shares are of the "
        f"baseline's samples; cost = backward + forward only x {FORWARD_COST:.2f}. wall: training "
        "time over the baseline's.",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.add_column("policy", no_wrap=True)
    for heading in ("accuracy %", "delta pp", "backward", "forward\nonly", "cost", "wall"):
        table.add_column(heading, justify="right", no_wrap="\n" not in heading)
    for row in rows:
        table.add_row(
            row.policy,
            _with_error(f"{row.accuracy_mean:.2f}", row.accuracy_std),
            _with_error(f"{row.delta_pp:+.2f}", row.delta_se) if row.policy != "baseline" else "",
            f"{row.backward_fraction:.2f}",
            f"{row.forward_only_fraction:.2f}",
            f"{row.backward_fraction + FORWARD_COST * row.forward_only_fraction:.2f}",
            f"{row.wall_ratio:.2f}",
        )
    console.print(table)


def _with_error(value: str, error: float | None) -> str:
    return value if error is None else f"{value}±{error:.2f}"


def print_verdict(console: Console, runs: Runs, rows: Sequence[Summary]) -> None:
    """Say plainly what was and was not faster, and whether a control did as well."""
    for row in rows:
        if row.policy in METHODS:
            console.print(f"[bold]{row.policy}[/bold]: {verdict(runs, row)}", highlight=False)


def verdict(runs: Runs, row: Summary) -> str:
    """One method's balance in words, from its numbers alone."""
    cost = row.backward_fraction + FORWARD_COST * row.forward_only_fraction
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
        f"{_share(row.backward_fraction, 'fewer')} backward passes, {_share(cost, 'less')} work "
        f"with its forward-only passes counted; {_share(row.wall_ratio, 'less')} time here "
        f"({min(ratios):.2f} to {max(ratios):.2f} of the baseline's): {speed}. Planning took "
        f"{planning / seconds:.1%} of it.",
        f"Accuracy {_compared(runs, row.policy, 'baseline')} the baseline",
    ]
    parts += [
        f"{_compared(runs, row.policy, control)} {words}"
        for control, words in METHODS[row.policy].items()
        if paired_seeds(runs, row.policy, control)
    ]
    return f"{parts[0]} {', '.join(parts[1:])}."


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


def print_orders(console: Console, digests: dict[str, str]) -> bool:
    """Print what each loader handed out, as a digest, and say whether it was the same."""
    same = len(set(digests.values())) == 1
    console.print("ids and labels handed out by KAKURENBO's plans, for the same observations:")
    for name, digest in digests.items():
        console.print(f"  {name:<18} {digest}", highlight=False)
    console.print("  the same" if same else "  NOT the same", style="green" if same else "bold red")
    return same


def print_checks(console: Console, checks: Sequence[Check]) -> None:
    """Print what `--verify` compared, and every epoch that differed."""
    for check in checks:
        for line in check.lines:
            console.print(f"verify: {check.policy}, seed {check.seed}: {line}", style="red")
    total = sum(check.differences for check in checks)
    compared = sum(check.compared for check in checks)
    epochs = sum(check.epochs for check in checks)
    console.print(
        f"verify: {total} differences from the reference, in {compared:,} hidden flags, weights "
        f"and positions of {epochs} epochs, {len(checks)} runs",
        highlight=False,
    )
