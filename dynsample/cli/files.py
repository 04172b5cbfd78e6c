"""Write the list of a tree of class folders: a path, a space and a label on every line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from dynsample import files
from dynsample.cli import tree
from dynsample.cli.printing import reason, say
from dynsample.disk.files import refuse_overwrite, whole

_HIDDEN = (b".", b"__MACOSX")
_SHOWN = 3  # names in a note


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tree and where the list goes."""
    parser.add_argument("root", type=Path, help="a folder of class folders")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="where the list goes"
    )
    parser.add_argument("--force", action="store_true", help="replace another file that is there")


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Write the list, with folders and files in the order of their bytes."""
    try:
        names, labels = tree.scan(args.root)
        if unlisted := next((name for name in names if b"\n" in name), None):
            parser.error(f"a list has no way to write {unlisted!r}, which holds a line break")
        content = b"".join(b"/%s %d\n" % pair for pair in zip(names, labels, strict=True))
        refuse_overwrite(args.output, args.force, content)
        with whole(args.output) as file:
            file.write(content)
    except (OSError, ValueError) as error:
        parser.error(reason(error))
    say(f"{args.output}: {len(names)} files, {len(set(labels))} labels")
    for note in _notes(files.class_folders(args.root), names):
        say(f"{parser.prog}: {note}", sys.stderr)
    return 0


def _notes(folders: list[bytes], names: list[bytes]) -> Iterator[str]:
    """Say what was hidden in the tree; it counts, as for DALI's own reader."""
    hidden = [name for name in folders if name.startswith(_HIDDEN)]
    if hidden:
        yield (
            f"{len(hidden)} hidden folders are classes, and shift the labels of those behind: "
            f"{os.fsdecode(b', '.join(hidden[:_SHOWN]))}"
        )
    hidden = [name for name in names if os.path.basename(name).startswith(_HIDDEN)]
    if hidden:
        yield (
            f"{len(hidden)} hidden files are in the list: "
            f"{os.fsdecode(b', '.join(hidden[:_SHOWN]))}"
        )
