"""Fashion-MNIST: 70,000 pictures of ten kinds of clothes, 28 x 28 (Xiao et al., 2017)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample.cli.experiment import idx
from dynsample.cli.experiment.idx import DataError

PACKAGE = "dataset-fashion-mnist"  # of Debian and Ubuntu
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # where it puts the files
NUM_CLASSES, SIDE = 10, 28
SIZES = {"train": 60_000, "t10k": 10_000}


def load(folder: Path = FOLDER) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images [70000, 28, 28] and classes [70000], those to train on first.

    Raises
    ------
    DataError
        When a file is missing, damaged, or of another data set; it says how to get the files.
    """
    images, labels = [], []
    for part, size in SIZES.items():
        pictures = idx.read(_found(folder, f"{part}-images-idx3-ubyte"), 3)
        classes = idx.read(_found(folder, f"{part}-labels-idx1-ubyte"), 1)
        for name, array, shape in (
            ("images", pictures, (size, SIDE, SIDE)),
            ("labels", classes, (size,)),
        ):
            if array.shape != shape:
                raise DataError(
                    f"{folder}: {part}-{name} must be {list(shape)}, got {list(array.shape)}"
                )
        if (highest := int(classes.max())) >= NUM_CLASSES:
            raise DataError(f"{folder}: {part}-labels must be below {NUM_CLASSES}, got {highest}")
        images.append(pictures)
        labels.append(classes)
    return np.concatenate(images), np.concatenate(labels)


def _found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise DataError(
        f"Fashion-MNIST is not in {folder}: there is no {name}, nor {name}.gz. As root, "
        f"`apt-get install {PACKAGE}` puts it into {FOLDER}; --data FOLDER names another place"
    )
