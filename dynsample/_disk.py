"""Names on the disk: which a crash of the machine leaves, and which are not ours to replace."""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_overwrite(
    path: str | os.PathLike[str], force: bool = False, content: bytes | None = None
) -> None:
    """Raise FileExistsError when a file is there already, unless `force` or it holds `content`."""
    target = Path(path)
    if force or not os.path.lexists(target):
        return
    if target.exists() and not target.is_file():
        return  # a pipe or device has nothing to lose, and writing to a folder fails
    if content is None or not target.is_file() or not _holds(target, content):
        raise FileExistsError(f"{path} exists already; --force replaces it")


def _holds(path: Path, content: bytes) -> bool:
    return path.stat().st_size == len(content) and path.read_bytes() == content
