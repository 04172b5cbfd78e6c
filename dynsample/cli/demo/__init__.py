"""Train a small network on embedded data with several methods and their controls, and compare."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import tempfile
from pathlib import Path

from dynsample.cli.demo.policies import ROWS
from dynsample.cli.experiment.counts import count
from dynsample.cli.needs import check_installed

NEEDS = {
    "torch": "torch",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
    "matplotlib": "matplotlib",
    "rich": "rich",
}
_LOADER_NEEDS = {
    "dali": ("nvidia", 'pip install "dynsample[dali]"'),
    "ffcv": ("ffcv", 'pip install "dynsample[ffcv]", with what README.md says of FFCV'),
}
PICTURES = (".png", ".pdf", ".svg")
# A light copy of what tasks.py defines, as `dynsample --help` must not import torch.
DATASETS = ("digits", "glyphs")
LOADERS = ("torch", "dali", "ffcv")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of data set, rows and settings."""
    # fmt: off
    parser.add_argument("dataset", nargs="?", choices=DATASETS, default="glyphs",
                        help="glyphs: 6000 drawn, noisy, hard (default); digits: 1300 real ones, "
                        "so easy that rows seldom differ")
    parser.add_argument("--policy", nargs="+", choices=ROWS, metavar="NAME", default=list(ROWS),
                        help=f"rows of the table (default: all of {', '.join(ROWS)})")
    parser.add_argument("--fraction", type=_fraction, default=0.3,
                        help="share of samples left out of an epoch (%(default)s)")
    parser.add_argument("--refresh-every", type=count, default=1, metavar="EPOCHS",
                        help="look at hidden samples again every so many epochs (%(default)s)")
    parser.add_argument("--seeds", type=count, default=3, metavar="N",
                        help="runs of each policy (%(default)s)")
    parser.add_argument("--seed", type=_seed, default=0, help="the first seed (%(default)s)")
    parser.add_argument("--loader", choices=LOADERS,
                        help="train from JPEG files through this loader (default: from memory)")
    parser.add_argument("--epochs", type=count, help="of a run (digits: 12, glyphs: 10)")
    parser.add_argument("--verify", action="store_true",
                        help="recompute every epoch with the slow reference; 1 if any differs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE",
                        help="where the picture goes (default: demo-DATASET.png)")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Check what can be checked, then train."""
    check_installed(parser, "demo", NEEDS, "demo")
    if args.loader in _LOADER_NEEDS:
        name, how = _LOADER_NEEDS[args.loader]
        if not importlib.util.find_spec(name):
            parser.error(f"--loader {args.loader} needs {name}, not installed here: {how}")
    args.plot = args.plot or Path(f"demo-{args.dataset}.png")
    for option in ("json", "plot"):
        if problem := _unwritable(getattr(args, option)):
            parser.error(f"--{option}: {problem}")
    if args.plot.suffix not in PICTURES:
        parser.error(f"--plot must end in {', '.join(PICTURES)}, got {args.plot}")
    from dynsample.cli.demo import command

    return command.run(args)


def _fraction(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 <= (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"must be in [0, 1), got {text}")


def _seed(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) < 2**32:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number in [0, 2**32), got {text}")


def _unwritable(path: Path | None) -> str | None:
    """Why `path` cannot be written, found by trying; None when it can, or when not asked for."""
    if path is None:
        return None
    if path.is_dir():
        return f"{path} is a folder, not a file"
    if path.exists():
        return None if os.access(path, os.W_OK) else f"{path} is not writable"
    folder = path.absolute().parent
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        return f"cannot write into {folder}: {error.strerror}"
    return None
