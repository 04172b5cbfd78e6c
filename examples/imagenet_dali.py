"""Train on a tree of class folders with DALI, hiding or dropping what has been learned.

Without arguments it writes a small set of JPEGs and trains a small network on them, on the CPU in
about a minute. For ImageNet, on a GPU:

    python imagenet_dali.py --data /data/imagenet --epochs 90 --batch-size 256 --lr 0.1 --size 224

and the same after `torchrun --nproc-per-node 2` or `mpiexec -n 2 python`: the batch size is that of
all ranks, so that `--resume` on another number of them goes on with the same steps.
/data/imagenet holds train/ and val/. The model is torchvision's ResNet-50, or that of
`--model package.module:callable`, called with the number of classes.
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
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIClassificationIterator
from torch import nn

import dynsample as ds
import dynsample.dali as dali
from dynsample.files import scan
from dynsample.policies.registry import make
from dynsample.torch import scaled_lr

MEAN, DEVIATION = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
POLICIES: dict[str, Callable[[argparse.Namespace], ds.Policy]] = {
    "kakurenbo": lambda args: make(
        "kakurenbo", fraction=args.fraction, tau=args.tau, warmup_epochs=args.warmup_epochs
    ),
    "infobatch": lambda args: make("infobatch", ratio=args.fraction, epochs=args.epochs),
    "none": lambda args: make("uniform"),
}


@pipeline_def
def train_pipeline(sampler: ds.Sampler, root: Path, args: argparse.Namespace) -> Any:
    """Crop, flip and normalise; the index of every image goes along."""
    encoded, label, index = dali.readers.file(sampler=sampler, file_root=root, name="Reader")
    image = fn.decoders.image_random_crop(
        encoded, device=args.decoder, random_area=[args.smallest_crop, 1.0]
    )
    image = fn.resize(image, size=[args.size, args.size])
    mirror = fn.random.coin_flip(probability=args.mirror)
    return normalised(image, mirror), label, index


@pipeline_def
def val_pipeline(root: Path, args: argparse.Namespace) -> Any:
    """All images of a folder in their order, with DALI's own reader."""
    encoded, label = fn.readers.file(file_root=str(root), pad_last_batch=True, name="Reader")
    image = fn.decoders.image(encoded, device=args.decoder)
    image = fn.resize(image, resize_shorter=args.size * 8 // 7 if args.size > 64 else args.size)
    return normalised(fn.crop(image, crop=(args.size, args.size))), label


def normalised(image: Any, mirror: Any = 0) -> Any:
    """Return float32 in CHW, mirrored where asked."""
    return fn.crop_mirror_normalize(
        image, dtype=types.FLOAT, output_layout="CHW", mean=MEAN, std=DEVIATION, mirror=mirror
    )


def train(args: argparse.Namespace) -> None:
    """Train, and print how it goes."""
    world, device = ranks.join()
    args.decoder = "mixed" if device.type == "cuda" else "cpu"
    args.amp = device.type == "cuda" and not args.no_amp
    torch.backends.cudnn.benchmark = True
    names, labels = scan(args.data / "train")
    rows, policy = ranks.share(args.batch_size, world), POLICIES[args.policy](args)
    sampler = ds.Sampler(len(names), policy, rows, seed=args.seed, group=world)
    options = {"num_threads": args.workers, "device_id": device.index}
    options["seed"] = args.seed + world.rank
    pipeline = train_pipeline(sampler, args.data / "train", args, batch_size=rows, **options)
    loader = dali.DALIClassificationIterator(pipeline, sampler=sampler, reader_name="Reader")
    pipeline = val_pipeline(args.data / "val", args, batch_size=rows, **options)
    val_loader = DALIClassificationIterator(
        pipeline, reader_name="Reader", last_batch_policy=LastBatchPolicy.PARTIAL, auto_reset=True
    )
    torch.manual_seed(args.seed)
    net: nn.Module = load_callable(args.model)(max(labels) + 1).to(device)
    model = ranks.parallel(net)
    optimizer = torch.optim.SGD(
        net.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=args.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=args.amp)
    parts = {"net": net, "optimizer": optimizer, "scaler": scaler}
    progress = ranks.Progress(args, sampler, parts)
    first = progress.resume(device) if args.resume else 0

    if world.rank == 0:
        print(f"{'epoch':>5}{'kept':>9}{'hidden':>9}{'loss':>9}{'accuracy':>10}{'images/s':>10}")
    for epoch in range(first, args.epochs):
        start, total, seen = time.perf_counter(), torch.zeros((), device=device), 0
        sampler.set_epoch(epoch)
        model.train()
        for batch in loader:
            images, labels, index = unpack(batch, device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(args, sampler.progress)
            with torch.autocast(device.type, enabled=args.amp):
                logits = model(images)
                losses = F.cross_entropy(logits, labels, reduction="none")
            sampler.observe(index, logits=logits, targets=labels)
            optimizer.zero_grad()
            loss = (sampler.weights(index).to(device) * losses).mean()
            scaler.scale(loss).backward()
            ranks.average_gradients(net, world)
            with scaled_lr(optimizer, sampler.lr_scale):
                scaler.step(optimizer)
            scaler.update()
            total += losses.detach().sum()
            seen += len(losses)
            progress.step(index)
        refresh(loader, progress, net, args, device)
        seconds = time.perf_counter() - start
        accuracy = evaluate(val_loader, net, args, device)
        if world.rank == 0:
            kept, hidden = sampler.plan.num_positions, sampler.plan.num_hidden
            print(
                f"{epoch:>5}{kept:>9}{hidden:>9}{total.item() / max(seen, 1):>9.3f}"
                f"{accuracy:>9.2f}%{(kept + hidden) / seconds:>10.0f}",
                flush=True,
            )
        progress.save(epoch + 1)
    ranks.leave()


@torch.no_grad()
def refresh(
    loader: Any, progress: ranks.Progress, model: nn.Module, args: argparse.Namespace, device: Any
) -> None:
    """Look at the hidden samples again, so that they can come back."""
    model.eval()
    for batch in loader.hidden():
        images, labels, index = unpack(batch, device)
        with torch.autocast(device.type, enabled=args.amp):
            logits = model(images)
        progress.sampler.observe(index, logits=logits, targets=labels)
        progress.step(index, hidden=True)


@torch.no_grad()
def evaluate(loader: Any, model: nn.Module, args: argparse.Namespace, device: Any) -> float:
    """Percent of the images that are classified correctly."""
    model.eval()
    right = count = 0
    for batch in loader:
        labels = batch[0]["label"].to(device).view(-1)
        with torch.autocast(device.type, enabled=args.amp):
            right += int((model(batch[0]["data"]).argmax(1) == labels).sum())
        count += len(labels)
    return 100 * right / count


def unpack(batch: Any, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images and labels on the device; the index stays on the CPU, where the sampler is."""
    (outputs,) = batch
    labels = outputs["label"].to(device, non_blocking=True).view(-1).long()
    return outputs["data"], labels, outputs["index"]


def learning_rate(args: argparse.Namespace, epoch: float) -> float:
    """Warm up, then follow a cosine; by epochs as a fraction, as their lengths differ."""
    if epoch <= args.warmup_epochs:
        return float(args.lr * (epoch + 0.1) / (args.warmup_epochs + 0.1))
    left = (args.epochs - epoch) / (args.epochs - args.warmup_epochs)
    return float(args.lr * (1 - math.cos(math.pi * left)) / 2)


def load_callable(path: str) -> Callable[[int], nn.Module]:
    """Import `module:callable`."""
    module, _, name = path.partition(":")
    made: Callable[[int], nn.Module] = getattr(importlib.import_module(module), name)
    return made


def resnet50(num_classes: int) -> nn.Module:
    """Make torchvision's ResNet-50."""
    models = importlib.import_module("torchvision.models")
    model: nn.Module = models.resnet50(num_classes=num_classes)
    return model


def small_cnn(num_classes: int) -> nn.Module:
    """Three convolutions, for the embedded images."""
    layers: list[nn.Module] = []
    for before, after in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(4, after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, num_classes))


def write_glyphs(root: Path, num_samples: int) -> None:
    """Write the glyphs of `dynsample demo` as JPEGs in class folders."""
    from PIL import Image

    from dynsample.cli.experiment.tasks import GLYPHS, glyphs

    task = glyphs(num_samples, num_samples // 2)
    for part, images, labels in (
        ("train", task.train_images, task.train_labels),
        ("val", task.test_images, task.test_labels),
    ):
        for name in GLYPHS:
            (root / part / name).mkdir(parents=True)
        pixels = np.clip(images[:, 0].numpy() * 50 + 90, 0, 255).astype(np.uint8)
        for i, label in enumerate(labels.tolist()):
            Image.fromarray(pixels[i]).save(root / part / GLYPHS[label] / f"{i}.jpg", quality=95)


def main() -> None:
    here = Path(__file__).stem
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("--data", type=Path, help="folder with train/ and val/ (default: glyphs)")
    parser.add_argument("--model", help="module:callable (default: torchvision's ResNet-50)")
    parser.add_argument("--policy", choices=POLICIES, default="kakurenbo")
    parser.add_argument("--fraction", type=float, default=0.3, help="to hide, or drop at random")
    parser.add_argument("--tau", type=float, default=0.7, help="surely right: at least so sure")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--warmup-epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=5e-5)
    parser.add_argument("--size", type=int, default=16, help="pixels of a side, after cropping")
    parser.add_argument("--smallest-crop", type=float, help="share of the area (0.08; glyphs: 0.8)")
    parser.add_argument("--mirror", type=float, help="probability of a flip (0.5; glyphs: 0)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-amp", action="store_true", help="float32 on a GPU too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=6000, help="glyphs to train on")
    ranks.add_arguments(parser)
    # fmt: on
    args = parser.parse_args()
    embedded = args.data is None
    defaults = {
        "model": f"{here}:{'small_cnn' if embedded else 'resnet50'}",
        "smallest_crop": 0.8 if embedded else 0.08,
        "mirror": 0.0 if embedded else 0.5,
    }
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if not embedded:
        train(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        args.data = Path(folder)
        write_glyphs(args.data, args.samples)
        train(args)


if __name__ == "__main__":
    main()
