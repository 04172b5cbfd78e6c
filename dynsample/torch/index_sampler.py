"""The order of a sampler id by id, for frameworks that shard, batch and prefetch on their own."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler as TorchSampler

from dynsample.disk.checkpoint import StateError
from dynsample.disk.fields import Check, Mismatch, one_of, record
from dynsample.loading import checked_sampler
from dynsample.run import handout
from dynsample.run.state import State, checked_state
from dynsample.sampler import Sampler

if TYPE_CHECKING:
    from types import FrameType


class _State(TypedDict):
    """Where an iterator is; that of the sampler is not checked here."""

    sampler: State
    skips: str
    hidden: bool


_STATE: Check[_State] = record(
    {"sampler": checked_state, "skips": one_of(*handout.SKIPS), "hidden": one_of(True, False)}
)


class IndexSampler(TorchSampler[int]):
    """The whole order of the epoch as Python ints, the same on every rank.

    For torch's DataLoader as `sampler=`, and for whatever makes loaders of that and deals them to
    ranks. Report what the loop used by `sampler.observe(index)`, on any rank: that is the cursor.

    Parameters
    ----------
    sampler : dynsample.Sampler
        Made with `issue="external"`.
    hidden : bool
        Give the hidden samples of the current epoch, to look at after it, in place of the others.
    skips : "sampler" or "framework"
        Who leaves out, after a load in mid-epoch, what was used before: this sampler, whose order
        then is what was not observed; or the framework, which gets the whole order and draws past
        its beginning (Accelerate's `skip_first_batches`, the Trainer of transformers without
        `ignore_data_skip=True`) or loads `state_dict` (StatefulDataLoader). All that belong to one
        sampler have the same.

    Raises
    ------
    TypeError, ValueError
        For another sampler, or another `skips` than before.

    Notes
    -----
    An order may be begun again as long as nothing of it was observed on this rank and no iterator
    came to its end; after that only when `set_epoch` was called: with the same epoch for what was
    not observed until then, or with the next one. An iterator that another one followed, or whose
    epoch was left, raises when it is asked again.

    Examples
    --------
    >>> import torch
    >>> sampler = ds.Sampler(4, batch_size=2, issue="external")
    >>> dataset = torch.utils.data.TensorDataset(torch.arange(4))
    >>> loader = torch.utils.data.DataLoader(dataset, sampler=IndexSampler(sampler), batch_size=2)
    >>> sorted(int(value) for (values,) in loader for value in values)
    [0, 1, 2, 3]
    """

    def __init__(self, sampler: Sampler, *, hidden: bool = False, skips: str = "sampler") -> None:
        handout.check_external(checked_sampler(sampler).run)
        self.sampler, self.hidden = sampler, bool(hidden)
        self.skips = handout.set_skips(sampler.run, skips)
        self._start = (-1, 0)  # where the next iterator begins, in which epoch

    def set_epoch(self, epoch: int) -> None:
        """Call `Sampler.set_epoch`; collective, and safe to be called again.

        Of hidden samples it does nothing: they are those of the current epoch.
        """
        if not self.hidden:
            self.sampler.set_epoch(epoch)

    def __iter__(self) -> Generator[int, None, None]:
        """Begin the order, or go on where `load_state_dict` said.

        Raises
        ------
        RuntimeError
            When the order was used, or when the framework is about to skip of what is left.
        """
        if self.skips == "sampler" and (skipped := _batches_to_skip()):
            raise RuntimeError(
                f"the loader skips {skipped} batches, and so does this sampler, which leaves out "
                "what was observed before the load: samples would be lost. Leave the skipping out "
                "(skip_first_batches; with transformers set ignore_data_skip=True), or make "
                'IndexSampler(sampler, skips="framework")'
            )
        (epoch, place), self._start = self._start, (-1, 0)
        start = place if epoch == self.sampler.epoch else 0
        return handout.iterate(self.sampler.run, hidden=self.hidden, start=start)

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Epochs of the plans that the ids of the next iterator are of, int64[M].

        All are of the current one, but with `late` those that come again after a load.
        """
        return handout.epochs(self.sampler.run, hidden=self.hidden)

    def __len__(self) -> int:
        """Ids that the next iterator gives, where it begins at the beginning."""
        return handout.length(self.sampler.run, hidden=self.hidden)

    def __bool__(self) -> bool:
        """Return True, so that `sampler or default` asks for no length."""
        return True

    def state_dict(self) -> dict[str, object]:
        """Position in the epoch: small, JSON-able, of this process; `Sampler.save` has the rest."""
        state = self.sampler.state_dict()
        return {"sampler": state, "skips": self.skips, "hidden": self.hidden}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go to the epoch of a state, and with `skips="framework"` to its place there.

        Raises
        ------
        StateError
            When the state is of another run, plan, or `skips`, or when what was used of its epoch
            is not known here: then `sampler.load(path)` comes first.
        """
        try:
            given = _STATE(state, "the state")
        except Mismatch as error:
            raise StateError(f"not a state of an IndexSampler: {error}") from None
        if (given["skips"], given["hidden"]) != (self.skips, self.hidden):
            raise StateError(
                f"the state is of an IndexSampler with skips={given['skips']!r}, "
                f"hidden={given['hidden']}, this one has skips={self.skips!r}, hidden={self.hidden}"
            )
        position = given["sampler"]
        self.sampler.load_state_dict(position)
        if self.skips == "framework":
            place = position["hidden_positions" if self.hidden else "positions"]
            self._start = position["epoch"], place


def _batches_to_skip() -> int:
    """Return how many batches a loader of Accelerate, which is asking, will throw away."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__") == "accelerate.data_loader":
            skipped = getattr(frame.f_locals.get("self"), "skip_batches", 0)
            if skipped:
                return int(skipped)
        frame = frame.f_back
    return 0
