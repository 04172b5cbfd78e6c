"""Train on a tree of class folders with DALI, hiding or dropping what has been learned.

Without arguments it writes a small set of JPEGs and trains a small network on them, on the CPU in
about a minute. For ImageNet, on a GPU:

    python imagenet_dali.py --data /data/imagenet --epochs 90 --batch-size 256 --lr 0.1 --size 224

where /data/imagenet holds train/ and val/. The model is torchvision's ResNet-50, or that of
`--model package.module:callable`, called with the number of classes.
"""

from __future__ import annotations

import argparse
import importlib
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIClassificationIterator
from torch import nn

import dynsample as ds
import dynsample.dali as dali
from dynsample.files import scan
from dynsample.torch import scaled_lr

MEAN, DEVIATION = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
POLICIES: dict[str, Callable[[argparse.Namespace], ds.Policy]] = {
    "kakurenbo": lambda args: ds.Kakurenbo(fraction=args.fraction),
    "infobatch": lambda args: ds.InfoBatch(ratio=args.fraction, epochs=args.epochs),
    "none": lambda args: ds.Uniform(),
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
    """Give float32 in CHW, mirrored where asked."""
    return fn.crop_mirror_normalize(
        image, dtype=types.FLOAT, output_layout="CHW", mean=MEAN, std=DEVIATION, mirror=mirror
    )


def train(args: argparse.Namespace) -> float:
    """Train, and give the accuracy on the validation set in percent."""
    device, rank = set_up(args)
    names, labels = scan(args.data / "train")
    sampler = ds.Sampler(len(names), POLICIES[args.policy](args), args.batch_size, seed=args.seed)
    options = {"num_threads": args.workers, "device_id": device.index, "seed": args.seed + rank}
    pipeline = train_pipeline(
        sampler, args.data / "train", args, batch_size=args.batch_size, **options
    )
    loader = dali.DALIClassificationIterator(pipeline, sampler=sampler, reader_name="Reader")
    pipeline = val_pipeline(args.data / "val", args, batch_size=args.batch_size, **options)
    val_loader = DALIClassificationIterator(
        pipeline, reader_name="Reader", last_batch_policy=LastBatchPolicy.PARTIAL, auto_reset=True
    )
    torch.manual_seed(args.seed)
    model: nn.Module = load_callable(args.model)(max(labels) + 1).to(device)
    if torch.distributed.is_initialized():
        model = nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=args.lr, momentum=0.9, nesterov=True, weight_decay=args.weight_decay
    )
    scaler = torch.amp.GradScaler(device.type, enabled=args.amp)
    first = resume(args, sampler, model, optimizer, device) if args.resume else 0

    print(f"{'epoch':>5}{'kept':>9}{'hidden':>9}{'loss':>9}{'accuracy':>10}{'images/s':>10}")
    accuracy = 0.0
    for epoch in range(first, args.epochs):
        start, total = time.perf_counter(), torch.zeros((), device=device)
        sampler.set_epoch(epoch)
        model.train()
        for step, batch in enumerate(loader):
            images, labels, index = unpack(batch, device)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(args, epoch + step / len(loader))
            with torch.autocast(device.type, enabled=args.amp):
                logits = model(images)
                losses = F.cross_entropy(logits, labels, reduction="none")
            sampler.observe(index, logits=logits, targets=labels)
            optimizer.zero_grad()
            loss = (sampler.weights(index).to(device) * losses).mean()
            scaler.scale(loss).backward()
            with scaled_lr(optimizer, sampler.lr_scale):
                scaler.step(optimizer)
            scaler.update()
            total += losses.detach().sum()
        refresh(loader, sampler, model, args, device)
        seconds = time.perf_counter() - start
        accuracy = evaluate(val_loader, model, args, device)
        if rank == 0:
            kept, hidden = sampler.plan.num_positions, sampler.plan.num_hidden
            print(
                f"{epoch:>5}{kept:>9}{hidden:>9}{total.item() / max(kept, 1):>9.3f}"
                f"{accuracy:>9.2f}%{(kept + hidden) / seconds:>10.0f}",
                flush=True,
            )
            save(args, sampler, model, optimizer)
    return accuracy


@torch.no_grad()
def refresh(
    loader: Any, sampler: ds.Sampler, model: nn.Module, args: argparse.Namespace, device: Any
) -> None:
    """Look at the hidden samples again, so that they can come back."""
    for batch in loader.hidden():
        images, labels, index = unpack(batch, device)
        with torch.autocast(device.type, enabled=args.amp):
            logits = model(images)
        sampler.observe(index, logits=logits, targets=labels)


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
    if epoch < args.warmup_epochs:
        return float(args.lr * (epoch + 0.1) / (args.warmup_epochs + 0.1))
    left = (args.epochs - epoch) / (args.epochs - args.warmup_epochs)
    return float(args.lr * (1 - math.cos(math.pi * left)) / 2)


def set_up(args: argparse.Namespace) -> tuple[torch.device, int]:
    """Choose the device; under torchrun, join the group."""
    rank, local = int(os.environ.get("RANK", 0)), int(os.environ.get("LOCAL_RANK", 0))
    cuda = torch.cuda.is_available()
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    if cuda:
        torch.cuda.set_device(local)
        torch.backends.cudnn.benchmark = True
    args.decoder, args.amp = ("mixed" if cuda else "cpu"), cuda and not args.no_amp
    return torch.device("cuda", local) if cuda else torch.device("cpu"), rank


def save(
    args: argparse.Namespace,
    sampler: ds.Sampler,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Keep what the next epoch needs, if --save says where."""
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
        sampler.save(args.save / "sampler")
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, args.save / "model.pt")


def resume(
    args: argparse.Namespace,
    sampler: ds.Sampler,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> int:
    """Go on after the last epoch that was saved; give the next."""
    sampler.load(args.resume / "sampler")
    state = torch.load(args.resume / "model.pt", map_location=device, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return sampler.epoch + 1


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


def write_glyphs(root: Path) -> None:
    """Write the glyphs of `dynsample demo` as JPEGs in class folders."""
    from PIL import Image

    from dynsample.cli.demo.data import GLYPHS, glyphs

    task = glyphs()
    for part, images, labels in (
        ("train", task.train_images, task.train_labels),
        ("val", task.test_images, task.test_labels),
    ):
        for name in GLYPHS:
            (root / part / name).mkdir(parents=True)
        pixels = np.clip(images[:, 0].numpy() * 50 + 90, 0, 255).astype(np.uint8)
        for i, label in enumerate(labels.tolist()):
            Image.fromarray(pixels[i]).save(root / part / GLYPHS[label] / f"{i}.jpg", quality=95)


def main() -> int:
    here = Path(__file__).stem
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("--data", type=Path, help="folder with train/ and val/ (default: glyphs)")
    parser.add_argument("--model", help="module:callable (default: torchvision's ResNet-50)")
    parser.add_argument("--policy", choices=POLICIES, default="kakurenbo")
    parser.add_argument("--fraction", type=float, default=0.3, help="to hide, or drop at random")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--warmup-epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=64, help="of each process")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--weight-decay", type=float, default=5e-5)
    parser.add_argument("--size", type=int, default=16, help="pixels of a side, after cropping")
    parser.add_argument("--smallest-crop", type=float, help="share of the area (0.08; glyphs: 0.8)")
    parser.add_argument("--mirror", type=float, help="probability of a flip (0.5; glyphs: 0)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-amp", action="store_true", help="float32 on a GPU too")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder to save into after every epoch")
    parser.add_argument("--resume", type=Path, help="folder that --save wrote")
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
        return 0
    with tempfile.TemporaryDirectory() as folder:
        args.data = Path(folder)
        write_glyphs(args.data)
        accuracy = train(args)
    return int(accuracy < 50)


if __name__ == "__main__":
    sys.exit(main())
