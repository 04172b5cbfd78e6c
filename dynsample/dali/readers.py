"""Readers for any pipeline, in the order of a sampler: in place of `fn.readers.file`."""

from __future__ import annotations

import os
from typing import Any

from nvidia.dali import Pipeline, fn, types

from dynsample.dali import operator
from dynsample.dali.feed import Feed, Ids, attach, native_table, padded_paths
from dynsample.files import Samples, open_samples
from dynsample.pack import open_pack
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
    **others: Any,
) -> tuple[Any, Any, Any]:
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

    Returns
    -------
    encoded, label, index : DataNode
        uint8[bytes], int32[1] and int64[1] of every sample, all on the CPU. Return the index from
        the pipeline after its other outputs.
    """
    _refuse(others, "readers.file")
    return _read(open_samples(file_root, file_list), sampler, name, "the files")


def packed(
    *,
    sampler: Sampler,
    path: str | os.PathLike[str],
    name: str | None = None,
    verify: bool = True,
    **others: Any,
) -> tuple[Any, Any, Any]:
    """Read a file of `dynsample pack` in the order of `sampler`; see `file` for what it returns.

    Parameters
    ----------
    sampler : Sampler
    path : path
    name : str, optional
    verify : bool
        Compare every image with its checksum now, which reads the whole file once.
    """
    _refuse(others, "readers.packed")
    return _read(open_pack(path, verify=verify), sampler, name, str(path))


def _refuse(others: dict[str, Any], where: str) -> None:
    for name, value in others.items():
        if name not in _DECIDED:
            raise TypeError(f"{where} got an unexpected argument {name}={value!r}")
        raise TypeError(f"delete {name}={value!r} from {where}: {_DECIDED[name]}")


def _read(samples: Samples, sampler: Sampler, name: str | None, what: str) -> tuple[Any, Any, Any]:
    if not isinstance(sampler, Sampler):
        raise TypeError(f"sampler must be a dynsample.Sampler, got {type(sampler).__name__}")
    if len(samples) != sampler.num_samples:
        raise ValueError(
            f"the sampler was made for {sampler.num_samples} samples, {what} hold {len(samples)}"
        )
    pipeline = Pipeline.current()
    if pipeline is None:
        raise RuntimeError("a reader belongs into the definition of a pipeline")
    native = operator.library()
    if native is not None:
        feed = Feed(sampler, samples, name, lambda ids: ids[:, None])
        attach(pipeline, feed)
        index = fn.external_source(source=feed, batch=True, dtype=types.INT64, ndim=1)
        options = {} if name is None else {"name": name}
        table = native_table(native, samples)
        operators: Any = fn  # which has ours since it was loaded
        encoded, label = operators.dynsample.read(index, table=table, **options)
        return encoded, label, index
    by_path = samples.pack is None and operator.fallback() == "io.file.read"

    def inputs(ids: Ids) -> tuple[Any, Any, Any]:
        source = padded_paths(samples, ids) if by_path else [samples.read(i) for i in ids]
        return source, samples.labels[ids, None], ids[:, None]

    feed = Feed(sampler, samples, name, inputs)
    attach(pipeline, feed)
    encoded, label, index = fn.external_source(
        source=feed,
        num_outputs=3,
        batch=True,
        dtype=[types.UINT8, types.INT32, types.INT64],
        ndim=[1, 1, 1],
    )
    return fn.io.file.read(encoded) if by_path else encoded, label, index
