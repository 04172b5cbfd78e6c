"""The command: read, print, write."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from dynsample import files, report
from dynsample.cli.inspect import terminal
from dynsample.cli.inspect.classes import by_class
from dynsample.cli.printing import say
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
        say(f"dynsample inspect: {error}", sys.stderr)
        return 1


def _run(args: argparse.Namespace) -> int:
    found = report.read(args.folder)
    if not found.epochs:
        say(f"{args.folder}: no epoch is recorded yet", sys.stderr)
        return 1
    count = found.epochs[-1]["run"]["num_samples"]
    labels = found.labels if args.labels is None else _labels(args.labels, count)
    classes = by_class(found, labels)
    terminal.show(Console(), found, report.costs(found), classes)
    if args.html:
        from dynsample.cli.inspect import page, pictures

        source = args.images and pictures.open_images(args.images, args.labels, count)
        text = page.build(found, report.costs(found), classes, labels, source)
        if os.path.lexists(args.html) and not page.is_ours(args.html):
            raise FileExistsError(f"{args.html} is there and is no page of a report")
        with whole(args.html) as file:
            file.write(text.encode())
        say(f"{args.html}: {len(text) / 1e6:.1f} MB")
    if args.tensorboard:
        epochs = report.to_tensorboard(args.folder, args.tensorboard)
        say(f"{args.tensorboard}: events of {epochs} epochs")
    return 0


def _labels(path: Path, count: int) -> NDArray[np.integer]:
    listed = path.suffix != ".npy"
    labels = checked_labels(np.array(files.parse_list(path)[1]) if listed else load_array(path))
    if len(labels) != count:
        raise ValueError(f"--labels must have one for each of {count} samples, got {len(labels)}")
    return labels
