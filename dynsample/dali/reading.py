"""How a pipeline gets from ids to encoded images: by our operator, or from what is fed to it."""

from __future__ import annotations

from typing import Any, Protocol

from nvidia.dali import fn, types

from dynsample.dali import operator
from dynsample.dali.feed import Ids, native_table, padded_paths
from dynsample.files import Samples

Kind = tuple[Any, int]  # of a fed input: dtype and number of dimensions


class Reading(Protocol):
    """A way of reading.

    Attributes
    ----------
    kinds : list of Kind
        Of the inputs for a batch of ids; the last is the ids themselves.
    """

    kinds: list[Kind]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Give the inputs for these ids."""
        ...

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Give nodes of encoded images and labels, from those of the inputs."""
        ...


class Native:
    """Our operator, which reads by id."""

    def __init__(self, samples: Samples, name: str | None) -> None:
        native = operator.library()
        assert native is not None
        self._options: dict[str, Any] = {"table": native_table(native, samples)}
        self._name = {} if name is None else {"name": name}
        self.kinds: list[Kind] = [(types.INT64, 1)]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Give the ids."""
        return (ids[:, None],)

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Give nodes of encoded images and labels."""
        name, self._name = self._name, {}  # that of the reader of the batch's own samples
        operators: Any = fn  # which has ours since it was loaded
        encoded, label = operators.dynsample.read(nodes[0], **self._options, **name)
        return encoded, label


class InPython:
    """What DALI has: paths for its file reader, or the bytes."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._by_path = samples.pack is None and operator.fallback() == "io.file.read"
        self.kinds: list[Kind] = [(types.UINT8, 1), (types.INT32, 1), (types.INT64, 1)]

    def inputs(self, ids: Ids) -> tuple[Any, ...]:
        """Give paths or bytes, labels and ids."""
        samples = self._samples
        source = padded_paths(samples, ids) if self._by_path else [samples.read(i) for i in ids]
        return source, samples.labels[ids, None], ids[:, None]

    def read(self, nodes: list[Any]) -> tuple[Any, Any]:
        """Give nodes of encoded images and labels."""
        return fn.io.file.read(nodes[0]) if self._by_path else nodes[0], nodes[1]
