"""Write all images of a data set into one file, with labels and checksums, for readers.packed."""

from __future__ import annotations

import argparse
from pathlib import Path

from dynsample import files
from dynsample.cli import tree
from dynsample.cli.printing import reason, say
from dynsample.cli.progress import progress
from dynsample.files import pack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to pack and where the pack goes."""
    parser.add_argument(
        "source", type=Path, help="a folder of class folders, or a list of files and labels"
    )
    parser.add_argument("output", type=Path, help="where the pack goes")
    parser.add_argument(
        "--force", action="store_true", help="replace a file that is there and is no pack"
    )
    parser.add_argument(
        "--root", type=Path, help="what the paths of a list are below (default: its folder)"
    )


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Pack, and say how long it still takes."""
    if args.root is not None and args.source.is_dir():
        parser.error("--root belongs to a list of files, and the source is a folder")
    if args.output.is_dir():
        parser.error(f"output: {args.output} is a folder, not a file")
    try:
        if args.source.is_dir():
            samples = tree.open_samples(args.source, None)
        else:
            samples = files.from_list(args.source, args.root)
        with progress("packing", "images", len(samples)) as shown:
            pack.write(samples, args.output, force=args.force, progress=shown.advance)
    except FileExistsError as error:
        parser.error(f"{error}; --force replaces it")
    except (OSError, ValueError, files.SampleError) as error:
        parser.error(reason(error))
    say(f"{args.output}: {len(samples)} images, {args.output.stat().st_size} bytes")
    return 0
