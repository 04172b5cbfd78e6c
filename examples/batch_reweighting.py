r"""Batch reweighting on long-tailed data: weights from the Gram matrix of the batch's gradients.

Without arguments: scikit-learn's digits, made 50:1, with the loss as it is (ERM), weighted by
inverse class frequency, and weighted by both forms of batch reweighting, in about a minute.

    python batch_reweighting.py --seeds 5
    python batch_reweighting.py --br 1 --scores scores                # reweighted only, score.npy
    python batch_reweighting.py --data cifar-10-batches-py --ratio 100 --epochs 200 \
        --model torchvision.models.resnet18                           # or an .npz, or class folders

The flags are those of the published code, with its settings: gamma 0.7, temperature 1, batches of
128, learning rate 0.1, weight decay 1e-4.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import image_data
import models
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from torch import nn

import dynsample as ds
from dynsample.cli.experiment.lr import one_cycle
from dynsample.cli.experiment.memory import ImageSet
from dynsample.cli.experiment.tasks import digits
from dynsample.torch import DataLoader

METHODS = {
    "erm": "ERM",
    "frequency": "class frequency",
    "softmax": "gram, published",
    "inverse": "gram, inverse",
}
CLIP = 1.0  # largest norm of the gradient
THIRD = 3  # head and tail are the most and the least frequent third of the classes


@dataclass(frozen=True)
class Data:
    """A data set, and the part of it to train on."""

    train: Any
    labels: NDArray[np.int64]
    val: Any
    num_classes: int
    subset: NDArray[np.int64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Samples of each class that are trained on."""
        return np.bincount(self.labels[self.subset], minlength=self.num_classes)


@dataclass
class Run:
    """What a run gave: percent of each class that is right, and the mean score of each sample."""

    right: NDArray[np.float64]
    counts: NDArray[np.int64]
    seconds: float
    ids: NDArray[np.int64]
    scores: NDArray[np.float32] = field(repr=False)

    def accuracy(self, part: str) -> float:
        """Mean over the classes of a part."""
        order = np.argsort(-self.counts, kind="stable")
        size = max(len(order) // THIRD, 1)
        classes = {"all": order, "head": order[:size], "tail": order[-size:]}[part]
        return float(np.nanmean(self.right[classes]))


def long_tail(labels: NDArray[np.int64], ratio: float, seed: int) -> NDArray[np.int64]:
    """Ids of a part with class sizes that fall exponentially, from the largest to 1 / ratio of it.

    Which classes are rare, and which of their samples stay, depends on the seed.
    """
    random = np.random.default_rng(seed)
    classes = np.unique(labels)
    places = [np.flatnonzero(labels == c) for c in random.permutation(classes)]
    largest = min(map(len, places))
    kept = []
    for i, ids in enumerate(places):
        count = largest * ratio ** (-i / max(len(classes) - 1, 1))
        kept.append(random.choice(ids, max(1, round(count)), replace=False))
    return np.sort(np.concatenate(kept))


def open_data(args: argparse.Namespace, seed: int) -> Data:
    if args.data is None:
        task = digits()
        train: Any = ImageSet(task.train_images, task.train_labels)
        val: Any = ImageSet(task.test_images, task.test_labels)
        labels, num_classes = task.train_labels.numpy(), task.num_classes
    else:
        train = image_data.load(args.data, "train", size=args.size, augment=not args.no_augment)
        val = image_data.load(args.val or args.data, "train" if args.val else "val", size=args.size)
        labels, num_classes = train.labels, train.num_classes
    subset = np.arange(len(labels)) if args.ratio == 1 else long_tail(labels, args.ratio, seed)
    return Data(train, labels, val, num_classes, subset)


class LastInput:
    """Keeps what the last linear layer of a network was called with."""

    def __init__(self, model: nn.Module) -> None:
        linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
        if not linear:
            raise SystemExit("--params last_layer needs a network that ends in nn.Linear")
        self.features: torch.Tensor | None = None
        linear[-1].register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.features = inputs[0]


def train(args: argparse.Namespace, data: Data, method: str, seed: int) -> Iterator[Run | None]:
    """Train one network; yields after every epoch, and the run at the end."""
    start = time.perf_counter()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    channels = data.train[0][0].shape[0] if args.data else 1
    model = models.make(args.model, data.num_classes, channels, seed).to(device)
    last = LastInput(model) if args.params == "last_layer" else None
    optimizer = torch.optim.SGD(
        model.parameters(), args.lr, momentum=args.momentum, weight_decay=args.weight_decay
    )
    reweighted = method in ds.batch.FORMS
    sampler = ds.Sampler(
        len(data.labels),
        batch_size=args.batch_size,
        seed=seed,
        subset=data.subset,
        columns={"score": ds.Mean()} if reweighted else None,
        group=None,
    )
    loader = DataLoader(
        data.train, sampler=sampler, num_workers=args.num_workers, **in_memory(args)
    )
    rarity = torch.from_numpy(1 / np.maximum(data.counts, 1)).float().to(device)
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        model.train()
        for images, labels, index in loader:
            x, y = images.to(device), labels.to(device)
            logits = model(x)
            losses = F.cross_entropy(logits, y, reduction="none")
            if reweighted:
                weights, score = ds.batch.gram_weights(
                    logits,
                    y,
                    gamma=args.gamma,
                    temperature=args.temp,
                    form=method,
                    params=args.params,
                    features=last and last.features,
                    model=model,
                    inputs=x,
                )
                sampler.observe(index, score=score)
            else:
                weights = rarity[y] if method == "frequency" else torch.ones_like(losses)
                weights = weights / weights.sum()
            optimizer.zero_grad()
            (weights * losses).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            for group in optimizer.param_groups:
                group["lr"] = args.lr * one_cycle(sampler.progress / args.epochs)
            optimizer.step()
        if epoch < args.epochs - 1:
            yield None
    sampler.set_epoch(args.epochs)  # folds what the last epoch observed
    scores = sampler.table["score"] if reweighted else np.empty(0, np.float32)
    right = class_accuracy(args, model, data, device)
    yield Run(right, data.counts, time.perf_counter() - start, data.subset, scores)


def in_memory(args: argparse.Namespace) -> dict[str, Any]:
    return {} if args.data else {"collate_fn": tuple}


@torch.no_grad()
def class_accuracy(
    args: argparse.Namespace, model: nn.Module, data: Data, device: torch.device
) -> NDArray[np.float64]:
    """Percent of each class that is classified correctly; NaN for a class without samples."""
    model.eval()
    right, count = np.zeros(data.num_classes), np.zeros(data.num_classes)
    loader = torch.utils.data.DataLoader(
        data.val, 256, num_workers=args.num_workers, **in_memory(args)
    )
    for images, labels in loader:
        predicted = model(images.to(device)).argmax(1).cpu()
        count += np.bincount(labels, minlength=data.num_classes)
        right += np.bincount(labels[predicted == labels], minlength=data.num_classes)
    with np.errstate(invalid="ignore"):
        return 100 * right / count


def write_scores(folder: Path, run: Run, labels: NDArray[np.int64]) -> None:
    """Write `score.npy`, float64[N, 3]: index, mean score over the epochs, class; by index."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "score.npy", np.stack([run.ids, run.scores, labels[run.ids]], 1))


def report(console: Console, runs: dict[str, list[Run]], data: Data) -> None:
    counts = np.sort(data.counts)[::-1]
    seeds = len(runs[next(iter(runs))])
    title = (
        f"{counts.sum()} samples, {data.num_classes} classes of {counts[0]} to {counts[-1]}, "
        f"{seeds} seeds; percent right"
    )
    table = Table(title=title, box=box.SIMPLE, title_style="")
    table.add_column("method", no_wrap=True)
    for heading in ("all", "head", "tail", "tail - ERM", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for method, of_method in runs.items():
        cells = [
            spread([run.accuracy(part) for run in of_method]) for part in ("all", "head", "tail")
        ]
        gains = [
            run.accuracy("tail") - erm.accuracy("tail")
            for run, erm in zip(of_method, runs.get("erm", []), strict=False)
        ]
        gain = spread(gains, sign="+") if gains and method != "erm" else ""
        seconds = statistics.fmean(run.seconds for run in of_method)
        table.add_row(METHODS[method], *cells, gain, f"{seconds:.1f}")
    console.print(table)


def spread(values: list[float], sign: str = "") -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{sign}.1f}{deviation}"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # fmt: off
    parser.add_argument("--data", type=Path, help="CIFAR batches, .npz or class folders (digits)")
    parser.add_argument("--val", type=Path, help="another .npz or folder to measure on")
    parser.add_argument("--size", type=int, help="pixels of a side, for class folders")
    parser.add_argument("--ratio", type=float, help="largest over smallest class (50; --data: 1)")
    parser.add_argument("--br", type=int, choices=[0, 1], help="0: ERM; 1: reweighted; both else")
    parser.add_argument("--form", choices=ds.batch.FORMS, help="one form only")
    parser.add_argument("--params", choices=["bias", "last_layer", "all"], default="bias")
    parser.add_argument("--gamma", type=float, default=0.7)
    parser.add_argument("--temp", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--model", help="path of a callable (default: a small network)")
    parser.add_argument("--no-augment", action="store_true", help="no random crops and flips")
    parser.add_argument("--num-workers", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--scores", type=Path, metavar="DIR", help="DIR/METHOD-seed-S/score.npy")
    # fmt: on
    args = parser.parse_args()
    args.ratio = args.ratio or (1 if args.data else 50)
    return args


def main() -> None:
    args = parse()
    if args.data is None:
        torch.set_num_threads(1)  # too small to share
    forms = [args.form] if args.form else sorted(ds.batch.FORMS, reverse=True)
    methods = {0: ["erm"], 1: forms, None: ["erm", "frequency", *forms]}[args.br]
    runs: dict[str, list[Run]] = {method: [] for method in methods}
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=len(methods) * args.seeds * args.epochs)
        for seed in range(args.seed, args.seed + args.seeds):
            data = open_data(args, seed)
            for method in methods:
                progress.update(bar, description=f"{method}, seed {seed}")
                for run in train(args, data, method, seed):
                    progress.advance(bar)
                    if run:
                        runs[method].append(run)
                        if args.scores and len(run.scores):
                            write_scores(args.scores / f"{method}-seed-{seed}", run, data.labels)
    report(Console(), runs, data)


if __name__ == "__main__":
    main()
