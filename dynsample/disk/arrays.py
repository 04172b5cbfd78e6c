"""Arrays in .npy files."""

from __future__ import annotations

import os
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.files import open_regular


def load_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read a .npy file.

    Raises
    ------
    ValueError
        With the file's name, for what is no .npy file, or not whole.
    """
    try:
        with open_regular(path) as file:
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, TypeError, MemoryError, SyntaxError, TokenError) as error:  # of a header
        raise ValueError(f"{path} is not a .npy file, or it is cut short: {error}") from None
    return array
