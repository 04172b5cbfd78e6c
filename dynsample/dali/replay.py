"""Crops, flips, partners and logits of a store as nodes of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import fn, types

from dynsample.dali.feed import Ids
from dynsample.dali.reading import Kind, Reading
from dynsample.payload.source import Source
from dynsample.sampler import Sampler

_TYPES = {
    "float16": types.FLOAT16,
    "float32": types.FLOAT,
    "float64": types.FLOAT64,
    "int32": types.INT32,
}


@dataclass(frozen=True)
class Replay:
    """Nodes of what the teacher saw and said.

    Attributes
    ----------
    encoded : DataNode or None
        uint8[bytes] of the partner; None without a mix.
    lam, box : DataNode or None
        With mixup float64[1], with cutmix int32[4]: an output for `dynsample.replay.mix`.
    logits : DataNode or None
        float16[C] or float32[C]; None of `Views`.
    """

    encoded: Any = None
    lam: Any = None
    box: Any = None
    logits: Any = None
    _views: dict[str, Any] = field(default_factory=dict)

    def crop(self, image: Any, size: tuple[int, int]) -> Any:
        """Crop, resize to (height, width) and flip a decoded image, in HWC."""
        return self._show(image, size, "")

    def crop_partner(self, image: Any, size: tuple[int, int]) -> Any:
        """Do the same for the partner, as the teacher saw it."""
        if self.encoded is None:
            raise ValueError("crop_partner needs a payload with a mix, this one has none")
        return self._show(image, size, "partner_")

    def _show(self, image: Any, size: tuple[int, int], whose: str) -> Any:
        if not self._views:  # whole images
            return fn.resize(image, size=list(size))
        view = {name: self._views[whose + name] for name in ("start", "shape", "flip")}
        part = fn.slice(image, rel_start=view["start"], rel_shape=view["shape"], axes=[0, 1])
        return fn.flip(fn.resize(part, size=list(size)), horizontal=view["flip"])


class ViewInputs:
    """What a pipeline is fed for a batch: that of its reader, of the partners, and the payload."""

    def __init__(self, payload: Source, sampler: Sampler, reading: Reading) -> None:
        self._payload, self._sampler, self._reading = payload, sampler, reading
        self._mixed = payload.facts.mix != "none"
        rows = _as_fed(payload.batch(0, np.empty(0, np.int64)))
        self._names = list(rows)
        own = [(_TYPES[values.dtype.name], values.ndim - 1) for values in rows.values()]
        self.kinds: list[Kind] = [
            *reading.kinds,
            *(reading.image_kinds if self._mixed else []),
            *own,
        ]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return the inputs for these ids in the sampler's epoch."""
        rows = self._payload.batch(self._sampler.epoch, ids)
        partners = self._reading.image_inputs(rows["partner"]) if self._mixed else ()
        return (*self._reading.inputs(ids), *partners, *_as_fed(rows).values())

    def partners(self, ids: Ids) -> Ids:
        """Return the samples that are read beside these."""
        if not self._mixed:
            return np.empty(0, np.int64)
        found: Ids = self._payload.batch(self._sampler.epoch, ids)["partner"]
        return found

    def replay(self, nodes: list[Any]) -> Replay:
        """Make the nodes of what follows the reader's own inputs."""
        encoded = None
        if self._mixed:
            count = len(self._reading.image_kinds)
            encoded, nodes = self._reading.read_images(nodes[:count]), nodes[count:]
        named = dict(zip(self._names, nodes, strict=True))
        outputs = {name: named.pop(name, None) for name in ("lam", "box", "logits")}
        return Replay(encoded=encoded, **outputs, _views=named)


def _as_fed(rows: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Rows of a payload in the shapes and dtypes that DALI's operators take."""
    fed = {}
    for name, values in rows.items():
        if name.endswith("crop"):
            whose = name.removesuffix("crop")
            fed[f"{whose}start"] = np.ascontiguousarray(values[:, :2])
            fed[f"{whose}shape"] = np.ascontiguousarray(values[:, 2:])
        elif name.endswith("flip"):
            fed[name] = values.astype(np.int32)
        elif name == "lam":
            if "box" not in rows:  # cutmix takes the box alone
                fed[name] = values[:, None]
        elif name != "partner":
            fed[name] = values
    return fed
