"""How a pipeline gets from ids to encoded images: by our operator, or from what is fed to it."""

from __future__ import annotations

from typing import Any, Protocol

from nvidia.dali import fn, types

from dynsample.dali import operator
from dynsample.dali.feed import Ids, padded_paths
from dynsample.dali.held import Held
from dynsample.files import Samples

Kind = tuple[Any, int]  # of a fed input: dtype and number of dimensions


class Reading(Protocol):
    """A way of reading.

    Attributes
    ----------
    kinds : list of Kind
        Of the inputs for a batch of ids; the last is the ids themselves.
    image_kinds : list of Kind
        Of the inputs for images alone.
    """

    kinds: list[Kind]
    image_kinds: list[Kind]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return the inputs for these ids."""
        ...

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Return nodes of encoded images and labels, from those of the inputs."""
        ...

    def image_inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return the inputs for the images of these ids."""
        ...

    def read_images(self, nodes: list[Any]) -> Any:
        """Return a node of encoded images, from those of the image inputs."""
        ...


class Native:
    """Our operator, which reads by id."""

    def __init__(self, samples: Held, name: str | None) -> None:
        self._options: dict[str, Any] = {"table": samples.handle}
        self._name = {} if name is None else {"name": name}
        self.kinds: list[Kind] = [(types.INT64, 1)]
        self.image_kinds = self.kinds

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return the ids."""
        return (ids[:, None],)

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Return nodes of encoded images and labels."""
        operators: Any = fn  # which has ours since it was loaded
        encoded, label = operators.dynsample.read(nodes[0], **self._options, **self._name)
        return encoded, label

    def image_inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return the ids."""
        return self.inputs(ids)

    def read_images(self, nodes: list[Any]) -> Any:
        """Return a node of encoded images."""
        operators: Any = fn
        return operators.dynsample.read(nodes[0], **self._options)[0]


class InPython:
    """What DALI has: paths for its file reader, or the bytes."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._by_path = samples.pack is None and operator.fallback() == "io.file.read"
        self.kinds: list[Kind] = [(types.UINT8, 1), (types.INT32, 1), (types.INT64, 1)]
        self.image_kinds: list[Kind] = [(types.UINT8, 1)]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return paths or bytes, labels and ids."""
        return *self.image_inputs(ids), self._samples.labels[ids, None], ids[:, None]

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Return nodes of encoded images and labels."""
        return self.read_images(nodes[:1]), nodes[1]

    def image_inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Return paths or bytes."""
        if self._by_path:
            return (padded_paths(self._samples, ids),)
        return ([self._samples.read(i) for i in ids],)

    def read_images(self, nodes: list[Any]) -> Any:
        """Return a node of encoded images."""
        return fn.io.file.read(nodes[0]) if self._by_path else nodes[0]
