"""The command: read, print, write."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample import files, report
from dynsample.cli import tree
from dynsample.cli.inspect import terminal
from dynsample.cli.inspect.classes import by_class, without_counts
from dynsample.cli.printing import reason, say
from dynsample.disk.arrays import load_array
from dynsample.disk.files import whole
from dynsample.report.writer import checked_labels


def run(args: argparse.Namespace) -> int:
    """Return the exit status: 1 for what cannot be read or written."""
    try:
        return _run(args)
    except (
        report.ReportError,
        files.SampleError,
        ImportError,
        OSError,
        ValueError,
        TypeError,
    ) as error:
        say(f"dynsample inspect: {reason(error)}", sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    found = report.read(args.folder)
    if not found.epochs:
        say(f"{args.folder}: no epoch is recorded yet", sys.stderr)
        return 1
    count = found.epochs[-1]["run"]["num_samples"]
    labels = found.labels if args.labels is None else _labels(args.labels, count)
    samples: files.Samples | None = None
    names: list[str] = []
    if args.images and args.images.suffix != ".npz":
        samples = tree.open_samples(args.images, _list_of(args.labels))
        _check_count(args.images, len(samples), count)
        if _list_of(args.labels) is None:
            labels, names = _classes_of_tree(args.images, samples, labels)
    classes = by_class(found, labels, names)
    terminal.show(found, report.costs(found), classes, without_counts(labels))
    if args.html:
        from dynsample.cli.inspect import page, pictures

        source = None
        if samples is not None:
            source = pictures.of_samples(samples, args.images)
        elif args.images:
            source = pictures.of_array_file(args.images)
            _check_count(args.images, source.count, count)
        what = page.Known(labels, names, source)
        text = page.build(found, report.costs(found), classes, what)
        if os.path.lexists(args.html) and not page.is_ours(args.html):
            raise FileExistsError(f"{args.html} is there and is no page of a report")
        with whole(args.html) as file:
            file.write(text.encode())
        say(f"{args.html}: {len(text) / 1e6:.1f} MB")
    if args.tensorboard:
        epochs = report.to_tensorboard(args.folder, args.tensorboard)
        say(f"{args.tensorboard}: events of {epochs} epochs")
    return 0


def _check_count(path: Path, found: int, num_samples: int) -> None:
    if found != num_samples:
        raise ValueError(
            f"--images must hold a picture of each of {num_samples} samples, {path} has {found}"
        )


def _list_of(labels: Path | None) -> Path | None:
    """Return what --labels named, where that is a list of files."""
    return None if labels is None or labels.suffix == ".npy" else labels


def _classes_of_tree(
    root: Path, samples: files.Samples, labels: NDArray[np.integer] | None
) -> tuple[NDArray[np.integer], list[str]]:
    """Return the labels that count, and the names of the folders if these are of theirs."""
    if labels is not None and not np.array_equal(labels, samples.labels):
        return labels, []
    return samples.labels, [os.fsdecode(name) for name in files.class_folders(root)]


def _labels(path: Path, count: int) -> NDArray[np.integer]:
    listed = _list_of(path) is not None
    labels = checked_labels(np.array(files.parse_list(path)[1]) if listed else load_array(path))
    if len(labels) != count:
        raise ValueError(f"--labels must have one for each of {count} samples, got {len(labels)}")
    return labels
