"""Lines that are whole or known not to be, and arrays in them, bit for bit."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def seal(content: object) -> str:
    """Return `content`, JSON-able, as one line that begins with its checksum."""
    text = json.dumps(content)
    return f"{zlib.crc32(text.encode()):08x} {text}\n"


def unseal(line: str) -> object:
    """Return what was sealed; None when the line is torn or altered."""
    checksum, _, text = line.rstrip("\n").partition(" ")
    if not line.endswith("\n") or checksum != f"{zlib.crc32(text.encode()):08x}":
        return None
    content: object = json.loads(text)
    return content


def bits(array: NDArray[Any]) -> str:
    """Every bit of an array, in hexadecimal."""
    return np.ascontiguousarray(array).tobytes().hex()


def from_bits(text: str, dtype: type[np.generic]) -> NDArray[Any]:
    """Return the array that `bits` took, in one dimension."""
    array: NDArray[Any] = np.frombuffer(bytes.fromhex(text), dtype).copy()
    return array


class Recorder:
    """Appends lines to a file; what was appended outlives the process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def append(self, **content: object) -> None:
        """Append one line in one call."""
        os.write(self._file, seal(content).encode())


def read(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """Return the whole lines of a file, and whether all but the last were whole."""
    if not path.exists():
        return [], True
    lines: list[Any] = [unseal(line) for line in path.read_text().splitlines(keepends=True)]
    return [line for line in lines if line is not None], None not in lines[:-1]
