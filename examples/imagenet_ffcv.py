"""Train an ImageNet classifier from FFCV files with KAKURENBO or InfoBatch.

    python examples/imagenet_ffcv.py                         # small drawn set, on the CPU, a minute
    python examples/imagenet_ffcv.py --train train.beton --val val.beton --epochs 90 \
        --model torchvision.models:resnet50 --classes 1000 --size 224 --batch-size 256 --lr 0.1

`--model module:callable` is called with `num_classes=`. Under `torchrun --nproc-per-node 2` or
`mpiexec -n 2 python` the batch size is that of all ranks, so that `--resume` on another number of
them goes on with the same steps; the learning rate is of 256 samples.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import ranks
import torch
import torch.nn.functional as F
from ffcv.fields import IntField, RGBImageField
from ffcv.fields.decoders import (
    CenterCropRGBImageDecoder,
    IntDecoder,
    RandomResizedCropRGBImageDecoder,
    SimpleRGBImageDecoder,
)
from ffcv.transforms import RandomHorizontalFlip, Squeeze, ToDevice, ToTensor, ToTorchImage
from ffcv.writer import DatasetWriter
from torch import nn

import dynsample as ds
from dynsample.cli.experiment.model import small_cnn
from dynsample.cli.experiment.tasks import GLYPH_SIZE, GLYPHS, glyphs
from dynsample.ffcv import Loader, OrderOption
from dynsample.policies.registry import make
from dynsample.torch import scaled_lr

MEAN, STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)  # of ImageNet, in steps of 8-bit pixels
POLICIES: dict[str, Callable[[argparse.Namespace], ds.Policy]] = {
    "kakurenbo": lambda args: make(
        "kakurenbo", fraction=args.fraction, tau=args.tau, warmup_epochs=args.warmup_epochs
    ),
    "infobatch": lambda args: make("infobatch", ratio=args.fraction, epochs=args.epochs),
    "none": lambda args: make("uniform"),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", help="FFCV file; by default a small set is drawn")
    parser.add_argument("--val", help="FFCV file")
    parser.add_argument("--model", metavar="MODULE:CALLABLE", help="by default a small network")
    parser.add_argument("--classes", type=int, default=len(GLYPHS))
    parser.add_argument("--size", type=int, default=GLYPH_SIZE, help="pixels of a side")
    parser.add_argument("--policy", choices=POLICIES, default="kakurenbo")
    parser.add_argument("--fraction", type=float, default=0.3, help="most samples hidden")
    parser.add_argument("--tau", type=float, default=0.7, help="surely right: at least so sure")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--warmup-epochs", type=float, default=0.5)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks")
    parser.add_argument("--lr", type=float, default=0.2, help="of 256 samples")
    parser.add_argument("--weight-decay", type=float, default=5e-5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=6000, help="size of the drawn set")
    ranks.add_arguments(parser)
    return parser.parse_args()


def draw_files(folder: Path, num_samples: int) -> tuple[str, str]:
    """Write the demo's glyphs as JPEGs into two FFCV files."""
    task = glyphs(num_train=num_samples, num_test=num_samples // 4)
    low, high = task.train_images.min(), task.train_images.max()
    paths = []
    for part in ("train", "test"):
        images, labels = getattr(task, f"{part}_images"), getattr(task, f"{part}_labels")
        grey = (255 * ((images - low) / (high - low)).clamp(0, 1)).byte()
        pixels = grey.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
        samples = [(np.ascontiguousarray(p), int(y)) for p, y in zip(pixels, labels, strict=True)]
        fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=95), "label": IntField()}
        paths.append(str(folder / f"{part}.beton"))
        DatasetWriter(paths[-1], fields, num_workers=1).from_indexed_dataset(samples)
    return paths[0], paths[1]


def make_model(args: argparse.Namespace) -> nn.Module:
    if args.model is None:
        grey = nn.Conv2d(3, 1, 1)
        return nn.Sequential(grey, small_cnn(args.size, args.classes, args.seed))
    module, name = args.model.split(":")
    model: nn.Module = getattr(importlib.import_module(module), name)(num_classes=args.classes)
    return model


def pipelines(args: argparse.Namespace, device: torch.device, *, train: bool) -> dict[str, Any]:
    move = [ToDevice(device, non_blocking=True)] if device.type == "cuda" else []
    size = (args.size, args.size)
    decode: list[Any]
    if args.train is None:
        decode = [SimpleRGBImageDecoder()]
    elif train:
        decode = [RandomResizedCropRGBImageDecoder(size), RandomHorizontalFlip()]
    else:
        decode = [CenterCropRGBImageDecoder(size, ratio=224 / 256)]
    return {
        "image": [*decode, ToTensor(), *move, ToTorchImage()],
        "label": [IntDecoder(), ToTensor(), Squeeze(), *move],
    }


def learning_rate(args: argparse.Namespace, progress: float) -> float:
    """Cosine with a linear warm-up, by epochs as a fraction: epochs may shrink and grow."""
    peak = args.lr * args.batch_size / 256
    if progress <= args.warmup_epochs:
        return float(peak * progress / args.warmup_epochs)
    left = (args.epochs - progress) / (args.epochs - args.warmup_epochs)
    return float(peak * 0.5 * (1 - math.cos(math.pi * left)))


class Trainer:
    """Model, optimizer, loaders, and where they are."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.group, self.device = ranks.join()
        torch.manual_seed(args.seed)
        self.net: nn.Module = make_model(args).to(self.device, memory_format=torch.channels_last)
        self.model = ranks.parallel(self.net)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=0.0, momentum=0.9, weight_decay=args.weight_decay
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.device.type == "cuda")
        self.train_loader = Loader(
            args.train_file,
            ranks.share(args.batch_size, self.group),
            num_workers=args.workers,
            order=OrderOption.RANDOM,
            distributed=self.group.size > 1,
            seed=args.seed,
            drop_last=False,
            pipelines=pipelines(args, self.device, train=True),
            policy=POLICIES[args.policy](args),
        )
        self.val_loader = Loader(
            args.val_file,
            4 * args.batch_size,
            num_workers=args.workers,
            drop_last=False,
            pipelines=pipelines(args, self.device, train=False),
        )
        self.sampler = self.train_loader.sampler
        parts = {"net": self.net, "optimizer": self.optimizer, "scaler": self.scaler}
        self.progress = ranks.Progress(args, self.sampler, parts)
        self.mean, self.std = (
            torch.tensor(values, device=self.device)[:, None, None] for values in (MEAN, STD)
        )

    def forward(self, images: torch.Tensor, model: nn.Module) -> torch.Tensor:
        """Normalise and classify."""
        pixels = images.to(memory_format=torch.channels_last).float()
        with torch.autocast(self.device.type, enabled=self.device.type == "cuda"):
            logits: torch.Tensor = model((pixels - self.mean) / self.std)
        return logits.float()

    def train_epoch(self) -> None:
        """Train on what is left of the epoch, and report what was seen."""
        self.model.train()
        sampler, loader = self.sampler, self.train_loader
        for images, labels, index in loader:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.args, sampler.progress)
            logits = self.forward(images, self.model)
            loss = F.cross_entropy(logits, labels, reduction="none")
            sampler.observe(index, logits=logits, targets=labels)
            weights = sampler.weights(index).to(self.device)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale((weights * loss).mean()).backward()
            ranks.average_gradients(self.net, self.group)
            with scaled_lr(self.optimizer, sampler.lr_scale):
                self.scaler.step(self.optimizer)
            self.scaler.update()
            self.progress.step(index)

    @torch.no_grad()
    def look_at_hidden(self) -> None:
        """Report where the hidden samples stand now."""
        self.model.eval()
        for images, labels, index in self.train_loader.hidden(4 * self.sampler.batch_size):
            self.sampler.observe(index, logits=self.forward(images, self.net), targets=labels)
            self.progress.step(index, hidden=True)

    @torch.no_grad()
    def accuracy(self) -> float:
        """Measure on the validation set, in percent."""
        self.model.eval()
        right = seen = 0
        for images, labels in self.val_loader:
            right += int((self.forward(images, self.net).argmax(1) == labels).sum())
            seen += len(labels)
        return 100 * right / seen

    def run(self) -> None:
        """Train, from the beginning or from what was saved."""
        args = self.args
        first = self.progress.resume(self.device) if args.resume else 0
        for epoch in range(first, args.epochs):
            start = time.perf_counter()
            self.sampler.set_epoch(epoch)
            self.train_epoch()
            if epoch < args.epochs - 1:  # nothing is hidden by what the last epoch would find
                self.look_at_hidden()
            accuracy = self.accuracy()
            if self.group.rank == 0:
                print(
                    f"epoch {epoch}: hidden {100 * self.sampler.stats['fraction']:4.1f} %, "
                    f"accuracy {accuracy:4.1f} %, {time.perf_counter() - start:.1f} s",
                    flush=True,
                )
            self.progress.save(epoch + 1)
        ranks.leave()


def main() -> None:
    args = parse()
    with tempfile.TemporaryDirectory() as folder:
        args.train_file, args.val_file = args.train, args.val
        if args.train is None:  # before ranks are joined, as FFCV's writer forks, and on each
            args.train_file, args.val_file = draw_files(Path(folder), args.samples)
        Trainer(args).run()


if __name__ == "__main__":
    main()
