"""Record, produce and evaluate a coreset by dynamic uncertainty, with DALI.

Without arguments: a small set of drawn JPEGs, a small network, on the CPU in about two minutes. For
ImageNet, on a GPU, the three parts one by one:

    python dyn_unc.py record --data /data/imagenet --epochs 90 --size 224 --output out
    python dyn_unc.py produce --data /data/imagenet --fraction .75 --window 10 --output out
    python dyn_unc.py evaluate --data /data/imagenet --epochs 90 --size 224 --output out

`record` trains on everything and writes out/pred_prob_history/prob_<epoch>.txt: the probability of
the true class, of a second pass over images without augmentation before the step (`--record
eval-copy`, as published) or of the training pass itself (`--record train`, which costs nothing).
`produce` writes out/coreset.txt, the kept lines of file_list.txt: what `dynsample coreset --input
out --dataset_file_list ... --fraction .75 --window 10 --output ...` writes, and the published code.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import ranks
import torch
import torch.nn.functional as F
from imagenet_dali import evaluate as accuracy_of
from imagenet_dali import learning_rate, load_callable, normalised, val_pipeline
from numpy.typing import NDArray
from nvidia.dali import fn, pipeline_def
from nvidia.dali.plugin.base_iterator import LastBatchPolicy
from nvidia.dali.plugin.pytorch import DALIClassificationIterator
from rich.console import Console
from rich.table import Table

import dynsample as ds
import dynsample.dali as dali
from dynsample.coreset import dyn_unc as history
from dynsample.coreset import files as coreset_files
from dynsample.files import parse_list, scan

PARTS = ("record", "produce", "evaluate")


@pipeline_def
def pipeline(sampler: ds.Sampler, data: Path, args: argparse.Namespace, copy: bool) -> Any:
    """Crop and flip; with `copy` also every image as the validation set has it."""
    encoded, label, index = dali.readers.file(
        sampler=sampler, file_root=data / "train", file_list=data / "train" / "file_list.txt"
    )
    image = fn.decoders.image_random_crop(
        encoded, device=args.decoder, random_area=[args.smallest_crop, 1.0]
    )
    image = fn.resize(image, size=[args.size, args.size])
    image = normalised(image, fn.random.coin_flip(probability=args.mirror))
    if not copy:
        return image, label, index
    plain = fn.decoders.image(encoded, device=args.decoder)
    plain = fn.resize(plain, resize_shorter=args.size * 8 // 7 if args.size > 64 else args.size)
    return image, label, normalised(fn.crop(plain, crop=(args.size, args.size))), index


class Trainer:
    """A network, what it trains on, and its validation set."""

    def __init__(
        self, args: argparse.Namespace, subset: NDArray[np.int64] | None, *, copy: bool = False
    ) -> None:
        self.args, self.copy = args, copy
        self.world, self.device = args.world, args.device
        rows = ranks.share(args.batch_size, self.world)
        labels = parse_list(args.data / "train" / "file_list.txt")[1]
        self.sampler = ds.Sampler(len(labels), batch_size=rows, seed=args.seed,
                                  subset=subset, group=self.world)  # fmt: skip
        options = {"num_threads": args.workers, "device_id": self.device.index,
                   "batch_size": rows}  # fmt: skip
        names = ["data", "label", *(["copy"] if copy else [])]
        self.loader = dali.DALIGenericIterator(
            pipeline(
                self.sampler, args.data, args, copy, seed=args.seed + self.world.rank, **options
            ),
            names,
            sampler=self.sampler,
        )
        self.val_loader = DALIClassificationIterator(
            val_pipeline(args.data / "val", args, **options),
            reader_name="Reader",
            last_batch_policy=LastBatchPolicy.PARTIAL,
            auto_reset=True,
        )
        torch.manual_seed(args.seed)
        self.net: torch.nn.Module = load_callable(args.model)(max(labels) + 1).to(self.device)
        self.model = ranks.parallel(self.net)
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), lr=args.lr, momentum=0.9, nesterov=True,
            weight_decay=args.weight_decay,
        )  # fmt: skip

    def epoch(self, number: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Train for an epoch; give ids and probabilities of the true class, batch by batch."""
        self.sampler.set_epoch(number)
        for (batch,) in self.loader:
            labels = batch["label"].to(self.device).view(-1).long()
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.args, self.sampler.progress)
            if self.copy:
                self.net.eval()
                with torch.no_grad():
                    seen = self.net(batch["copy"])
            self.model.train()
            logits = self.model(batch["data"])
            self.optimizer.zero_grad()
            loss = F.cross_entropy(logits, labels, reduction="none")
            (self.sampler.weights(batch["index"]).to(self.device) * loss).mean().backward()
            ranks.average_gradients(self.net, self.world)
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.args.clip)
            self.optimizer.step()
            yield batch["index"], ds.signals.probability(seen if self.copy else logits, labels)

    def accuracy(self) -> float:
        """Percent of the validation set."""
        return accuracy_of(self.val_loader, self.net, self.args, self.device)


def record(args: argparse.Namespace) -> dict[str, float]:
    """Train on everything and write the probabilities of every epoch."""
    start = time.perf_counter()
    trainer = Trainer(args, None, copy=args.record == "eval-copy")
    for epoch in range(args.epochs):
        probabilities = np.full(trainer.sampler.num_samples, -1, np.float32)  # not seen
        for index, values in trainer.epoch(epoch):
            probabilities[index.numpy()] = values.cpu().numpy()
        of_ranks = args.world.all_gather(probabilities, f"the probabilities of epoch {epoch}")
        if args.world.rank == 0:
            found = np.max(of_ranks, axis=0)
            history.write_probabilities(args.output, epoch, found, found >= 0)
    return {"accuracy": trainer.accuracy(), "seconds": time.perf_counter() - start}


def produce(args: argparse.Namespace) -> NDArray[np.int64]:
    """Write the lines of the file list that are kept, by what was recorded."""
    file_list = args.data / "train" / "file_list.txt"
    count = len(coreset_files.lines_of(file_list))
    state = history.dyn_unc(history.find(args.output), count, args.window)
    ids = ds.coreset.keep_highest(state.score(), int(count * args.fraction))
    coreset_files.write(args.output / "coreset.txt", ids, count, file_list=file_list)
    print(f"{args.output / 'coreset.txt'}: {len(ids)} of {count} lines, "
          f"{state.nbytes / 2**20:.1f} MiB kept between epochs")  # fmt: skip
    return ids


def evaluate(args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Train on the coreset, and on as many samples at random."""
    count = len(coreset_files.lines_of(args.data / "train" / "file_list.txt"))
    kept = coreset_files.load(
        args.output / "coreset.txt", count, file_list=args.data / "train" / "file_list.txt"
    )
    chosen = {
        "Dyn-Unc": kept,
        "random": ds.coreset.keep_random(count, len(kept), args.seed),
    }
    results = {}
    for name, ids in chosen.items():
        start = time.perf_counter()
        trainer = Trainer(args, ids)
        for epoch in range(args.epochs):
            for _ in trainer.epoch(epoch):
                pass
        seconds = time.perf_counter() - start
        results[name] = {"samples": len(ids), "accuracy": trainer.accuracy(), "seconds": seconds}
    return results


def report(args: argparse.Namespace, results: dict[str, dict[str, float]]) -> None:
    """Print what each part of the data gave."""
    table = Table(title=f"{args.epochs} epochs, window {args.window}, record: {args.record}")
    for heading in ("data", "samples", "accuracy %", "seconds"):
        table.add_column(heading, justify="left" if heading == "data" else "right")
    for name, row in results.items():
        table.add_row(
            name, str(int(row["samples"])), f"{row['accuracy']:.2f}", f"{row['seconds']:.0f}"
        )
    Console().print(table)


def write_list(data: Path) -> None:
    """Write train/file_list.txt when there is none, as `dynsample files` does."""
    path = data / "train" / "file_list.txt"
    if not path.exists():
        names, labels = scan(data / "train")
        lines = (b"/%s %d\n" % pair for pair in zip(names, labels, strict=True))
        path.write_bytes(b"".join(lines))


def write_digits(root: Path) -> None:
    """Write scikit-learn's digits as JPEGs in class folders, twice as large."""
    from PIL import Image

    from dynsample.cli.experiment.tasks import digits

    task = digits()
    for part, images, labels in (
        ("train", task.train_images, task.train_labels),
        ("val", task.test_images, task.test_labels),
    ):
        low, high = task.train_images.min(), task.train_images.max()
        pixels = ((images[:, 0] - low) / (high - low)).clamp(0, 1).mul(255).byte().numpy()
        for i, label in enumerate(labels.tolist()):
            folder = root / part / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[i]).resize((16, 16)).save(folder / f"{i}.jpeg", quality=95)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    # fmt: off
    parser.add_argument("part", nargs="?", choices=PARTS, help="(default: all three)")
    parser.add_argument("--data", type=Path, help="folder with train/ and val/ (default: digits)")
    parser.add_argument("--output", type=Path, help="folder (default: a temporary one)")
    parser.add_argument("--record", choices=("eval-copy", "train"), default="eval-copy")
    parser.add_argument("--fraction", type=float, default=0.75, help="to keep (%(default)s)")
    parser.add_argument("--window", type=int, default=10, help="epochs (%(default)s)")
    parser.add_argument("--model", help="module:callable (default: torchvision's ResNet-50)")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--warmup-epochs", type=float, default=1)
    parser.add_argument("--batch-size", type=int, default=64, help="of all ranks")
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--clip", type=float, default=5.0, help="largest norm of gradients")
    parser.add_argument("--weight-decay", type=float, default=5e-5)
    parser.add_argument("--size", type=int, default=16, help="pixels of a side, after cropping")
    parser.add_argument("--smallest-crop", type=float, help="share of the area (0.08; digits: 0.8)")
    parser.add_argument("--mirror", type=float, help="probability of a flip (0.5; digits: 0)")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", type=int, default=0)
    # fmt: on
    args = parser.parse_args()
    embedded = args.data is None
    defaults = {
        "model": f"imagenet_dali:{'small_cnn' if embedded else 'resnet50'}",
        "smallest_crop": 0.8 if embedded else 0.08,
        "mirror": 0.0 if embedded else 0.5,
    }
    for name, value in defaults.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    if not 2 <= args.window < args.epochs:
        parser.error(f"--window must be in [2, {args.epochs}), got {args.window}")
    if args.part and (embedded or args.output is None):
        parser.error(f"{args.part} needs --data and --output")
    return args


def main() -> int:
    args = arguments()
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # DALI decodes on the other cores
    args.world, args.device = ranks.join()
    args.decoder, args.amp = ("mixed" if args.device.type == "cuda" else "cpu"), False
    root = args.world.rank == 0
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None:
            args.data = Path(folder) / "data"
            write_digits(args.data)
        args.output = args.output or Path(folder) / "output"
        args.output.mkdir(parents=True, exist_ok=True)
        write_list(args.data)
        results = {}
        if args.part in (None, "record"):
            count = len(coreset_files.lines_of(args.data / "train" / "file_list.txt"))
            results["all"] = {"samples": count, **record(args)}
        if args.part in (None, "produce") and root:
            produce(args)
        if args.part in (None, "evaluate"):
            results |= evaluate(args)
        if results and root:
            report(args, results)
    ranks.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
