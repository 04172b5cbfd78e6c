"""What a store of payloads is of, and the columns that follow from it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample.disk.fields import Check, array, optional, record, text
from dynsample.disk.fields import integer as whole_number
from dynsample.kernels.checks import MAX_SAMPLES, boolean, choice, integer
from dynsample.kernels.convert import fingerprint as array_fingerprint
from dynsample.payload.labels import Labels, as_labels

MIXES = ("none", "mixup", "cutmix")
_SLACK = 1e-5  # of a float32 share
_COUNT = whole_number(0, MAX_SAMPLES)


class Fields(TypedDict):
    """Facts as JSON has them."""

    num_samples: int
    num_classes: int
    labels: str
    crops: bool
    mix: str
    size: list[int] | None
    fingerprint: str


_FIELDS: Check[Fields] = record(
    {
        "num_samples": _COUNT,
        "num_classes": _COUNT,
        "labels": text,
        "mix": text,
        "size": optional(array(_COUNT, length=2)),
        "fingerprint": text,
    }
)
Columns = dict[str, tuple[str, tuple[int, ...]]]  # of a row: name -> dtype, shape


@dataclass(frozen=True)
class Facts:
    """What a store is of.

    Attributes
    ----------
    num_samples, num_classes : int
    labels : "fp16", "uint8" or "top<k>"
        How the teacher's logits are kept, see `dynsample.payload.labels`.
    crops : bool
        Whether every sample has a crop and a flip; without, the teacher saw whole images.
    mix : "none", "mixup" or "cutmix"
    size : (int, int) or None
        Height and width of the images that were mixed, in which the boxes of cutmix are.
    fingerprint : str
        Identity of the data set, see `fingerprint`; "" when it was not given.

    Examples
    --------
    >>> facts = ds.payload.Facts(1000, num_classes=10, mix="cutmix", size=(32, 32))
    >>> sorted(facts.columns())
    ['box', 'crop', 'flip', 'lam', 'logits', 'partner', 'partner_crop', 'partner_flip']
    """

    num_samples: int
    num_classes: int
    labels: str = "fp16"
    crops: bool = True
    mix: str = "none"
    size: tuple[int, int] | None = None
    fingerprint: str = ""

    def __post_init__(self) -> None:
        integer(self.num_samples, "num_samples", 0, MAX_SAMPLES)
        integer(self.num_classes, "num_classes", 1, MAX_SAMPLES)
        boolean(self.crops, "crops")
        choice(self.mix, "mix", MIXES)
        as_labels(self.labels, self.num_classes)
        if self.mix == "cutmix" or self.size is not None:
            if not isinstance(self.size, (tuple, list)) or len(self.size) != 2:
                raise ValueError(
                    f"size must be (height, width) with mix={self.mix!r}, got {self.size!r}"
                )
            for length in self.size:
                integer(length, "size", 1, 2**31 - 1)

    def to_json(self) -> dict[str, object]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, object]) -> Facts:
        """Make the facts that `to_json` gave."""
        fields: Any = _FIELDS(given, "facts")
        size = fields["size"]
        return cls(**{**fields, "size": None if size is None else tuple(size)})

    def differences(self, other: Facts) -> str:
        """Say what differs from `other`: "labels is 'fp16' and not 'uint8', ..."."""
        theirs = asdict(other)
        return ", ".join(
            f"{name} is {value!r} and not {theirs[name]!r}"
            for name, value in asdict(self).items()
            if value != theirs[name]
        )

    @property
    def codec(self) -> Labels:
        """How logits become columns, and back."""
        return as_labels(self.labels, self.num_classes)

    def view_columns(self) -> Columns:
        """Columns that say what the teacher looked at."""
        crop: Columns = {"crop": ("float32", (4,)), "flip": ("bool", ())} if self.crops else {}
        if self.mix == "none":
            return crop
        columns = {**crop, "partner": ("int64", ()), "lam": ("float64", ())}
        columns |= {f"partner_{name}": kind for name, kind in crop.items()}
        return columns | ({"box": ("int32", (4,))} if self.mix == "cutmix" else {})

    def check_view(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Raise unless rows of view columns are of samples, and inside of their images."""
        for name in {"crop", "partner_crop"} & set(rows):
            crop = rows[name]
            fits = (crop[:, :2] >= 0).all(1) & (crop[:, 2:] > 0).all(1)
            fits &= (crop[:, :2] + crop[:, 2:] <= 1 + _SLACK).all(1)
            if not fits.all():
                raise ValueError(
                    f"{name} must be (top, left, height, width) inside of [0, 1], got "
                    f"{crop[~fits][0].tolist()}"
                )
        if "partner" in rows:
            partner, lam, n = rows["partner"], rows["lam"], self.num_samples
            if not ((partner >= 0) & (partner < n)).all():
                raise IndexError(f"partner must hold ids in [0, {n})")
            if not ((lam >= 0) & (lam <= 1)).all():
                raise ValueError(f"lam must be in [0, 1], got {lam[~((lam >= 0) & (lam <= 1))][0]}")
        if "box" in rows and self.size is not None:
            box, size = rows["box"], np.array(self.size)
            fits = (box[:, :2] >= 0).all(1) & (box[:, :2] <= box[:, 2:]).all(1)
            fits &= (box[:, 2:] <= size).all(1)
            if not fits.all():
                raise ValueError(
                    f"box must be (x1, y1, x2, y2) inside of {size.tolist()}, got "
                    f"{box[~fits][0].tolist()}"
                )

    def columns(self) -> Columns:
        """All columns, those of wide elements first: each then lies aligned after the other."""
        columns = {**self.view_columns(), **self.codec.columns()}
        return dict(sorted(columns.items(), key=lambda item: -np.dtype(item[1][0]).itemsize))


def fingerprint(labels: ArrayLike, names: Iterable[str | bytes] = ()) -> str:
    """Identity of a data set: its labels in order, and the names of its files where it has any.

    Parameters
    ----------
    labels : int[N]
    names : iterable of str or bytes
        Below the root of the data set, so that it may be moved.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.payload.fingerprint([0, 1]) == ds.payload.fingerprint([1, 0])
    False
    """
    identity = hashlib.blake2b(
        array_fingerprint(np.asarray(labels, np.int64)).encode(), digest_size=16
    )
    for name in names:
        identity.update(name if isinstance(name, bytes) else name.encode())
        identity.update(b"\0")
    return identity.hexdigest()
