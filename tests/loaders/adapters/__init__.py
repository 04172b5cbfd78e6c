"""One module per loader: how the contract test opens it.

A module has

* `VARIANTS`, a dict of name -> keyword arguments of `open_loader`: ways of running the loader that
  all must pass;
* `PREFETCH`, a tuple of prefetch depths to try;
* `FILES`, whether samples are read from their own files while iterating; then also `GOES_ON`,
  whether a batch that cannot be read is gone and the loop goes on behind it, or comes again;
* optionally `STOCK`, the variants that run somebody else's loader, which takes what it drew for
  received and cannot go on after an error;
* `open_loader(tree, sampler, *, prefetch=None, **variant) -> OpenLoader`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Batch(NamedTuple):
    """What one batch said: int64[B] each, copied, so that it stays what it was.

    Attributes
    ----------
    ids : read off the pixels
    labels : as the loader gave them
    index : as the loader gave it
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    index: NDArray[np.int64]


class OpenLoader(Protocol):
    """A loader at work."""

    def __iter__(self) -> Iterator[Batch]:
        """Iterate the kept samples; leaving the iterator early ends what it started."""
        ...

    def hidden(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Iterate the hidden samples."""
        ...

    def __len__(self) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def close(self) -> None:
        """Give everything back: threads, processes, files."""
        ...


class Opened:
    """An `OpenLoader` over a loader of dynsample, whose batches `form` reads."""

    def __init__(self, loader: Any, form: Callable[[Any], Batch]) -> None:
        self._loader, self._form = loader, form

    def __iter__(self) -> Iterator[Batch]:
        return map(self._form, self._loader)

    def hidden(self, batch_size: int | None = None) -> Iterator[Batch]:
        return map(self._form, self._loader.hidden(batch_size))

    def all(self, batch_size: int | None = None) -> Iterator[Batch]:
        """Iterate every sample once."""
        return map(self._form, self._loader.all(batch_size))

    def peek(self, n: int) -> list[Batch]:
        """Look at the next batches."""
        return [self._form(batch) for batch in self._loader.peek(n)]

    def lengths(self, batch_size: int | None = None) -> tuple[int, int]:
        """Count the batches of the hidden pass and of `all`, as the loader says it."""
        return len(self._loader.hidden(batch_size)), len(self._loader.all(batch_size))

    @property
    def attributes(self) -> tuple[Any, int]:
        """Sampler and batch size, as scripts read them off a loader."""
        return self._loader.sampler, self._loader.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Name an epoch."""
        self._loader.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._loader)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = self._loader.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._loader.load_state_dict(state)

    def close(self) -> None:
        del self._loader
