"""Grain's pipelines over the plan of a sampler: a MapDataset of samples with their ids."""

from __future__ import annotations

import operator
import sys
from typing import Protocol

try:
    import grain
except ImportError as error:
    raise ImportError(
        f"dynsample.grain needs Grain, which cannot be imported ({error}): "
        'pip install "dynsample[grain]"'
    ) from error

from dynsample.loading import checked_sampler
from dynsample.run import handout
from dynsample.sampler import Sampler

__all__ = ["dataset"]

_ONE = grain.MapDataset.range(1)
# What has another sample at the same place in another epoch.
_REORDER = tuple(
    type(one)
    for one in (
        _ONE.shuffle(0),
        grain.MapDataset.mix([_ONE]),
        grain.experimental.WindowShuffleMapDataset(_ONE, window_size=1, seed=0),
    )
)


class Source(Protocol):
    """Samples by id, as Grain reads them."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> object: ...


def dataset(source: Source, sampler: Sampler, *, hidden: bool = False) -> grain.MapDataset:
    """Return the present epoch's samples in their order, each with its id.

    Call `sampler.set_epoch` first, and this again in every epoch: like any MapDataset it does not
    change. Every process calls it; slice it for shards, as in `ds[shard::count]`.

    Parameters
    ----------
    source : MapDataset, data source or sequence
        All `sampler.num_samples` samples. Random transformations belong here: they are drawn
        by sample, and anew in every epoch.
    sampler : Sampler
        Made with `issue="external"`.
    hidden : bool
        Give the hidden samples of the epoch, to look at after it, in place of the others.

    Returns
    -------
    grain.MapDataset
        Of `(sample, id)`; None where the source has None. It travels to worker processes with its
        ids and the source, without the sampler.

    Raises
    ------
    TypeError, ValueError
        For another source or sampler, one that was given to an
        `IndexSampler(skips="sampler")`, and a source that is shuffled or mixed.
    RuntimeError
        When JAX has more processes than the ranks that `group="auto"` found.
    IndexError
        Of the data set, for a place beyond its end, as behind `repeat`.
    RuntimeError
        Of the data set, when the sampler has left the epoch; what is prefetched still comes, and
        worker processes do not notice.

    Notes
    -----
    Grain's iterator has the position: its state goes with what `Sampler.save` writes at the same
    step, and back by `set_state` after `Sampler.load`. The order is whole after a load, too. To go
    on with another number of shards use `grain.experimental.ElasticIterator`.
    """
    handout.check_external(checked_sampler(sampler).run)
    samples = _checked(source, sampler.num_samples)
    handout.set_skips(sampler.run, "framework")
    order = handout.Whole(sampler.run, hidden=bool(hidden))  # which looks for ranks once more
    _check_ranks(sampler)
    return _Planned(samples, order, sampler.plan.digest)


def _check_ranks(sampler: Sampler) -> None:
    """Raise a RuntimeError when there are processes of JAX that were not found as ranks."""
    jax = sys.modules.get("jax")
    if jax is None or not jax.distributed.is_initialized():
        return
    processes, ranks = jax.process_count(), sampler.group.size
    if ranks != processes and (sampler.run.auto or ranks > 1):
        raise RuntimeError(
            f"JAX has {processes} processes, and the sampler {ranks} of them as ranks: pass group=,"
            " an mpi4py communicator or torch process group of all; or, where every process "
            "observes what all had (process_allgather), group=dynsample.groups.single()"
        )


def _checked(source: Source, num_samples: int) -> grain.MapDataset:
    """Return a source as a MapDataset, when it has each sample at its id."""
    if not hasattr(source, "__len__") or not hasattr(source, "__getitem__"):
        raise TypeError(
            "source must be a MapDataset, or have __len__ and __getitem__, got "
            f"{type(source).__name__}: a sampler asks for samples by their ids"
        )
    if len(source) != num_samples:
        raise ValueError(
            f"source has {len(source)} samples, the sampler was made for {num_samples}"
        )
    if not isinstance(source, grain.MapDataset):
        return grain.MapDataset.source(source)
    above = [source]
    for node in above:
        if isinstance(node, _REORDER):
            raise ValueError(
                "source must have each sample at its id in every epoch, got a "
                f"{type(node).__name__} in it: leave shuffle and mix out, the sampler decides"
            )
        above.extend(node.parents)
    return source


class _Planned(grain.MapDataset):
    """Samples in the order of a plan, with their ids."""

    def __init__(self, source: grain.MapDataset, order: handout.Whole, digest: str) -> None:
        super().__init__(source)
        self._ids, self._digest = order.ids, digest
        self._first = order.number * len(source)  # as Grain counts epochs
        self._order: handout.Whole | None = order  # None in another process

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"dynsample.grain.dataset(plan {self._digest}, {len(self)} samples)"

    __str__ = __repr__

    def __getitem__(self, index: int | slice) -> object:
        if isinstance(index, slice):
            return self.slice(index)
        if self._order is not None:
            self._order.check()
        place = operator.index(index)
        if not -len(self) <= place < len(self):
            raise IndexError(
                f"index must be in [-{len(self)}, {len(self)}), got {place}: this is one epoch. In "
                "place of repeat() call sampler.set_epoch and dynsample.grain.dataset for the next"
            )
        number = int(self._ids[place])
        sample = self.parents[0][self._first + number]
        return None if sample is None else (sample, number)
