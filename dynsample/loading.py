"""What every loader that follows a sampler has: the epoch's calls, and the loop that hands out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from dynsample.kernels.checks import MAX_SAMPLES
from dynsample.run.views import AllView, HiddenView, PeekView
from dynsample.sampler import Sampler

if TYPE_CHECKING:
    from dynsample.run.batches import BatchIterator
    from dynsample.run.views import LookIterator

    Source: TypeAlias = Sampler | HiddenView | AllView | PeekView
    # What draws the ids, the batches that are made of them, and what ends their making.
    Opened: TypeAlias = tuple[BatchIterator | LookIterator, Iterator[Any], Callable[[], None]]


def checked_sampler(sampler: object, hint: str = "") -> Sampler:
    """Return what is a sampler.

    Raises
    ------
    TypeError
        For anything else; it ends with the hint.
    """
    if not isinstance(sampler, Sampler):
        kind = type(sampler).__name__
        raise TypeError(f"sampler must be a dynsample.Sampler, got {kind}{hint}")
    return sampler


class Following:
    """Calls of a loader whose `_followed` sampler says what comes.

    A loader gives the sampler, and `_loop(source)`, which iterates batches of one of its views.
    """

    follows = True  # whether there is a sampler that it follows
    _most = MAX_SAMPLES  # rows that a batch of another size may have

    def _followed(self, what: str) -> Sampler:
        raise NotImplementedError

    def _loop(self, source: Source) -> Iterator[Any]:
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Call `Sampler.set_epoch`; collective."""
        self._followed("set_epoch").set_epoch(epoch)

    def hidden(self, batch_size: int | None = None) -> Iterator[Any]:
        """Iterate the hidden samples of the epoch, as batches like those of the loader.

        Parameters
        ----------
        batch_size : int, optional
            By default the sampler's; a pass without gradients often affords more.
        """
        return self._loop(HiddenView(self._followed("hidden").run, batch_size, self._most))

    def all(self, batch_size: int | None = None) -> Iterator[Any]:
        """Iterate every sample once, by ascending id: to score or to evaluate by.

        Without weights, without drop_last, and without a trace in the epoch; observing it is
        refused, and so is `all` while another pass of this loader is iterated.

        Parameters
        ----------
        batch_size : int, optional
            By default the sampler's.
        """
        return self._loop(AllView(self._followed("all").run, batch_size, self._most))

    def peek(self, n: int = 1) -> list[Any]:
        """Look at the next `n` batches of the kept samples; nothing moves.

        Fewer at the end of an epoch. They are not to be observed.
        """
        return list(self._loop(PeekView(self._followed("peek").run, n)))

    def state_dict(self) -> dict[str, Any]:
        """Position of the sampler: batches that your loop received, not those prefetched."""
        return self._followed("state_dict").state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave."""
        self._followed("load_state_dict").load_state_dict(state)


class Loops:
    """The loops over one loader, which count what their users receive.

    Parameters
    ----------
    shared : str, optional
        What all loops share, so that one has to end before another can begin; None: nothing.
    """

    def __init__(self, shared: str | None = None) -> None:
        self.shared = shared
        self._open: list[object] = []
        self._latest: object = None

    def run(self, source: Source, begin: Callable[[Source], Opened]) -> Generator[Any, None, None]:
        """Hand out the batches of `source`, counting each as received."""
        looks = isinstance(source, (AllView, PeekView))
        if self._open and (isinstance(source, AllView) or (looks and self.shared)):
            name = "all" if isinstance(source, AllView) else "peek"
            raise RuntimeError(
                f"{name}() while another pass of this loader is being iterated: finish or drop its "
                "iterator first"
            )
        this = object()
        try:
            self._open.append(this)
            self._latest = this
            ids, batches, end = begin(source)
            try:
                while True:
                    ids.check()
                    self._check_latest(this)
                    try:
                        batch = next(batches)
                    except StopIteration:
                        return
                    yield ids.received(batch)
            finally:
                ids.close()
                if self.shared is None or self._latest is this:
                    end()
        finally:
            self._open.remove(this)

    def _check_latest(self, this: object) -> None:
        if self.shared is not None and self._latest is not this:
            raise RuntimeError(
                f"a pass was left for another one on {self.shared}: finish one before the other"
            )
