"""What a loader takes for its payload: a store, or the views that one is made of."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from dynsample.kernels import Array
from dynsample.payload.facts import Facts


class Source(Protocol):
    """A `Store`, or `Views`."""

    facts: Facts

    def batch(self, epoch: int, index: Array) -> dict[str, NDArray[Any]]:
        """Return views, and of a store the logits, of samples `index` in `epoch`."""
        ...


def check_source(source: object, num_samples: int, dataset: object = None) -> None:
    """Raise when a store or views are not of this data set."""
    facts = getattr(source, "facts", None)
    if not isinstance(facts, Facts):
        raise TypeError(f"payload must be a Store or Views, got {type(source).__name__}")
    if facts.num_samples != num_samples:
        raise ValueError(
            f"payload is of {facts.num_samples} samples, the data set has {num_samples}"
        )
    fingerprint = getattr(dataset, "fingerprint", None)
    if isinstance(fingerprint, str) and hasattr(source, "check_fingerprint"):
        source.check_fingerprint(fingerprint)
