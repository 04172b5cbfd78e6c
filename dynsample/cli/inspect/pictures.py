"""Pictures of samples by id, small and inside the page."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Callable
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
Pictures = Callable[[int], str]  # id -> data URI


def open_images(path: Path, labels: Path | None, num_samples: int) -> Pictures:
    """Return the pictures of an .npz, of a list of files, or of a tree of class folders.

    Raises
    ------
    ValueError, OSError
        For what does not hold an image of every sample.
    """
    if path.suffix == ".npz":
        images = _images(path)
        _check_count(path, len(images), num_samples)
        return _of_array(images)
    listed = labels is not None and labels.suffix != ".npy"
    samples = files.open_samples(path, labels if listed else None)
    _check_count(path, len(samples), num_samples)
    return lambda i: _of_encoded(samples, i)


def _check_count(path: Path, found: int, num_samples: int) -> None:
    if found != num_samples:
        raise ValueError(
            f"--images must hold a picture of each of {num_samples} samples, {path} has {found}"
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


def _of_array(images: NDArray[Any]) -> Pictures:
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
