"""The demo's images as JPEG files, read by each of the loaders that dynsample plugs into."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import dynsample as ds
from dynsample.cli.experiment.memory import Batches, OpenLoader
from dynsample.cli.experiment.tasks import Task


class _Pixels:
    """Eight-bit images of a task, and the way back."""

    def __init__(self, task: Task) -> None:
        low, high = task.train_images.min(), task.train_images.max()
        self.mean, self.step = float(low), float(high - low) / 255
        scaled = (task.train_images[:, 0] - low) / self.step
        self.grey = scaled.round().to(torch.uint8).numpy()
        self.labels = task.train_labels

    def restored(self, grey: torch.Tensor) -> torch.Tensor:
        """Images [B, 1, H, W] as the network takes them."""
        return grey * self.step + self.mean


class _Mapped:
    """A loader whose batches are brought into the demo's form."""

    def __init__(self, loader: Any, form: Callable[[Any], Any]) -> None:
        self._loader, self._form = loader, form

    def __iter__(self) -> Batches:
        return map(self._form, self._loader)

    def hidden(self) -> Batches:
        return map(self._form, self._loader.hidden())


def _write_jpegs(pixels: _Pixels, folder: Path) -> Path:
    """Write a file for every sample, and the list of them in the order of ids."""
    lines = []
    for i, (grey, label) in enumerate(zip(pixels.grey, pixels.labels.tolist(), strict=True)):
        path = folder.absolute() / f"{i:06}.jpg"
        Image.fromarray(grey).save(path, quality=95)
        lines.append(f"{path} {label}\n")
    (folder / "files.txt").write_text("".join(lines))
    return folder / "files.txt"


def from_torch(task: Task, folder: Path) -> OpenLoader:
    """Decode by Pillow, in torch's DataLoader."""
    from dynsample.torch import DataLoader

    pixels = _Pixels(task)
    lines = _write_jpegs(pixels, folder).read_text().splitlines()
    paths = [line.rpartition(" ")[0] for line in lines]

    class Files(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, i: int) -> tuple[torch.Tensor, torch.Tensor]:
            grey = torch.from_numpy(np.array(Image.open(paths[i])))
            return pixels.restored(grey.unsqueeze(0)), pixels.labels[i]

    return lambda sampler: DataLoader(Files(), sampler=sampler)


def from_dali(task: Task, folder: Path) -> OpenLoader:
    """Decode in a DALI pipeline."""
    from nvidia.dali import fn, pipeline_def, types

    import dynsample.dali as dali

    pixels = _Pixels(task)
    files = _write_jpegs(pixels, folder)

    @pipeline_def(num_threads=2, device_id=None)
    def pipeline(sampler: ds.Sampler) -> Any:
        encoded, label, index = dali.readers.file(sampler=sampler, file_list=files)
        image = fn.decoders.image(encoded, output_type=types.GRAY)
        return fn.transpose(image, perm=[2, 0, 1]), label, index

    def form(batch: list[dict[str, torch.Tensor]]) -> Any:
        (outputs,) = batch
        images = pixels.restored(outputs["data"])
        return images, outputs["label"][:, 0].long(), outputs["index"]

    def open_loader(sampler: ds.Sampler) -> _Mapped:
        pipe = pipeline(sampler, batch_size=sampler.batch_size)
        return _Mapped(dali.DALIClassificationIterator(pipe, sampler=sampler), form)

    return open_loader


def from_ffcv(task: Task, folder: Path) -> OpenLoader:
    """Decode in an FFCV pipeline, from one .beton file of JPEGs."""
    from ffcv.fields import IntField, RGBImageField
    from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
    from ffcv.transforms import ToTensor, ToTorchImage
    from ffcv.writer import DatasetWriter

    from dynsample.ffcv import Loader

    pixels = _Pixels(task)
    rgb = np.repeat(pixels.grey[..., None], 3, axis=3)
    path = str(folder / "train.beton")
    fields = {"image": RGBImageField(write_mode="jpg", jpeg_quality=95), "label": IntField()}
    samples = list(zip(rgb, pixels.labels.tolist(), strict=True))
    DatasetWriter(path, fields, num_workers=1).from_indexed_dataset(samples)
    pipelines = {
        "image": [SimpleRGBImageDecoder(), ToTensor(), ToTorchImage()],
        "label": [IntDecoder(), ToTensor()],
    }

    def form(batch: Any) -> Any:
        images, labels, index = batch
        return pixels.restored(images[:, :1]), labels[:, 0], index

    loaders: list[Loader] = []

    def open_loader(sampler: ds.Sampler) -> _Mapped:
        if not loaders:  # one for all runs: each would be compiled again
            loaders.append(
                Loader(
                    path,
                    sampler.batch_size,
                    num_workers=2,
                    pipelines=pipelines,
                    sampler=sampler,
                )
            )
        loaders[0].sampler = sampler
        return _Mapped(loaders[0], form)

    return open_loader


FROM_FILES: dict[str, Callable[[Task, Path], OpenLoader]] = {
    "torch": from_torch,
    "dali": from_dali,
    "ffcv": from_ffcv,
}


def order_digest(open_loader: OpenLoader, task: Task, epochs: int) -> str:
    """Hash every id and label that a loader hands out, given observations that depend on no model.

    KAKURENBO hides by a loss made of id and epoch; both passes of every epoch count.
    """
    sampler = ds.Sampler(task.num_train, ds.Kakurenbo(0.3), batch_size=task.batch_size, seed=0)
    loader = open_loader(sampler)
    digest = hashlib.sha256()
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for batches in (loader, loader.hidden()):
            for _, labels, index in batches:
                digest.update(index.numpy().tobytes() + labels.numpy().tobytes())
                loss = ((index * 7919 + epoch * 104729) % 1009).float()
                sampler.observe(index, loss=loss, correct=loss >= 0, confidence=loss >= 0)
    return digest.hexdigest()[:32]
