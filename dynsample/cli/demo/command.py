"""Train every row with every seed, and report."""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console

from dynsample import Sampler
from dynsample.cli import INTERRUPTED
from dynsample.cli.demo import plot, report
from dynsample.cli.demo.loaders import FROM_FILES, order_digest
from dynsample.cli.demo.policies import ROWS
from dynsample.cli.demo.verify import Check, Recorder, verify
from dynsample.cli.experiment.memory import OpenLoader, from_memory
from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.rows import Settings
from dynsample.cli.experiment.summary import summarise
from dynsample.cli.experiment.tasks import TASKS, Task
from dynsample.cli.experiment.train import train
from dynsample.cli.printing import printable
from dynsample.cli.progress import progress

Runs = dict[str, dict[int, Run]]  # by row, by seed


def run(args: argparse.Namespace) -> int:
    """Train, print the table, write picture and JSON. Ctrl-C reports what was measured so far."""
    torch.set_num_threads(1)  # the network is too small to share: two threads take longer
    console = Console()
    task = TASKS[args.dataset]()
    settings = Settings(
        task.num_train, args.epochs or task.epochs, args.fraction, args.refresh_every
    )
    names = selected(args.policy)
    seeds = range(args.seed, args.seed + args.seeds)
    runs: Runs = {name: {} for name in names}
    checks: list[Check] = []
    interrupted, same_order = False, True
    with contextlib.ExitStack() as stack:
        open_loader = from_memory(task)
        if args.loader:
            open_loader = _from_files(stack, args.loader, task)
            same_order = report.print_orders(
                console,
                {
                    "torch, in memory": order_digest(from_memory(task), task, settings.epochs),
                    f"{args.loader}, from files": order_digest(open_loader, task, settings.epochs),
                },
            )
        try:
            for name, seed, result, check in train_all(
                task, settings, names, seeds, open_loader, record=args.verify
            ):
                runs[name][seed] = result
                checks += [check] if check else []
        except KeyboardInterrupt:
            interrupted = True
    rows = summarise(runs, settings)
    if rows:
        report.print_table(console, task, settings, runs, rows)
        report.print_verdict(console, runs, rows)
        plot.write(args.plot, task, settings, runs)
        console.print(f"Picture: {printable(args.plot)}", soft_wrap=True, markup=False)
        if args.json:
            report.write_json(args.json, task, runs, rows)
    if args.verify:
        report.print_checks(console, checks)
    if interrupted:
        done = sum(map(len, runs.values()))
        console.print(f"Interrupted after {done} of {len(names) * len(seeds)} runs.")
        return INTERRUPTED
    return int(any(check.differences for check in checks) or not same_order)


def _from_files(stack: contextlib.ExitStack, name: str, task: Task) -> OpenLoader:
    """Write the task's files, to be removed when the stack unwinds, and say how to read them."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dynsample-demo-"))
    return FROM_FILES[name](task, Path(folder))


def selected(asked: list[str]) -> list[str]:
    """Rows to train, in the table's order: those asked for, and those they are compared with."""
    needed = {"baseline", *asked, *(ROWS[name].cost_of for name in asked)}
    return [name for name in ROWS if name in needed]


def train_all(
    task: Task,
    settings: Settings,
    names: list[str],
    seeds: range,
    open_loader: OpenLoader,
    *,
    record: bool,
) -> Iterator[tuple[str, int, Run, Check | None]]:
    """Yield every run as it ends. Seeds are the outer loop, so that an early end is a fair one."""
    baseline = settings.samples
    warm_up = ROWS["baseline"].plan(settings, 1.0)[0]  # torch loads much at its first step
    train(task, warm_up, seeds[0], epochs=1, open_loader=open_loader, budget=task.batch_size)
    with progress("", "epochs", len(names) * len(seeds) * settings.epochs) as shown:
        for number, seed in enumerate(seeds):
            cost: dict[str | None, float] = {None: 1.0}
            for place, name in enumerate(names):
                shown.update(what=f"{name}, seed {seed}")
                policy, epochs, budget = ROWS[name].plan(settings, cost[ROWS[name].cost_of])
                recorder = Recorder() if record else None
                result = train(
                    task,
                    policy,
                    seed,
                    epochs=epochs,
                    open_loader=open_loader,
                    budget=budget,
                    make_sampler=recorder or Sampler,
                    epoch_done=shown.advance,
                )
                cost[name] = result.cost / baseline
                shown.update(done=(number * len(names) + place + 1) * settings.epochs)
                check = None
                if recorder:
                    check = verify(name, policy, task.num_train, seed, recorder.sampler.epochs)
                yield name, seed, result, check
