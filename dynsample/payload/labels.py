"""How a teacher's logits are kept: whole in half precision, quantised, or the highest k."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import integer

Arrays = dict[str, NDArray[Any]]
_LEVELS = 255
_LARGEST = float(np.finfo(np.float16).max)


class Labels(Protocol):
    """Turns logits into the columns of a store, and back."""

    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Names, dtypes and shapes of a row's parts."""
        ...

    def encode(self, logits: NDArray[np.float32]) -> Arrays:
        """Columns of finite logits, float32[B, C]."""
        ...

    def decode(self, columns: Arrays) -> NDArray[Any]:
        """Logits [B, C] of columns."""
        ...

    def check(self, columns: Arrays) -> None:
        """Raise a ValueError unless columns can be decoded."""
        ...


@dataclass(frozen=True)
class Half:
    """Float16, 2 bytes a class: what the published code keeps."""

    num_classes: int

    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Names, dtypes and shapes of a row's parts."""
        return {"logits": ("float16", (self.num_classes,))}

    def encode(self, logits: NDArray[np.float32]) -> Arrays:
        """Round; what float16 does not reach is an error."""
        largest = float(np.abs(logits).max(initial=0))
        if largest > _LARGEST:
            raise ValueError(f"logits must be in [-{_LARGEST:.0f}, {_LARGEST:.0f}], got {largest}")
        return {"logits": logits.astype(np.float16)}

    def decode(self, columns: Arrays) -> NDArray[Any]:
        """Return float16, as it is kept."""
        return columns["logits"]

    def check(self, columns: Arrays) -> None:
        """Every content can be decoded."""


@dataclass(frozen=True)
class Quantised:
    """256 equal steps from the lowest logit of a row to its highest: 1 byte a class, and 8."""

    num_classes: int

    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Names, dtypes and shapes of a row's parts."""
        return {"low_step": ("float32", (2,)), "levels": ("uint8", (self.num_classes,))}

    def encode(self, logits: NDArray[np.float32]) -> Arrays:
        """Round to the nearest level: an error of half a step at most."""
        wide = logits.astype(np.float64)
        low, high = wide.min(1, initial=np.inf), wide.max(1, initial=-np.inf)
        low_step = np.stack([low, (high - low) / _LEVELS], 1).astype(np.float32)
        step = np.where(low_step[:, 1:] > 0, low_step[:, 1:], 1)
        levels = np.clip(np.rint((wide - low_step[:, :1]) / step), 0, _LEVELS)
        return {"low_step": low_step, "levels": levels.astype(np.uint8)}

    def decode(self, columns: Arrays) -> NDArray[Any]:
        """Return float32."""
        low, step = columns["low_step"][:, :1], columns["low_step"][:, 1:]
        logits: NDArray[np.float32] = columns["levels"] * step + low
        return logits

    def check(self, columns: Arrays) -> None:
        """Every content can be decoded."""


@dataclass(frozen=True)
class Top:
    """The highest k logits in float16 with their classes, and the mean of the others.

    The mean stands for each of the others: at a high temperature T their share of the softmax is
    that of the whole row up to terms of 1 / T^2, where leaving them out would lose most of it.
    """

    num_classes: int
    k: int

    def columns(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Names, dtypes and shapes of a row's parts."""
        classes = "uint16" if self.num_classes <= 2**16 else "uint32"
        return {
            "others": ("float32", ()),
            "classes": (classes, (self.k,)),
            "highest": ("float16", (self.k,)),
        }

    def encode(self, logits: NDArray[np.float32]) -> Arrays:
        """Keep k; ties go to the lower class."""
        classes = np.argsort(-logits, axis=1, kind="stable")[:, : self.k]
        highest = np.take_along_axis(logits, classes, 1)
        rest = logits.sum(1, dtype=np.float64) - highest.sum(1, dtype=np.float64)
        dtype = self.columns()["classes"][0]
        return {
            "others": (rest / max(1, self.num_classes - self.k)).astype(np.float32),
            "classes": classes.astype(dtype),
            **{"highest": Half(self.k).encode(highest)["logits"]},
        }

    def decode(self, columns: Arrays) -> NDArray[Any]:
        """Return float32 of all classes."""
        logits = np.repeat(columns["others"][:, None], self.num_classes, 1)
        classes = columns["classes"].astype(np.int64)
        np.put_along_axis(logits, classes, columns["highest"].astype(np.float32), 1)
        return logits

    def check(self, columns: Arrays) -> None:
        """Raise unless the classes are some of all."""
        highest = int(columns["classes"].max(initial=0))
        if highest >= self.num_classes:
            raise ValueError(f"classes must be in [0, {self.num_classes}), got {highest}")


def as_labels(labels: str, num_classes: int) -> Labels:
    """Resolve "fp16", "uint8" or "top<k>"."""
    if labels == "fp16":
        return Half(num_classes)
    if labels == "uint8":
        return Quantised(num_classes)
    if isinstance(labels, str) and labels.startswith("top") and labels[3:].isdecimal():
        return Top(num_classes, integer(int(labels[3:]), "k of labels", 1, num_classes))
    raise ValueError(f"labels must be 'fp16', 'uint8' or 'top<k>' as in 'top10', got {labels!r}")
