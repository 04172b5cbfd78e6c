"""What an example trains on, through torch, DALI or FFCV: small embedded sets, or your own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import image_data
import numpy as np
import torch

import dynsample as ds

LOADERS = ("torch", "dali", "ffcv")
EMBEDDED = ("digits", "glyphs")
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # images, labels, index


@dataclass(frozen=True)
class Feed:
    """A training and a validation set.

    Attributes
    ----------
    num_train, num_classes, channels : int
    open_train : callable(Sampler) -> loader
        The loader iterates over `Batch`es, and so does its `hidden()`.
    val : callable() -> iterable of (images, labels)
        The whole set, on every rank.
    keep : callable(folder), optional
        Writes labels.npy and images.npz of the training set, for `dynsample inspect`.
    """

    num_train: int
    num_classes: int
    channels: int
    open_train: Callable[[ds.Sampler], Any]
    val: Callable[[], Iterable[tuple[torch.Tensor, torch.Tensor]]]
    keep: Callable[[Path], None] | None = None


class Mapped:
    """A loader whose batches are brought into the form of `Batch`."""

    def __init__(self, loader: Any, form: Callable[[Any], Batch]) -> None:
        self._loader, self._form = loader, form

    def __iter__(self) -> Iterator[Batch]:
        return map(self._form, self._loader)

    def hidden(self) -> Iterator[Batch]:
        """Go over the hidden samples of the epoch."""
        return map(self._form, self._loader.hidden())


def embedded(name: str, loader: str, folder: Path) -> Feed:
    """Return a data set of `dynsample demo`: from memory, or from files written into `folder`.

    Call it before ranks are joined: FFCV's writer forks.
    """
    from dynsample.cli.demo.loaders import FROM_FILES
    from dynsample.cli.experiment.memory import from_memory
    from dynsample.cli.experiment.tasks import TASKS

    task = TASKS[name]()
    opened = from_memory(task) if loader == "torch" else FROM_FILES[loader](task, folder)
    val = [(task.test_images, task.test_labels)]

    def keep(folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "labels.npy", task.train_labels.numpy())
        images = task.train_images[:, 0]
        grey = (images - images.min()) / (images.max() - images.min()) * 255
        np.savez_compressed(folder / "images.npz", images=grey.to(torch.uint8).numpy())

    return Feed(task.num_train, task.num_classes, 1, opened, lambda: val, keep)


def open_path(args: argparse.Namespace, device: torch.device) -> Feed:
    """Open `args.data` through `args.loader`; `args` are those of kakurenbo.py."""
    return {"torch": _torch, "dali": _dali, "ffcv": _ffcv}[args.loader](args, device)


def _torch(args: argparse.Namespace, device: torch.device) -> Feed:
    from dynsample.torch import DataLoader

    read = partial(image_data.load, size=args.size, mean=args.mean, std=args.std)
    train = read(args.data, "train", augment=not args.no_augment)
    val = read(args.val or args.data, "train" if args.val else "val")
    options = {"num_workers": args.workers, "pin_memory": device.type == "cuda"}
    return Feed(
        len(train),
        train.num_classes,
        train[0][0].shape[0],
        lambda sampler: DataLoader(train, sampler=sampler, **options),
        lambda: torch.utils.data.DataLoader(val, args.val_batch_size, **options),
    )


def _dali(args: argparse.Namespace, device: torch.device) -> Feed:
    import imagenet_dali as script
    from nvidia.dali.plugin.base_iterator import LastBatchPolicy
    from nvidia.dali.plugin.pytorch import DALIClassificationIterator

    import dynsample.dali as dali
    from dynsample.files import scan

    root = args.data / "train"
    names, labels = scan(root)
    decoder = "mixed" if device.type == "cuda" else "cpu"
    settings = SimpleNamespace(
        size=args.size,
        smallest_crop=1.0 if args.no_augment else 0.08,
        mirror=0.0 if args.no_augment else 0.5,
        decoder=decoder,
    )
    options = {"num_threads": args.workers or 1, "device_id": device.index}

    def open_train(sampler: ds.Sampler) -> Mapped:
        seed = sampler.seed + sampler.group.rank
        pipeline = script.train_pipeline(
            sampler, root, settings, batch_size=sampler.batch_size, seed=seed, **options
        )
        loader = dali.DALIClassificationIterator(pipeline, sampler=sampler)
        return Mapped(loader, partial(script.unpack, device=device))

    def val() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        folder = args.val or args.data / "val"
        pipeline = script.val_pipeline(folder, settings, batch_size=args.val_batch_size, **options)
        loader = DALIClassificationIterator(
            pipeline, reader_name="Reader", last_batch_policy=LastBatchPolicy.PARTIAL
        )
        for (outputs,) in loader:
            yield outputs["data"], outputs["label"].view(-1).long()

    return Feed(len(names), max(labels) + 1, 3, open_train, val)


def _ffcv(args: argparse.Namespace, device: torch.device) -> Feed:
    import imagenet_ffcv as script
    from ffcv.reader import Reader

    from dynsample.ffcv import Loader, OrderOption

    if args.classes is None:
        raise SystemExit("--loader ffcv needs --classes: a .beton file does not say how many")
    if args.no_augment:
        raise SystemExit(
            "--no-augment is for torch and dali: FFCV's pipelines are in imagenet_ffcv.py"
        )
    paths = {part: str(args.data / f"{part}.beton") for part in ("train", "val")}
    settings = SimpleNamespace(train=paths["train"], size=args.size)
    mean, std = (
        255 * torch.tensor(values, device=device).view(3, 1, 1) for values in (args.mean, args.std)
    )

    def form(batch: Any) -> Any:
        images, *others = batch
        return ((images.to(device).float() - mean) / std, *others)

    def open_train(sampler: ds.Sampler) -> Mapped:
        loader = Loader(
            paths["train"],
            sampler.batch_size,
            num_workers=args.workers or 1,
            order=OrderOption.RANDOM,
            pipelines=script.pipelines(settings, device, train=True),
            sampler=sampler,
        )
        return Mapped(loader, form)

    def val() -> Iterator[Any]:
        pipelines = script.pipelines(settings, device, train=False)
        options = {"num_workers": args.workers or 1, "drop_last": False}
        loader = Loader(paths["val"], args.val_batch_size, pipelines=pipelines, **options)
        return map(form, loader)

    num_train = int(Reader(paths["train"]).num_samples)
    return Feed(num_train, args.classes, 3, open_train, val)
