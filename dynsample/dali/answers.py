"""What scripts ask of a pipeline that a sampler feeds, and DALI would answer wrongly."""

from __future__ import annotations

import weakref
from typing import Any, NoReturn

from nvidia.dali import Pipeline

from dynsample.sampler import Sampler

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

    def reader_meta(name: str | None = None) -> Any:
        """Return what is known of a reader, or by name of all of them."""
        if name == ours:
            return _meta(sampler)
        found = kind.reader_meta(held(), name)
        return found if name is not None else {**found, ours: _meta(sampler)}

    def epoch_size(name: str | None = None) -> Any:
        """Return the size of a reader's epoch over all ranks, or by name of all of them."""
        found = reader_meta(name)
        if name is not None:
            return found["epoch_size_padded"]
        return {reader: meta["epoch_size_padded"] for reader, meta in found.items()}

    def run(*_: Any, **__: Any) -> NoReturn:
        """Say who runs the pipeline."""
        raise RuntimeError(NOT_RUN)

    pipeline.reader_meta, pipeline.epoch_size, pipeline.run = reader_meta, epoch_size, run


def _meta(sampler: Sampler) -> dict[str, int]:
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
