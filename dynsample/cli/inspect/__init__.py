"""Show what a whole run did: scores, hidden samples, classes, pictures, and whether it paid.

Reads the folder that `Sampler(report=DIR)` wrote, also while the run goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dynsample.cli.needs import check_installed

_DRAWS = {"matplotlib": "matplotlib"}
_READS_IMAGES = {"PIL": "pillow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the folder, what else is known of the samples, and where the page goes."""
    # fmt: off
    parser.add_argument("folder", type=Path, metavar="DIR", help="what Sampler(report=DIR) wrote")
    parser.add_argument("--labels", type=Path, metavar="FILE",
                        help="classes by id: an .npy, or a list of files with labels "
                        "(default: labels.npy of DIR)")
    parser.add_argument("--images", type=Path, metavar="PATH",
                        help="pictures by id: an .npz, the tree of class folders, whose names "
                        "are those of the classes, or what the files of --labels are below")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with all charts")
    parser.add_argument("--tensorboard", type=Path, metavar="LOGDIR",
                        help="write events for TensorBoard")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the table and its sentences, and write what was asked for; 1 without a report."""
    needs: dict[str, str] = {}
    if args.html:
        needs |= _DRAWS
    if args.html and args.images:
        needs |= _READS_IMAGES
    check_installed(parser, "inspect", needs, "plot")
    if args.images and not args.html and not args.images.is_dir():
        parser.error("--images are shown on the page: --html says where it goes")
    from dynsample.cli.inspect import command

    return command.run(args)
