"""What scripts ask of a pipeline that a sampler feeds, and DALI would answer wrongly."""

from __future__ import annotations

import weakref
from typing import NoReturn

from nvidia.dali import Pipeline

from dynsample.sampler import Sampler

Meta = dict[str, int]

UNNAMED = "__DynsampleReader"  # as DALI itself calls a reader that has no name
NOT_RUN = (
    "a pipeline that reads with dynsample.dali.readers is run by dynsample.dali's iterators alone, "
    "as they say which epoch comes: DALIGenericIterator(pipeline, ..., sampler=sampler), and its "
    "peek() to look at a batch"
)
_DEBUG = (
    "a sampler cannot feed a debug pipeline, which defines itself anew for every batch: leave out "
    "debug=True; DALI's dynamic mode runs step by step, see docs/dali.md"
)


def refuse_debug(pipeline: Pipeline) -> None:
    """Raise for a pipeline of DALI's debug mode, whose class is private."""
    if any(kind.__name__ == "_PipelineDebug" for kind in type(pipeline).__mro__):
        raise ValueError(_DEBUG)


def answer(pipeline: Pipeline, sampler: Sampler, name: str | None) -> None:
    """Have `pipeline` speak of our reader as of DALI's own, and say how it is run.

    Its epoch is that of the sampler: the numbers are those of the current one, as with `len`.
    """
    ours, kind = name or UNNAMED, type(pipeline)
    held = weakref.ref(pipeline)  # one that holds itself would outlive its last user

    def one(name: str) -> Meta:
        found: Meta = _meta(sampler) if name == ours else kind.reader_meta(held(), name)
        return found

    def every() -> dict[str, Meta]:
        return {**kind.reader_meta(held()), ours: _meta(sampler)}

    def reader_meta(name: str | None = None) -> Meta | dict[str, Meta]:
        """Return what is known of a reader, or by name of all of them."""
        return every() if name is None else one(name)

    def epoch_size(name: str | None = None) -> int | Meta:
        """Return the size of a reader's epoch over all ranks, or by name of all of them."""
        if name is None:
            return {each: meta["epoch_size_padded"] for each, meta in every().items()}
        return one(name)["epoch_size_padded"]

    def run(*_: object, **__: object) -> NoReturn:
        """Say who runs the pipeline."""
        raise RuntimeError(NOT_RUN)

    pipeline.reader_meta, pipeline.epoch_size, pipeline.run = reader_meta, epoch_size, run


def _meta(sampler: Sampler) -> Meta:
    len(sampler)  # which remembers that a size was told: the next epoch's may differ
    positions, ranks = sampler.plan.num_positions, sampler.group.size
    return {
        "epoch_size": positions,
        "epoch_size_padded": -(-positions // ranks) * ranks,
        "number_of_shards": ranks,
        "shard_id": sampler.group.rank,
        "pad_last_batch": 0,
        "stick_to_shard": 1,
    }
