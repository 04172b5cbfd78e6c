"""DALI's own reader and iterator beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin import pytorch as stock
from nvidia.dali.plugin.base_iterator import LastBatchPolicy

import dynsample as ds
import dynsample.dali as dali
from dynsample import files
from dynsample.dali import operator
from dynsample.files import pack
from loaders import Boundary, Case, Epochs, Start, link_images, write_images

THREADS = 2
TRAIN_BATCH, BYTES_BATCH, BOUNDARY_BATCH = 64, 256, 256
# Names of an image: DALI's reader keeps a file mapped while it is among the next 1024, so that a
# small data set would never be opened again.
TRAIN_NAMES, BYTES_NAMES = 2, 16
Reader = Callable[[], Any]


@pipeline_def(num_threads=THREADS, device_id=None)
def training(reader: Reader) -> Any:
    """Do what training scripts for ImageNet do, on the CPU."""
    encoded, label, *index = reader()
    image = fn.decoders.image_random_crop(encoded)
    image = fn.resize(image, size=(224, 224))
    image = fn.crop_mirror_normalize(
        image,
        dtype=types.FLOAT,
        output_layout="CHW",
        mean=[123.7, 116.3, 103.5],
        std=[58.4, 57.1, 57.4],
        mirror=fn.random.coin_flip(),
    )
    return image, label, *index


@pipeline_def(num_threads=THREADS, device_id=None)
def head(reader: Reader) -> Any:
    """Read every file whole, and keep its first bytes."""
    encoded, label, *index = reader()
    return fn.slice(encoded, start=0, shape=16, axes=[0]), label, *index


def stock_loader(pipeline: Any, root: Path, batch_size: int) -> Callable[[], int]:
    def read() -> Any:
        return fn.readers.file(file_root=str(root), random_shuffle=True, name="Reader")

    loader = stock.DALIClassificationIterator(
        pipeline(read, batch_size=batch_size),
        reader_name="Reader",
        last_batch_policy=LastBatchPolicy.PARTIAL,
        auto_reset=True,
    )

    return lambda: sum(len(batch[0]["label"]) for batch in loader)


def our_loader(
    pipeline: Any, read: Callable[[ds.Sampler], Any], sampler: ds.Sampler
) -> Callable[[], int]:
    loader = dali.DALIClassificationIterator(
        pipeline(lambda: read(sampler), batch_size=sampler.batch_size), sampler=sampler
    )
    return lambda: sum(len(batch[0]["label"]) for batch in loader)


def cases(folder: Path, images: int) -> Iterator[Case]:
    """Training; then reading alone, from files and from a pack."""
    root = write_images(folder, images)
    twice = link_images(root, TRAIN_NAMES)
    sampler = ds.Sampler(images * TRAIN_NAMES, batch_size=TRAIN_BATCH)
    stock_ones = [stock_loader(training, twice, TRAIN_BATCH) for _ in range(2)]

    def from_files(sampler: ds.Sampler) -> Any:
        return dali.readers.file(sampler=sampler, file_root=twice)

    yield Case("dali_train", our_loader(training, from_files, sampler), stock_ones[0])
    yield Case("aa", *stock_ones)
    linked, packed = link_images(root, BYTES_NAMES), folder / "pack"
    pack.write(files.from_folders(root), packed)
    peer = stock_loader(head, linked, BYTES_BATCH)

    def from_linked(sampler: ds.Sampler) -> Any:
        return dali.readers.file(sampler=sampler, file_root=linked)

    sampler = ds.Sampler(images * BYTES_NAMES, batch_size=BYTES_BATCH)
    yield Case("dali_bytes", our_loader(head, from_linked, sampler), peer)

    def from_pack(sampler: ds.Sampler) -> Any:
        return dali.readers.packed(sampler=sampler, path=packed)

    equal = ds.WeightedRandom(np.ones(images, np.float32), num_draws=images * BYTES_NAMES)
    sampler = ds.Sampler(images, equal, batch_size=BYTES_BATCH)
    yield Case("dali_packed_bytes", our_loader(head, from_pack, sampler), peer)


@pipeline_def(batch_size=BOUNDARY_BATCH, num_threads=THREADS, device_id=None)
def labels(reader: Reader) -> Any:
    """Label and index, without decoding."""
    _, label, *index = reader()
    return label, *index


def forge_list(folder: Path, samples: int) -> tuple[Path, list[str]]:
    """Write the same small files many times into a list, with names as long as those of ImageNet.

    Gives the list and the names in it; the label is the position.
    """
    root = folder / "small"
    (root / "n01440764").mkdir(parents=True)
    names = [f"n01440764/n01440764_{i}.JPEG" for i in range(10000, 10100)]
    for name in names:
        (root / name).write_bytes(b"no image")
    paths = [names[i % len(names)] for i in range(samples)]
    listed = [f"{path} {i}\n" for i, path in enumerate(paths)]
    (root / "list.txt").write_text("".join(listed))
    return root / "list.txt", paths


def first_batch(samples: int, **where: Any) -> Any:
    """Make a sampler, a pipeline and its iterator; take a batch."""
    sampler = ds.Sampler(samples, batch_size=BOUNDARY_BATCH)
    pipeline = labels(lambda: dali.readers.file(sampler=sampler, **where))
    loader = dali.DALIGenericIterator(pipeline, ["label"], sampler=sampler)
    next(iter(loader))
    return loader


def first_stock_batch(**where: Any) -> Any:
    """Make a pipeline and its iterator; take a batch."""
    pipeline = labels(lambda: fn.readers.file(random_shuffle=True, name="Reader", **where))
    loader = stock.DALIGenericIterator(pipeline, ["label"], reader_name="Reader")
    next(loader)
    return loader


def starts(folder: Path, samples: int, tree: Path, files: int) -> Iterator[Start]:
    """From a list of `samples` names, and from a tree of as many `files`."""
    operator.load()  # compiled once in the life of a machine
    listed = str(forge_list(folder, samples)[0])
    yield Start(
        "dali_list",
        lambda: first_batch(samples, file_list=listed),
        "readers.file",
        lambda: first_stock_batch(file_root=str(Path(listed).parent), file_list=listed),
    )
    yield Start(
        "dali_folders",
        lambda: first_batch(files, file_root=tree),
        "readers.file",
        lambda: first_stock_batch(file_root=str(tree)),
    )


def tiny(tree: Path, files: int) -> Case:
    """Read small files, of which the reader's own work is the most."""

    def read(sampler: ds.Sampler) -> Any:
        return dali.readers.file(sampler=sampler, file_root=tree)

    ours = our_loader(head, read, ds.Sampler(files, batch_size=BYTES_BATCH))
    return Case("dali_tiny", ours, stock_loader(head, tree, BYTES_BATCH))


def boundary(folder: Path, samples: int) -> Boundary:
    """Fold, select and plan in a pipeline that goes on, beside a new pipeline with a new list."""
    listed, paths = forge_list(folder, samples)
    root = listed.parent
    epochs = Epochs(samples, BOUNDARY_BATCH)
    sampler = epochs.sampler
    pipeline = labels(lambda: dali.readers.file(sampler=sampler, file_list=listed))
    loader = dali.DALIGenericIterator(pipeline, ["label"], sampler=sampler)

    def prepare() -> None:
        epochs.run_out(loader, lambda batch: batch[0]["index"])

    def ours() -> None:
        epochs.plan()
        next(iter(loader))

    def peer() -> None:
        """Find the samples to keep, write their list, build, and take the first batch."""
        kept = epochs.kept_by_numpy()
        with open(root / "kept.txt", "w") as file:
            file.writelines(f"{paths[i]} {i}\n" for i in kept.tolist())
        first_stock_batch(file_root=str(root), file_list=str(root / "kept.txt"))

    return Boundary("dali_boundary", prepare, ours, "new pipeline, new list", peer)
