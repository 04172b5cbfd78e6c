"""Readers for any pipeline, in the order of a sampler: in place of `fn.readers.file`."""

from __future__ import annotations

import os
from typing import Any

from nvidia.dali import Pipeline, fn

from dynsample.dali import operator
from dynsample.dali.answers import refuse_debug
from dynsample.dali.feed import Feed, attach
from dynsample.dali.held import hold
from dynsample.dali.reading import InPython, Kind, Native, Reading
from dynsample.dali.replay import ViewInputs
from dynsample.files import Samples, open_samples
from dynsample.files.pack import open_pack
from dynsample.loading import checked_sampler
from dynsample.payload.source import Source, check_source
from dynsample.run.state import bring
from dynsample.sampler import Sampler

_DECIDED = {
    "random_shuffle": "the sampler decides the order",
    "shuffle_after_epoch": "the sampler decides the order",
    "initial_fill": "the sampler decides the order",
    "shard_id": "the sampler's group decides what a rank reads",
    "num_shards": "the sampler's group decides what a rank reads",
    "stick_to_shard": "the sampler's group decides what a rank reads",
    "pad_last_batch": "Sampler(drop_last=) decides how an epoch ends",
    "read_ahead": "the pipeline's prefetch_queue_depth decides it",
    "prefetch_queue_depth": "the pipeline's prefetch_queue_depth decides it",
    "skip_cached_images": "an epoch issues what was planned",
    "seed": "Sampler(seed=) decides it",
}


def file(
    *,
    sampler: Sampler,
    file_root: str | os.PathLike[str] | None = None,
    file_list: str | os.PathLike[str] | None = None,
    name: str | None = None,
    payload: Source | None = None,
    **others: Any,
) -> tuple[Any, ...]:
    """Read image files in the order of `sampler`.

    Parameters
    ----------
    sampler : Sampler
        Made for as many samples as there are files.
    file_root : path, optional
        A folder of class folders, labelled in the order of their bytes; an empty one keeps its
        label. With a `file_list`, the folder that its paths are below.
    file_list : path, optional
        A path, white space and a label on every line. Paths may hold spaces, and a leading slash,
        which counts for nothing; without `file_root` they are below the folder of the list.
    name : str, optional
        Of the reader; an iterator that is given `reader_name` compares it.
    payload : Store or Views, optional
        What a teacher saw, see `dynsample.payload`.

    Returns
    -------
    encoded, label, index : DataNode
        uint8[bytes], int32[1] and int64[1] of every sample, all on the CPU. Return the index from
        the pipeline after its other outputs. With `payload` a `Replay` comes before the index.
    """
    _refuse(others, "readers.file")
    return _read(open_samples(file_root, file_list), sampler, name, "the files", payload)


def packed(
    *,
    sampler: Sampler,
    path: str | os.PathLike[str],
    name: str | None = None,
    verify: bool = True,
    payload: Source | None = None,
    **others: Any,
) -> tuple[Any, ...]:
    """Read a file of `dynsample pack` in the order of `sampler`; see `file` for what it returns.

    Parameters
    ----------
    sampler : Sampler
    path : path
    name : str, optional
    verify : bool
        Compare every image with its checksum now, which reads the whole file once.
    payload : Store or Views, optional
    """
    _refuse(others, "readers.packed")
    return _read(open_pack(path, verify=verify), sampler, name, str(path), payload)


def _refuse(others: dict[str, Any], where: str) -> None:
    for name, value in others.items():
        if name not in _DECIDED:
            raise TypeError(f"{where} got an unexpected argument {name}={value!r}")
        raise TypeError(f"delete {name}={value!r} from {where}: {_DECIDED[name]}")


def _read(
    samples: Samples, sampler: Sampler, name: str | None, what: str, payload: Source | None
) -> tuple[Any, ...]:
    checked_sampler(sampler).run.check_deals()
    if len(samples) != sampler.num_samples:
        raise ValueError(
            f"the sampler was made for {sampler.num_samples} samples, {what} hold {len(samples)}"
        )
    if payload is not None:
        check_source(payload, len(samples))
    if Pipeline.current() is None:
        raise RuntimeError("a reader belongs into the definition of a pipeline")
    refuse_debug(Pipeline.current())
    reading: Reading = InPython(samples)
    if native := operator.library():
        samples = held = hold(native, samples)
        reading = Native(held, name)
    bring(sampler.run, lambda: samples.fingerprint)
    if payload is None:
        feed = Feed(sampler, samples, name, reading.inputs)
        nodes = _source(feed, reading.kinds)
        return (*reading.read(nodes), nodes[-1])
    view = ViewInputs(payload, sampler, reading)
    feed = Feed(sampler, samples, name, view.inputs, view.partners)
    nodes = _source(feed, view.kinds)
    own = nodes[: len(reading.kinds)]
    return (*reading.read(own), view.replay(nodes[len(own) :]), own[-1])


def _source(feed: Feed, kinds: list[Kind]) -> list[Any]:
    attach(Pipeline.current(), feed)
    dtypes, ndims = [dtype for dtype, _ in kinds], [ndim for _, ndim in kinds]
    nodes = fn.external_source(
        source=feed, num_outputs=len(kinds), batch=True, dtype=dtypes, ndim=ndims
    )
    return list(nodes)
