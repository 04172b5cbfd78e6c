"""Write the list of a tree of class folders: a path, a space and a label on every line."""

from __future__ import annotations

import argparse
from pathlib import Path

from dynsample import files
from dynsample.cli.printing import say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tree and where the list goes."""
    parser.add_argument("root", type=Path, help="a folder of class folders")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="where the list goes"
    )


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the list, with folders and files in the order of their bytes."""
    try:
        names, labels = files.scan(args.root)
        if unlisted := next((name for name in names if b"\n" in name), None):
            parser.error(f"a list has no way to write {unlisted!r}, which holds a line break")
        lines = [b"/%s %d\n" % pair for pair in zip(names, labels, strict=True)]
        args.output.write_bytes(b"".join(lines))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    say(f"{args.output}: {len(names)} files, {len(set(labels))} labels")
    return 0
