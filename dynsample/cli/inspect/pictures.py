"""Pictures of samples by id, small and inside the page."""

from __future__ import annotations

import base64
import io
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray
from PIL import Image

from dynsample import files

SIDE = 96  # pixels of a picture at most
_SMALL = 32  # below, pixels are drawn as squares
_DAMAGED = (EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Pictures:
    """Pictures of samples by id.

    Attributes
    ----------
    count : int
    uri : callable
        Gives the data URI of a sample's picture.
    path : callable
        Gives the file of a sample, below the root of all; "" where there is none.
    """

    count: int
    uri: Callable[[int], str]
    path: Callable[[int], str] = lambda i: ""


def of_array_file(path: Path) -> Pictures:
    """Return the pictures of an .npz.

    Raises
    ------
    ValueError, OSError
        For what does not hold images.
    """
    images = _images(path)
    return Pictures(len(images), _of_array(images))


def of_samples(samples: files.Samples, root: Path) -> Pictures:
    """Return the pictures of files below a root."""
    return Pictures(
        len(samples),
        lambda i: _of_encoded(samples, i),
        lambda i: os.path.relpath(samples.path(i), root),
    )


def _images(path: Path) -> NDArray[Any]:
    try:
        with open(path, "rb") as file, NpzFile(file) as content:
            array = _only(path, {name: content[name] for name in content.files})
    except _DAMAGED as error:
        raise ValueError(f"{path} is not an .npz, or it is damaged: {error}") from None
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got shape {array.shape}")
    return array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array


def _only(path: Path, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    shaped = [name for name, array in arrays.items() if array.ndim in (3, 4)]
    if "images" not in shaped and len(shaped) != 1:
        raise ValueError(
            f'{path} must hold "images", or one array [N, H, W], [N, H, W, C] or [N, C, H, W], has '
            f"{', '.join(f'{name} {array.shape}' for name, array in arrays.items()) or 'nothing'}"
        )
    return arrays["images" if "images" in shaped else shaped[0]]


def _of_array(images: NDArray[Any]) -> Callable[[int], str]:
    if images.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = float(np.nanmin(images)), float(np.nanmax(images))
    scale = 255 / (high - low) if high > low else 0.0

    def picture(i: int) -> str:
        if not 0 <= i < len(images):
            raise ValueError(f"--images must hold sample {i}, has {len(images)}")
        pixels = (np.nan_to_num(images[i].astype(np.float64), nan=low) - low) * scale
        return _uri(Image.fromarray(pixels.clip(0, 255).astype(np.uint8)))

    return picture


def _of_encoded(samples: files.Samples, i: int) -> str:
    if not 0 <= i < len(samples):
        raise ValueError(f"--images must hold sample {i}, has {len(samples)}")
    with Image.open(io.BytesIO(samples.read(i).tobytes())) as image:
        return _uri(image.convert("RGB"))


def _uri(image: Image.Image) -> str:
    """Encode one picture: photographs smoothly, small ones with their pixels to be seen."""
    if max(image.size) > SIDE:
        image.thumbnail((SIDE, SIDE))
    kind = "PNG" if max(image.size) <= _SMALL else "JPEG"
    out = io.BytesIO()
    image.save(out, kind)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"
