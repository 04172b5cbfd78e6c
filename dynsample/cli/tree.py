"""Trees of class folders, which take long to list where they are large or far away."""

from __future__ import annotations

from pathlib import Path

from dynsample import files
from dynsample.cli.progress import progress


def scan(root: Path) -> tuple[list[bytes], list[int]]:
    """List the files of a tree, and say how long it still takes; see `files.scan`."""
    with progress("listing files", "folders", len(files.class_folders(root))) as shown:
        return files.scan(root, progress=shown.advance)


def open_samples(root: Path, file_list: Path | None) -> files.Samples:
    """Make samples of a list of files below `root`, or of the tree."""
    if file_list is not None:
        return files.from_list(file_list, root)
    return files.from_names(root, *scan(root))
