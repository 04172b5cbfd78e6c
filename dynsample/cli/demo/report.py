"""What the runs showed: table, JSON, sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from dynsample.cli.demo.policies import COMPARED
from dynsample.cli.demo.verify import Check
from dynsample.cli.experiment.result import FORWARD_COST
from dynsample.cli.experiment.rows import Settings
from dynsample.cli.experiment.summary import Runs, Summary, verdict, with_error
from dynsample.cli.experiment.tasks import Task


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
            with_error(f"{row.accuracy_mean:.2f}", row.accuracy_std),
            with_error(f"{row.delta_pp:+.2f}", row.delta_se) if row.policy != "baseline" else "",
            f"{row.backward_fraction:.2f}",
            f"{row.forward_only_fraction:.2f}",
            f"{row.cost:.2f}",
            f"{row.wall_ratio:.2f}",
        )
    console.print(table)


def print_verdict(console: Console, runs: Runs, rows: Sequence[Summary]) -> None:
    """Say plainly what was and was not faster, and whether a control did as well."""
    for row in rows:
        if row.policy in COMPARED:
            console.print(
                f"[bold]{row.policy}[/bold]: {verdict(runs, row, COMPARED[row.policy])}",
                highlight=False,
            )


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
