"""Score, prune and retrain as in "Deep Learning on a Data Diet", on embedded digits.

Without arguments: three runs on scikit-learn's digits with a tenth of the labels wrong, their
scores averaged, how well each score finds the wrong labels, and what training on half of the data
costs, in about a minute.

    python data_diet.py --noise .1 --seeds 5       # five runs
    python data_diet.py --exp exps/digits --run 0  # one run, its scores in exps/digits/run_0

Folders are those of the published code: EXP/run_R, EXP/size_K/run_R, EXP/size_K.offset_O/run_R,
with scores in error_l2_norm_scores/ckpt_STEP.npy and so on. Indices are the data set's own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from label_noise import auroc, draw, noisy_labels
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import dynsample as ds
from dynsample.cli.experiment.memory import ImageSet
from dynsample.cli.experiment.model import small_cnn
from dynsample.cli.experiment.tasks import Task, digits
from dynsample.cli.experiment.train import accuracy
from dynsample.coreset import mean_over_runs, run_file
from dynsample.torch import DataLoader

# What a run writes: score -> its folder of the published layout, or a file of our own.
PUBLISHED = {"el2n": "l2_error", "grand": "grad_norm", "forgetting": "forget"}
OURS = ("grand_last", "aum", "probability", "dyn_unc")


@dataclass(frozen=True)
class Row:
    """A way to choose a part of the data."""

    name: str
    folder: str
    ids: NDArray[np.int64]


def seed_of(seed: int, run: int) -> int:
    """Seed of a run: another for every (seed, run), also when both grow by one."""
    return int(np.random.SeedSequence([seed, run]).generate_state(1)[0])


def train(
    task: Task, args: argparse.Namespace, run: int, subset: NDArray[np.int64] | None = None
) -> tuple[torch.nn.Module, ds.Sampler, dict[str, NDArray[np.float32]]]:
    """Train one network; on all data, score it after each of the first epochs."""
    seed = seed_of(args.seed, run)
    model = small_cnn(task.train_images.shape[-1], task.num_classes, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr, momentum=0.9, nesterov=True)
    columns = ds.score_columns(window=args.window) if subset is None else None
    sampler = ds.Sampler(
        task.num_train, batch_size=task.batch_size, seed=seed, subset=subset, columns=columns
    )
    train_set = ImageSet(task.train_images, task.train_labels)
    loader = DataLoader(train_set, sampler=sampler, collate_fn=tuple)
    early: dict[str, list[NDArray[np.float32]]] = {}
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        for images, labels, index in loader:
            logits = model(images)
            sampler.observe(index, logits=logits, targets=labels)
            optimizer.zero_grad()
            F.cross_entropy(logits, labels).backward()
            if args.clip:
                torch.nn.utils.clip_grad_norm_(model.parameters(), args.clip)
            optimizer.step()
        if subset is None and epoch < args.early:
            names = ["el2n", "grand_last", *(["grand"] if epoch == args.early - 1 else [])]
            for name, values in ds.score(model, in_order(task), names).items():
                early.setdefault(name, []).append(values)
    sampler.set_epoch(args.epochs)  # the last epoch's observations count too
    return model, sampler, {name: np.mean(values, axis=0) for name, values in early.items()}


def in_order(task: Task, batch_size: int = 256) -> list[tuple[torch.Tensor, ...]]:
    """Batches of the training set, without augmentation, as `ds.score` takes them."""
    index = torch.arange(task.num_train)
    return list(
        zip(*(part.split(batch_size) for part in (task.train_images, task.train_labels, index)),
            strict=True)
    )  # fmt: skip


def full_run(task: Task, args: argparse.Namespace, exp: Path, run: int) -> None:
    """Train on everything, and write every score of the run."""
    model, sampler, scores = train(task, args, run)
    table = sampler.table
    scores |= {name: table[name] for name in ("aum", "probability", "dyn_unc")}
    scores["forgetting"] = ds.Forgetting().score(table)
    folder = exp / f"run_{run}"
    for name, values in scores.items():
        if name in PUBLISHED:
            path = run_file(exp, run, step_of(task, args, name), PUBLISHED[name])
        else:
            path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, values)
    sampler.save(folder / "sampler")
    write_result(folder, task, model, args, run)


def subset_run(task: Task, args: argparse.Namespace, exp: Path, row: Row, run: int) -> None:
    """Train on a part."""
    folder = exp / row.folder / f"run_{run}"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "ids.npy", row.ids)
    model, _, _ = train(task, args, run, row.ids)
    write_result(folder, task, model, args, run)


def write_result(
    folder: Path, task: Task, model: torch.nn.Module, args: argparse.Namespace, run: int
) -> None:
    result = {"accuracy": accuracy(model, task), "seed": seed_of(args.seed, run)}
    (folder / "result.json").write_text(json.dumps(result) + "\n")


def accuracies(folder: Path, runs: range) -> list[float]:
    """Test accuracy of each run, in percent."""
    results = (folder / f"run_{run}" / "result.json" for run in runs)
    return [json.loads(path.read_text())["accuracy"] for path in results]


def step_of(task: Task, args: argparse.Namespace, name: str) -> int:
    """Checkpoint that a score belongs to, in steps of training."""
    steps = -(-task.num_train // task.batch_size)
    return steps * (args.epochs if name == "forgetting" else args.early)


def mean_scores(task: Task, args: argparse.Namespace, exp: Path) -> dict[str, NDArray[np.floating]]:
    """Mean of every score over the runs; written where the published code has it."""
    means = {}
    for name, kind in PUBLISHED.items():
        step = step_of(task, args, name)
        means[name] = mean_over_runs(exp, args.seeds, step, kind)
        path = run_file(exp, None, step, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, means[name])
    for name in OURS:
        runs = [np.load(exp / f"run_{run}" / f"{name}.npy") for run in range(args.seeds)]
        means[name] = np.mean(runs, axis=0)
    return means


def rows_of(scores: dict[str, NDArray[np.floating]], args: argparse.Namespace) -> list[Row]:
    """Coresets to train on, by their folders."""
    n = len(scores["el2n"])
    k, most = int(args.keep * n), int(0.75 * n)
    offset = int(args.offset * n)
    el2n, uncertainty = scores["el2n"], scores["dyn_unc"]
    keep = ds.coreset
    return [
        Row(f"random {args.keep:.0%}", f"size_{k}.random", keep.keep_random(n, k, args.seed)),
        Row(f"EL2N highest {args.keep:.0%}", f"size_{k}", keep.keep_highest(el2n, k)),
        Row(
            f"EL2N {args.keep:.0%} from {args.offset:.0%} on",
            f"size_{k}.offset_{offset}",
            keep.keep_offset(el2n, k, offset),
        ),
        Row("Dyn-Unc highest 75%", f"size_{most}.dyn_unc", keep.keep_highest(uncertainty, most)),
    ]


def found_noise(scores: dict[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
    """Scores by the names of the table, so that a wrong label is expected to be high."""
    return {
        "EL2N, early": scores["el2n"],
        "GraNd, early": scores["grand"],
        "GraNd of the last layer, early": scores["grand_last"],
        "forgetting events": scores["forgetting"],
        "AUM, negative": -scores["aum"],
        "1 - p": 1 - scores["probability"],
        "Dyn-Unc": scores["dyn_unc"],
    }


def report(
    console: Console,
    args: argparse.Namespace,
    exp: Path,
    scores: dict[str, NDArray[np.floating]],
    rows: list[Row],
    wrong: NDArray[np.bool_],
) -> None:
    """Print both tables, draw the picture."""
    runs = range(args.seeds)
    clipping = f"gradients clipped to {args.clip:g}" if args.clip else "gradients not clipped"
    named = found_noise(scores)
    if wrong.any():
        table = Table(title=f"Finding {wrong.sum()} wrong labels of {len(wrong)}; {clipping}")
        table.add_column("score, mean of the runs")
        table.add_column("AUROC", justify="right")
        for name, values in named.items():
            table.add_row(name, f"{auroc(values, wrong):.3f}")
        console.print(table)
    table = Table(title=f"Trained for {args.epochs} epochs, {args.seeds} runs; {clipping}")
    for heading in ("data", "samples", "wrong labels", "accuracy %", "to random"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    full = Row("all", "", np.arange(len(wrong)))
    control = np.mean(accuracies(exp / rows[0].folder, runs))
    for row in (full, *rows):
        reached = accuracies(exp / row.folder, runs)
        table.add_row(
            row.name,
            str(len(row.ids)),
            f"{wrong[row.ids].mean():.3f}",
            f"{np.mean(reached):.2f}±{np.std(reached):.2f}",
            f"{np.mean(reached) - control:+.2f}",
        )
    console.print(table)
    draw(args.plot, named, wrong)
    console.print(f"Picture: {args.plot}", soft_wrap=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("--exp", type=Path, help="folder of the runs (default: a temporary one)")
    parser.add_argument("--run", type=int, metavar="R", help="train and score this run alone")
    parser.add_argument("--seeds", type=int, default=3, help="runs to average (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="run R has that of (seed, R)")
    parser.add_argument("--noise", type=float, default=0.1, help="share of labels to change")
    parser.add_argument("--noise-mode", choices=("flip", "permute"), default="flip",
                        help="to another class, or permuted among the rows, as published")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--early", type=int, default=4, help="epochs whose scores are averaged")
    parser.add_argument("--window", type=int, default=10, help="epochs of Dyn-Unc's window")
    parser.add_argument("--keep", type=float, default=0.5, help="share to keep (%(default)s)")
    parser.add_argument("--offset", type=float, default=0.3, help="share of the lowest to skip")
    parser.add_argument("--lr", type=float, default=0.005, help="constant (%(default)s)")
    parser.add_argument("--clip", type=float, default=1.0, help="norm of gradients; 0: none")
    parser.add_argument("--plot", type=Path, default=Path("data_diet.png"))
    # fmt: on
    args = parser.parse_args()
    if not 0 <= args.noise < 1:
        parser.error(f"--noise must be in [0, 1), got {args.noise}")
    if args.epochs <= max(args.window, args.early):
        parser.error(f"--epochs must be more than --window and --early, got {args.epochs}")
    if args.run is not None and args.exp is None:
        parser.error("--run needs --exp: the folder that the run's scores go to")
    return args


def main() -> int:
    args = arguments()
    torch.set_num_threads(1)  # the network is too small to share
    console = Console()
    clean = digits()
    true = clean.train_labels.numpy()
    labels = noisy_labels(true, args.noise, args.noise_mode, args.seed)
    task = replace(clean, train_labels=torch.from_numpy(labels))
    if args.run is not None:
        full_run(task, args, args.exp, args.run)
        console.print(f"scores of run {args.run}: {args.exp / f'run_{args.run}'}")
        return 0
    with tempfile.TemporaryDirectory() as folder, Progress(console=Console(stderr=True)) as bar:
        exp = args.exp or Path(folder)
        runs = bar.add_task("all data", total=5 * args.seeds)
        for run in range(args.seeds):
            full_run(task, args, exp, run)
            bar.advance(runs)
        scores = mean_scores(task, args, exp)
        rows = rows_of(scores, args)
        for row in rows:
            bar.update(runs, description=row.name)
            for run in range(args.seeds):
                subset_run(task, args, exp, row, run)
                bar.advance(runs)
        bar.stop()
        report(console, args, exp, scores, rows, labels != true)
    return 0


if __name__ == "__main__":
    sys.exit(main())
