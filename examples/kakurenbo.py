r"""KAKURENBO and the baselines of its paper: importance sampling, forgetting, Selective Backprop.

Without arguments: every method on scikit-learn's digits, in about a minute, and a table.

    python kakurenbo.py --method kakurenbo --loader dali                # digits as JPEG files
    python kakurenbo.py --config cifar100-wrn28-10 --data cifar-100-python --method kakurenbo
    torchrun --nproc-per-node 8 kakurenbo.py --config imagenet-resnet50 --data /data/imagenet \
        --loader dali --method kakurenbo --save checkpoints --every 1000

`--config` takes the settings of the paper from kakurenbo.json; any flag beside it wins. The batch
size is that of all ranks, which torchrun or mpiexec start. `--model` is the path of any callable
that takes `num_classes=`, in torchvision, timm or your own code.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import feeds
import image_data
import models
import numpy as np
import ranks
import torch
import torch.nn.functional as F
from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

import dynsample as ds
from dynsample.policies.registry import make
from dynsample.torch import scaled_lr

CONFIGS: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_suffix(".json").read_text())
FORWARD_COST = 1 / 3  # of a sample's forward pass, when forward and backward together cost 1
# The published milestones of the fraction, as shares of 90 epochs, for runs of other lengths.
SHARES, FACTORS = (30 / 90, 60 / 90, 80 / 90), (1.0, 0.8, 0.6, 0.4)


def fraction_schedule(args: argparse.Namespace) -> ds.schedules.Steps:
    """Factor of the hidden fraction: the paper's for its run lengths, else the same in shares."""
    length = args.fraction_epochs or args.epochs
    if length in (90, 200, 600):
        return ds.schedules.kakurenbo(length)
    milestones = sorted({max(1, round(share * length)) for share in SHARES})
    return ds.schedules.Steps(milestones, FACTORS[: len(milestones) + 1])


def forgetting(args: argparse.Namespace, *, lag: bool) -> ds.Policy:
    options = {"static_epochs": args.static_epochs, "never_learned": args.never_learned}
    return make("forgetting", fraction=args.fraction, lag=lag, **options)


POLICIES: dict[str, Callable[[argparse.Namespace], ds.Policy]] = {
    "baseline": lambda args: make("uniform"),
    "kakurenbo": lambda args: make(
        "kakurenbo",
        fraction=args.fraction,
        tau=args.tau,
        schedule=fraction_schedule(args),
        warmup_epochs=args.warmup_epochs,
        refresh_every=args.refresh_every,
    ),
    "iswr": lambda args: make("importance"),
    "forget-static": lambda args: forgetting(args, lag=False),
    "forget-lag": lambda args: forgetting(args, lag=True),
    "sb": lambda args: make("selective-backprop", beta=args.beta),
}


@dataclass
class Run:
    """What a run cost, in passes over the data set, and gave."""

    trained: float = 0.0
    looked_at: float = 0.0
    seconds: float = 0.0
    accuracy: float = math.nan


class Trainer:
    """One network and what it is trained with, by one policy."""

    def __init__(
        self, args: argparse.Namespace, feed: feeds.Feed, name: str, seed: int, **options: Any
    ) -> None:
        """`options` are those of the sampler."""
        self.args, self.feed, self.run = args, feed, Run()
        device, world = args.device, args.world
        rows = ranks.share(args.batch_size, world)
        report = args.report and args.report / f"{name}-seed-{seed}"
        if report and feed.keep and world.rank == 0:
            feed.keep(report)
        world.barrier("the folder of the report")
        self.sampler = ds.Sampler(
            feed.num_train, batch_size=rows, seed=seed, group=world, report=report, **options
        )
        self.loader = feed.open_train(self.sampler)
        made = models.make(args.model, feed.num_classes, feed.channels, seed, **args.model_options)
        self.net = made.to(device)
        self.model = ranks.parallel(self.net)
        self.optimizer: torch.optim.Optimizer
        parameters, decay = self.net.parameters(), args.weight_decay
        if args.optimizer == "adamw":
            self.optimizer = torch.optim.AdamW(parameters, args.lr, weight_decay=decay)
        else:
            self.optimizer = torch.optim.SGD(parameters, args.lr, args.momentum, weight_decay=decay)
        self.scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
        saved = {**vars(args), "save": args.save and args.save / f"{name}-seed-{seed}"}
        parts = {"net": self.net, "optimizer": self.optimizer, "scaler": self.scaler}
        self.progress = ranks.Progress(argparse.Namespace(**saved), self.sampler, parts)

    def forward(self, images: torch.Tensor, model: nn.Module) -> torch.Tensor:
        """Classify; logits in float32."""
        device = self.args.device
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            logits: torch.Tensor = model(images.to(device, non_blocking=True))
        return logits.float()

    def step(self, images: torch.Tensor, labels: torch.Tensor, index: torch.Tensor) -> None:
        """Train on a batch, and report what was seen of it."""
        args, sampler = self.args, self.sampler
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(args, sampler.progress)
        targets = labels.to(args.device, non_blocking=True)
        logits = self.forward(images, self.model)
        losses = F.cross_entropy(logits, targets, reduction="none", label_smoothing=args.smoothing)
        sampler.observe(index, logits=logits, targets=targets)  # without the smoothing
        weights = sampler.weights(index).to(args.device)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale((weights * losses).mean()).backward()
        ranks.average_gradients(self.net, args.world)
        if args.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.net.parameters(), args.clip)
        with scaled_lr(self.optimizer, sampler.lr_scale):
            self.scaler.step(self.optimizer)
        self.scaler.update()
        self.progress.step(index)

    @torch.no_grad()
    def refresh(self) -> None:
        """Look at the hidden samples again, so that they can come back."""
        self.net.eval()
        for images, labels, index in self.loader.hidden():
            logits = self.forward(images, self.net)
            self.sampler.observe(index, logits=logits, targets=labels.to(self.args.device))
            self.progress.step(index, hidden=True)

    @torch.no_grad()
    def accuracy(self) -> float:
        """Percent of the validation set that is right."""
        self.net.eval()
        right = seen = 0
        for images, labels in self.feed.val():
            logits = self.forward(images, self.net)
            if self.args.columns is not None:
                logits = logits[:, self.args.columns]
            right += int((logits.argmax(1) == labels.to(logits.device)).sum())
            seen += len(labels)
        return 100 * right / seen

    def train(self, epochs: int, log: Callable[[str], None]) -> Run:
        """Train, from the beginning or from what was saved."""
        sampler, run, total = self.sampler, self.run, self.feed.num_train
        first = self.progress.resume(self.args.device) if self.args.resume else 0
        for epoch in range(first, epochs):
            start = time.perf_counter()
            sampler.set_epoch(epoch)
            self.model.train()
            for batch in self.loader:
                self.step(*batch)
            if epoch < self.args.epochs - 1:  # nothing is hidden by what the last one would find
                self.refresh()
                run.looked_at += sampler.plan.num_hidden * sampler.plan.refresh / total
            run.trained += sampler.plan.num_positions / total
            run.seconds += time.perf_counter() - start
            self.progress.save(epoch + 1)
            log(f"epoch {epoch}: {sampler.plan.num_hidden} hidden")
        run.accuracy = self.accuracy()
        return run


def learning_rate(args: argparse.Namespace, epoch: float) -> float:
    """Warm up, then fall at milestones or along a cosine, by epochs as a fraction."""
    if epoch < args.warmup_epochs:
        return float(args.lr * (epoch + 0.1) / (args.warmup_epochs + 0.1))
    if args.lr_milestones:
        return float(args.lr * args.lr_factor ** sum(epoch >= m for m in args.lr_milestones))
    done = (epoch - args.warmup_epochs) / max(args.epochs - args.warmup_epochs, 1e-9)
    return float(args.min_lr + (args.lr - args.min_lr) * (1 + math.cos(math.pi * done)) / 2)


def train(
    args: argparse.Namespace, feed: feeds.Feed, method: str, seed: int, log: Callable[[str], None]
) -> Run:
    """Train by a method; static forgetting records, drops, and starts with a fresh network."""
    policy = POLICIES[method](args)
    if method != "forget-static":
        return Trainer(args, feed, method, seed, policy=policy).train(args.epochs, log)
    recorder = Trainer(args, feed, "record", seed, policy=policy)
    recorded = recorder.train(args.static_epochs, log)
    recorder.sampler.set_epoch(args.static_epochs)  # folds, and hides for good
    coreset = np.setdiff1d(np.arange(feed.num_train), recorder.sampler.plan.hidden)
    run = Trainer(args, feed, method, seed, subset=coreset).train(args.epochs, log)
    run.trained += recorded.trained
    run.seconds += recorded.seconds
    return run


def report(console: Console, args: argparse.Namespace, runs: dict[str, list[Run]]) -> None:
    title = f"{args.what}, {args.epochs} epochs, {args.world.size} ranks, {args.seeds} seeds"
    table = Table(title=title, box=box.SIMPLE, title_style="")
    table.add_column("method", no_wrap=True)
    for heading in ("accuracy", "gain", "trained", "looked at", "cost", "seconds"):
        table.add_column(heading, justify="right")

    def mean(values: list[float]) -> float:
        return statistics.fmean(values)

    for method, of_method in runs.items():
        accuracies = [run.accuracy for run in of_method]
        cell = f"{mean(accuracies):.2f}"
        if len(accuracies) > 1:
            cell += f" ± {statistics.stdev(accuracies):.2f}"
        others = zip(of_method, runs.get("baseline", []), strict=False)
        gains = [run.accuracy - base.accuracy for run, base in others]
        gain = f"{mean(gains):+.2f}" if gains and method != "baseline" else ""
        trained = mean([run.trained for run in of_method]) / args.epochs
        looked_at = mean([run.looked_at for run in of_method]) / args.epochs
        cost = trained + FORWARD_COST * looked_at
        shares = [f"{100 * share:.0f} %" for share in (trained, looked_at, cost)]
        seconds = mean([run.seconds for run in of_method])
        table.add_row(method, cell, gain, *shares, f"{seconds:.1f}")
    console.print(table)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # fmt: off
    parser.add_argument("--config", choices=CONFIGS, help="settings of the paper")
    parser.add_argument("--data", type=Path, help="CIFAR batches, .npz, class folders; "
                        "dali: class folders in train/ and val/; ffcv: train.beton and val.beton")
    parser.add_argument("--val", type=Path, help="another place for the validation set")
    parser.add_argument("--class-map", type=Path, help="mapping_dict.txt of ImageNet-21K")
    parser.add_argument("--embedded", choices=feeds.EMBEDDED, default="digits")
    parser.add_argument("--loader", choices=feeds.LOADERS, default="torch")
    parser.add_argument("--method", choices=POLICIES, nargs="+", default=list(POLICIES))
    parser.add_argument("--model", help="path of a callable (default: a small network)")
    parser.add_argument("--classes", type=int, help="for ffcv")
    parser.add_argument("--size", type=int, help="pixels of a side, for image files")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks")
    parser.add_argument("--val-batch-size", type=int, default=256)
    parser.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    parser.add_argument("--lr", type=float, default=0.1, help="of the whole batch")
    parser.add_argument("--min-lr", type=float, default=0.0, help="at the end of the cosine")
    parser.add_argument("--lr-milestones", type=int, nargs="*", default=[], help="else a cosine")
    parser.add_argument("--lr-factor", type=float, default=0.1)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--warmup-epochs", type=float, default=1)
    parser.add_argument("--smoothing", type=float, default=0.0, help="of the labels")
    parser.add_argument("--clip", type=float, help="norm of the gradient (embedded: 1)")
    parser.add_argument("--fraction", type=float, default=0.3, help="most samples hidden")
    parser.add_argument("--fraction-epochs", type=int, help="length of the fraction's schedule")
    parser.add_argument("--tau", type=float, default=0.7)
    parser.add_argument("--refresh-every", type=int, default=1)
    parser.add_argument("--beta", type=float, default=0.43, help="of Selective Backprop")
    parser.add_argument("--static-epochs", type=int, help="of forgetting (20; embedded: 4)")
    parser.add_argument("--never-learned", choices=["inf", "n", "zero"], default="inf")
    parser.add_argument("--no-augment", action="store_true", help="no random crops and flips")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--report", type=Path, metavar="DIR", help="for dynsample inspect: a "
                        "folder in it for each method and seed")
    parser.add_argument("--verbose", action="store_true", help="a line for every epoch")
    # fmt: on
    ranks.add_arguments(parser)
    parser.set_defaults(mean=image_data.MEAN, std=image_data.STD, model_options={}, columns=None)
    config = dict(CONFIGS.get(parser.parse_known_args()[0].config or "", {}))
    notes = [config.pop(name, None) for name in ("source", "not_applied")]
    parser.set_defaults(**config)
    args = parser.parse_args()
    args.note = notes[1]
    args.what = args.embedded if args.data is None else args.data.name
    if args.config and args.data is None:
        parser.error("--config needs --data")
    if args.static_epochs is None:
        args.static_epochs = 4 if args.data is None else 20
    if args.data is None and args.clip is None:
        args.clip = 1.0
    return args


def main() -> None:
    args = parse()
    with contextlib.ExitStack() as stack:
        if args.data is None:
            torch.set_num_threads(1)  # too small to share
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            feed = feeds.embedded(args.embedded, args.loader, folder)
        args.world, args.device = ranks.join()
        stack.callback(ranks.leave)
        if args.data is not None:
            feed = feeds.open_path(args, args.device)
        if args.class_map:
            args.columns = image_data.class_map(args.class_map, feed.num_classes).to(args.device)
        console = Console(quiet=args.world.rank != 0)
        if args.note:
            console.print(f"--config {args.config} leaves out {args.note}", soft_wrap=True)
        runs: dict[str, list[Run]] = {method: [] for method in args.method}
        for seed in range(args.seed, args.seed + args.seeds):
            for method in args.method:

                def log(line: str, prefix: str = f"{method}, seed {seed}, ") -> None:
                    if args.verbose:
                        console.print(prefix + line, highlight=False)

                runs[method].append(train(args, feed, method, seed, log))
        report(console, args, runs)


if __name__ == "__main__":
    main()
