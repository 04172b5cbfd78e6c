"""Arrays in IDX files, as MNIST and its kin are published, plain or compressed by gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.files import read_regular

_BYTES = 8  # the type code of unsigned bytes


class DataError(RuntimeError):
    """Data that is missing, or is not what it should be."""


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an array of unsigned bytes.

    Raises
    ------
    DataError
        When the file is no IDX file of that many dimensions, or not as long as its header says.
    OSError
    """
    content = read_regular(path)
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{path} is no gzip file, or it is cut: {error}") from error
    magic, header = bytes((0, 0, _BYTES, dimensions)), 4 + 4 * dimensions
    if content[:4] != magic:
        raise DataError(
            f"{path} must begin with {magic.hex()}, as IDX files of bytes in {dimensions} "
            f"dimension{'' if dimensions == 1 else 's'} do, got {content[:4].hex() or 'nothing'}"
        )
    if len(content) < header:
        raise DataError(f"{path} is cut: its header has {header} bytes, got {len(content)}")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    if len(content) != header + math.prod(shape):
        raise DataError(
            f"{path} must have {header + math.prod(shape)} bytes for an array of {list(shape)}, "
            f"got {len(content)}"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
