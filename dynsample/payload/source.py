"""What a loader takes for its payload: a store, or the views that one is made of."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from dynsample.payload.facts import Facts


class Source(Protocol):
    """A `Store`, or `Views`."""

    facts: Facts

    def batch(self, epoch: int, index: Any) -> dict[str, NDArray[Any]]:
        """Return views, and of a store the logits, of samples `index` in `epoch`."""
        ...


def check_source(source: Any, num_samples: int, dataset: Any = None) -> None:
    """Raise when a store or views are not of this data set."""
    if not isinstance(getattr(source, "facts", None), Facts):
        raise TypeError(f"payload must be a Store or Views, got {type(source).__name__}")
    if source.facts.num_samples != num_samples:
        raise ValueError(
            f"payload is of {source.facts.num_samples} samples, the data set has {num_samples}"
        )
    fingerprint = getattr(dataset, "fingerprint", None)
    if isinstance(fingerprint, str) and hasattr(source, "check_fingerprint"):
        source.check_fingerprint(fingerprint)
