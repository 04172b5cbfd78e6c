"""Readers of the data that the examples train on: one call, whatever lies at the path.

    load("cifar-100-python", "train")   # python batches of CIFAR-10 or CIFAR-100
    load("digits.npz", "train")         # arrays x and y, or x_train, y_train, x_test, y_test
    load("imagenet", "val", size=224)   # class folders: ImageNet, CINIC-10, FractalDB, ...

The index of a sample is its position: CIFAR's batches one after the other, the rows of an array,
or class folders and their files sorted by their bytes.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from dynsample.files import Samples, from_names, scan

# What a part is called: as in ImageNet, CINIC-10 and others, the first that is there.
PARTS = {"train": ("train",), "val": ("val", "valid", "validation", "test"), "test": ("test",)}
CIFAR = {  # folder -> files of the parts, key of the labels, number of classes
    "cifar-10-batches-py": (
        {"train": [f"data_batch_{i}" for i in range(1, 6)], "val": ["test_batch"]},
        b"labels",
        10,
    ),
    "cifar-100-python": ({"train": ["train"], "val": ["test"]}, b"fine_labels", 100),
}
_OF_ARRAYS = {"_reconstruct", "ndarray", "dtype", "encode", "_frombuffer", "scalar"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


@dataclass(frozen=True, eq=False)
class Labelled(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Images with labels; an item is float32[C, H, W] and an int.

    Attributes
    ----------
    labels : int64[N]
    num_classes : int
    image : callable(int) -> image
        Decodes, or takes out of an array.
    transform : callable(image) -> float32[C, H, W]
    """

    labels: NDArray[np.int64]
    num_classes: int
    image: Callable[[int], Any]
    transform: Callable[[Any], torch.Tensor]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.image(i)), int(self.labels[i])


def load(
    path: str | Path,
    part: str = "train",
    *,
    size: int | None = None,
    augment: bool = False,
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
) -> Labelled:
    """Open a data set.

    Parameters
    ----------
    path : path
        A folder of CIFAR's python batches, an .npz file, or a folder of class folders, or one with
        train/ and val/ (or valid/, validation/, test/) that hold them.
    part : "train", "val" or "test"
    size : int, optional
        Pixels of a side. Files need it; arrays keep theirs without it.
    augment : bool
        Random crops and flips: of 8 to 100 % of the area for files, with a border of 4 pixels for
        arrays.
    mean, std : float[3]
        Of the channels, for files and for arrays of three channels in 8 bits; other arrays are
        centred and scaled by those of the whole training part.
    """
    path = Path(path)
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, got {part!r}")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_file():
        if path.suffix != ".npz":
            raise ValueError(f"{path} must be an .npz file or a folder")
        images, labels = _npz(path, part)
        scale = (mean, std) if _is_colour(images) else _scale_of(path, images)
        return _from_arrays(images, labels, size, augment, *scale)
    for name, (files, key, classes) in CIFAR.items():
        folder = path / name if (path / name).is_dir() else path
        if (folder / files["val"][0]).is_file():
            images, labels = _cifar(folder, files["train" if part == "train" else "val"], key)
            return _from_arrays(images, labels, size, augment, mean, std, classes)
    root = _part_of(path, part)
    names, labels_of = scan(root)
    if size is None:
        raise ValueError(f"{path} holds image files: they need a size")
    samples = from_names(root, names, labels_of)
    transform = partial(_tensor_of_file, random_crop if augment else centre_crop, size, mean, std)
    classes = len([entry for entry in root.iterdir() if entry.is_dir()])
    decode = partial(_decoded, samples)
    return Labelled(np.asarray(labels_of, np.int64), classes, decode, transform)


def class_map(path: str | Path, num_classes: int) -> torch.Tensor:
    """Read `mapping_dict.txt`: line k is the output that stands for class k of the val set.

    A network of ImageNet-21K's classes is measured on the 1000 of ImageNet by
    ``logits[:, class_map(path, 21842)]``.
    """
    text = Path(path).read_text().split()
    try:
        values = np.array(text, np.float64)
    except ValueError:
        raise ValueError(f"{path} must hold one number per line") from None
    columns = values.astype(np.int64)
    if not len(columns) or (columns != values).any():
        raise ValueError(f"{path} must hold one whole number per line")
    if columns.min() < 0 or columns.max() >= num_classes:
        raise ValueError(
            f"{path} must hold classes in [0, {num_classes}), got {columns.min()} to "
            f"{columns.max()}"
        )
    if len(np.unique(columns)) != len(columns):
        raise ValueError(f"{path} names a class twice")
    return torch.from_numpy(columns)


class _Arrays(pickle.Unpickler):
    """Loads CIFAR's batches: dictionaries of arrays, lists and bytes, and no code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in ("numpy", "_codecs") and name in _OF_ARRAYS:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a batch of CIFAR")


def _cifar(
    folder: Path, files: list[str], key: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = [], []
    for name in files:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing")
        with open(folder / name, "rb") as file:
            batch = _Arrays(file, encoding="bytes").load()
        if not isinstance(batch, dict) or b"data" not in batch or key not in batch:
            raise ValueError(f"{folder / name} must hold data and {key.decode()}")
        images.append(np.asarray(batch[b"data"], np.uint8).reshape(-1, 3, 32, 32))
        labels.append(np.asarray(batch[key], np.int64))
    return np.concatenate(images).transpose(0, 2, 3, 1), np.concatenate(labels)


def _npz(path: Path, part: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
    with np.load(path, allow_pickle=False) as arrays:
        for suffix in ("_" + name for name in PARTS[part]):
            if "x" + suffix in arrays and "y" + suffix in arrays:
                break
        else:
            suffix = ""
            if part != "train" or not {"x", "y"} <= set(arrays):
                raise ValueError(
                    f"{path} must hold x and y, or x_{part} and y_{part}, for the part {part!r}; "
                    f"it holds {', '.join(sorted(arrays)) or 'nothing'}"
                )
        images, labels = arrays["x" + suffix], arrays["y" + suffix]
    labels = labels.reshape(-1) if labels.shape == (len(images), 1) else labels
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) != len(images):
        raise ValueError(
            f"y{suffix} in {path} must be integers [{len(images)}], one for each image, got "
            f"{labels.dtype}{list(labels.shape)}"
        )
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(
            f"x{suffix} in {path} must be images [N, H, W], [N, H, W, C] or [N, C, H, W] of 1 or "
            f"3 channels, got {list(images.shape)}"
        )
    return images, labels.astype(np.int64)


def _from_arrays(
    images: NDArray[Any],
    labels: NDArray[np.int64],
    size: int | None,
    augment: bool,
    mean: Any,
    std: Any,
    num_classes: int | None = None,
) -> Labelled:
    """Images [N, H, W, C]; mean and std are of values up to 1 where they have 8 bits."""
    if size not in (None, images.shape[1]):
        raise ValueError(f"size must be that of the arrays, {images.shape[1]}, got {size}")
    top = 255 if images.dtype == np.uint8 else 1
    transform = partial(_tensor_of_array, augment, top * np.float32(mean), top * np.float32(std))
    if num_classes is None:
        num_classes = int(labels.max()) + 1 if len(labels) else 0
    return Labelled(labels, num_classes, images.__getitem__, transform)


def _part_of(path: Path, part: str) -> Path:
    for name in PARTS[part]:
        if (path / name).is_dir():
            return path / name
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    if folders and part == "train":
        return path
    raise FileNotFoundError(
        f"{path} holds no {' or '.join(PARTS[part])}/, no batches of CIFAR"
        + (" and no class folders" if part == "train" else "")
    )


def _is_colour(images: NDArray[Any]) -> bool:
    return images.dtype == np.uint8 and images.shape[3] == 3


def _scale_of(path: Path, images: NDArray[Any]) -> tuple[float, float]:
    """Mean and deviation of the training part, where the file has one."""
    with contextlib.suppress(ValueError):
        images, _ = _npz(path, "train")
    top = 255 if images.dtype == np.uint8 else 1
    deviation = float(images.std(dtype=np.float64)) / top
    return float(images.mean(dtype=np.float64)) / top, deviation or 1.0


# Functions of modules, and no closures, as workers of a DataLoader may be spawned.


def _tensor_of_array(augment: bool, mean: Any, std: Any, image: NDArray[Any]) -> torch.Tensor:
    pixels = ((image - mean) / std).astype(np.float32).transpose(2, 0, 1)
    tensor = torch.from_numpy(np.ascontiguousarray(pixels))
    return _shifted(tensor) if augment else tensor


def _tensor_of_file(
    crop: Callable[[Image.Image, int], Image.Image],
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    image: Image.Image,
) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(crop(image, size))).permute(2, 0, 1).float() / 255
    centre, scale = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))
    return (pixels - centre) / scale


def _decoded(samples: Samples, i: int) -> Image.Image:
    with Image.open(samples.path(i)) as image:
        return image.convert("RGB")


def _shifted(image: torch.Tensor, border: int = 4) -> torch.Tensor:
    """Crop at random from the image in a border of zeros, and flip every second one."""
    top, left = torch.randint(2 * border + 1, (2,)).tolist()
    height, width = image.shape[1:]
    padded = torch.nn.functional.pad(image, (border,) * 4)
    cropped = padded[:, top : top + height, left : left + width]
    return cropped.flip(2) if torch.rand(()) < 0.5 else cropped


def random_crop(image: Image.Image, size: int, smallest: float = 0.08) -> Image.Image:
    """Cut out 8 to 100 % of the area, 3/4 to 4/3 as wide as high; flip every second image."""
    box: tuple[float, ...] = (0, 0, *image.size)
    for _ in range(10):
        area = image.width * image.height * float(torch.empty(()).uniform_(smallest, 1))
        ratio = float(torch.empty(()).uniform_(np.log(3 / 4), np.log(4 / 3)).exp())
        width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < width <= image.width and 0 < height <= image.height:
            left = int(torch.randint(image.width - width + 1, ()))
            top = int(torch.randint(image.height - height + 1, ()))
            box = (left, top, left + width, top + height)
            break
    cropped = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    flip = torch.rand(()) < 0.5
    return cropped.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else cropped


def centre_crop(image: Image.Image, size: int) -> Image.Image:
    """Cut out the middle square, 7/8 of the shorter side."""
    side = min(image.size) * 7 / 8
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
