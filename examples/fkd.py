"""Train a student on what a teacher said of random crops and mixes, kept and replayed.

Without arguments: on scikit-learn's handwritten digits, in about a minute on the CPU. A teacher is
trained on the labels, looks at every image of every epoch once (`--mix-type`), and the student
learns from its logits alone. For class folders:

    python fkd.py --train-dir data/train --val-dir data/val --size 224 --batch-size 1024 -T 20 \
        --gradient-accumulation-steps 4 --mix-type cutmix --fkd-path FKD_cutmix_fp16

Epochs that --fkd-path holds are not relabelled again. Flags are named as in the published script.
`--verify` counts the inputs of the student that differ from the teacher's, under other batch sizes,
orders, workers and ranks.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from fkd_data import Data, Digits, Folder
from fkd_verify import compare, digests, settings
from torch import nn

import dynsample as ds
from dynsample.distill import kl_loss, parts
from dynsample.payload import Facts, Store, Views, Writer
from dynsample.torch import DataLoader


def network(channels: int, num_classes: int, width: int, seed: int) -> nn.Module:
    """Three convolutions without batch statistics: an output does not depend on its batch."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after, stride in (
        (channels, width, 1),
        (width, 2 * width, 2),
        (2 * width, 4 * width, 2),
    ):
        layers += [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(4, after), nn.ReLU()]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, num_classes)
    )


def train(model: nn.Module, data: Data, source: Any, args: argparse.Namespace, hard: bool) -> float:
    """Train on the labels (`hard`) or on the logits of the store; give the test accuracy."""
    device = args.device
    model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), args.lr, weight_decay=0.01)
    sampler = ds.Sampler(len(data), batch_size=args.batch_size, seed=args.seed)
    loader = DataLoader(data, sampler=sampler, payload=source, num_workers=args.workers)
    steps = args.epochs * len(sampler)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 + math.cos(math.pi * step / steps)) / 2
    )
    for epoch in range(args.epochs):
        sampler.set_epoch(epoch)
        for images, labels, payload, index in loader:
            optimizer.zero_grad()
            weights = sampler.weights(index).to(device)
            for rows, share in parts(len(index), args.gradient_accumulation_steps):
                output = model(images[rows].to(device))
                if hard:
                    each = F.cross_entropy(output, labels[rows].to(device), reduction="none")
                    loss = (weights[rows] * each).mean()
                else:
                    said = payload["logits"][rows].to(device)
                    loss = kl_loss(output, said, args.temperature, weights[rows])
                (share * loss).backward()
            optimizer.step()
            schedule.step()
    return accuracy(model, data.test(), args)


@torch.no_grad()
def accuracy(model: nn.Module, batches: Any, args: argparse.Namespace) -> float:
    """Percent of the test images that are classified correctly."""
    model.eval()
    right = count = 0
    for images, labels in batches:
        right += int((model(images.to(args.device)).argmax(1).cpu() == labels).sum())
        count += len(labels)
    return 100 * right / max(count, 1)


@torch.no_grad()
def relabel(teacher: nn.Module, data: Data, writer: Writer, views: Views, args: Any) -> np.ndarray:
    """Let the teacher look at every epoch; give the digests of what it saw."""
    teacher.to(args.device).eval()
    sampler = ds.Sampler(len(data), batch_size=args.batch_size, seed=args.seed)
    loader = DataLoader(data, sampler=sampler, payload=views, num_workers=args.workers)
    missing = writer.missing(args.epochs)
    seen = np.zeros((args.epochs, len(data), digests(torch.empty(0)).shape[1]), np.uint8)
    for epoch in missing:
        sampler.set_epoch(epoch)
        with writer.epoch(epoch) as rows:
            for images, _, view, index in loader:
                rows.add(index, teacher(images.to(args.device)), **view)
                if args.verify:
                    seen[epoch, index.numpy()] = digests(images)
    return seen


def verify(data: Data, store: Store, seen: np.ndarray, args: argparse.Namespace) -> int:
    """Print how many inputs of the student differ from the teacher's; give their number."""
    total = 0
    print(f"\n{'inputs of the student':<38}{'epochs':>7}{'compared':>10}{'mismatches':>12}")
    for setting in settings(args.batch_size):
        compared, mismatches = compare(data, store, seen, setting)
        print(f"{setting.name:<38}{len(seen):>7}{compared:>10}{mismatches:>12}", flush=True)
        total += mismatches
    return total


def run(args: argparse.Namespace, data: Data, path: Path) -> int:
    """Teacher, relabel phase, student, and a student without a teacher; prints the table."""
    facts = Facts(
        len(data),
        data.num_classes,
        labels=args.labels,
        mix=args.mix_type,
        size=data.size,
        fingerprint=data.fingerprint,
    )
    area = (args.smallest_crop, 1.0)
    views = Views(facts, seed=args.fkd_seed, area=area, flip=args.flip)
    plain = Views(Facts(len(data), data.num_classes), seed=1, area=area, flip=args.flip)
    writer = Writer(path, facts)
    if args.verify and len(writer.missing(args.epochs)) < args.epochs:
        raise SystemExit(f"--verify needs a fresh --fkd-path, {path} holds epochs already")
    print(f"{'':<26}{'accuracy':>10}{'seconds':>9}")
    seen = np.empty(0)
    if writer.missing(args.epochs):
        teacher = network(data.channels, data.num_classes, 2 * args.width, seed=0)
        timed("teacher, labels", lambda: train(teacher, data, plain, args, hard=True))
        start = time.perf_counter()
        seen = relabel(teacher, data, writer, views, args)
        print(f"{'relabel':<26}{'':>10}{time.perf_counter() - start:>9.1f}")
    store = Store(path, fingerprint=data.fingerprint)
    store.require(args.epochs)
    student = network(data.channels, data.num_classes, args.width, seed=1)
    timed("student, labels", lambda: train(student, data, plain, args, hard=True))
    student = network(data.channels, data.num_classes, args.width, seed=1)
    timed("student, teacher's logits", lambda: train(student, data, store, args, hard=False))
    size = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    print(
        f"{store.num_epochs} epochs of {len(data)} samples, {args.labels}, {args.mix_type}: ",
        end="",
    )
    print(f"{size / store.num_epochs / len(data):.0f} bytes a sample and epoch")
    return int(args.verify and verify(data, store, seen, args) > 0)


def timed(name: str, training: Any) -> None:
    """Run and print a line of the table."""
    start = time.perf_counter()
    found = training()
    print(f"{name:<26}{found:>9.2f}%{time.perf_counter() - start:>9.1f}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("--train-dir", type=Path, help="class folders (default: digits)")
    parser.add_argument("--val-dir", type=Path, help="class folders to test on")
    parser.add_argument("--size", type=int, default=32, help="pixels of a side, of class folders")
    parser.add_argument("--fkd-path", type=Path, help="the store (default: a temporary one)")
    parser.add_argument("--mix-type", choices=["none", "mixup", "cutmix"], default="cutmix")
    parser.add_argument("--labels", default="fp16", help="fp16, uint8 or top<k>")
    parser.add_argument("-T", "--temperature", type=float, default=20.0)
    parser.add_argument("--gradient-accumulation-steps", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", "--adamw-lr", type=float, default=1e-2)
    parser.add_argument("-j", "--workers", type=int, default=0)
    parser.add_argument("--width", type=int, default=8, help="channels of the student")
    parser.add_argument("--smallest-crop", type=float, help="share of the area (digits: 0.6)")
    parser.add_argument("--flip", type=float, help="probability (digits: 0)")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--fkd-seed", "--fkd_seed", type=int, default=42, help="of the views")
    parser.add_argument("--verify", action="store_true", help="compare the inputs of both")
    # fmt: on
    args = parser.parse_args()
    if args.train_dir is None:
        torch.set_num_threads(1)  # so small a network gains nothing from more
    args.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data: Data = Digits() if args.train_dir is None else Folder(args.train_dir, args.val_dir, args)
    if args.smallest_crop is None:
        args.smallest_crop = data.smallest_crop
    if args.flip is None:
        args.flip = data.flip
    with tempfile.TemporaryDirectory() as folder:
        return run(args, data, args.fkd_path or Path(folder))


if __name__ == "__main__":
    sys.exit(main())
