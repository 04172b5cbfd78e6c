"""Pictures of samples by id, small and inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dynsample import files

SIDE = 96  # pixels of a picture at most
_SMALL = 32  # below, pixels are drawn as squares
Pictures = Callable[[int], str]  # id -> data URI


def open_images(path: Path, labels: Path | None) -> Pictures:
    """Give the pictures of an .npz, of a list of files, or of a tree of class folders.

    Raises
    ------
    ValueError, OSError
        For what holds no images.
    """
    if path.suffix == ".npz":
        return _of_array(_images(path))
    listed = labels is not None and labels.suffix != ".npy"
    samples = files.open_samples(path, labels if listed else None)
    return lambda i: _of_encoded(samples, i)


def _images(path: Path) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as content:
        names = [name for name in content.files if content[name].ndim in (3, 4)]
        name = "images" if "images" in names else next(iter(names), None)
        if name is None:
            raise ValueError(
                f"{path} must hold images [N, H, W], [N, H, W, C] or [N, C, H, W], has "
                f"{', '.join(content.files) or 'nothing'}"
            )
        array: NDArray[Any] = content[name]
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim == 4 and array.shape[3] not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels, got shape {array.shape}")
    return array[..., 0] if array.ndim == 4 and array.shape[3] == 1 else array


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
