"""The DALI iterators over files, with the native operator and without it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import nvidia.dali
from images import ImageTree, read_ids
from nvidia.dali import Pipeline, fn, pipeline_def

import dynsample as ds
import dynsample.dali as dali
from adapters import Batch, Opened
from dynsample.dali.operator import SWITCH
from dynsample.files import from_folders, pack

VARIANTS: dict[str, dict[str, Any]] = {
    "operator": {"operator": "on"},
    "no operator": {"operator": "off"},
    "hidden pipeline": {"operator": "on", "hidden_pipeline": True},
    "old executor": {"operator": "on", "exec_async": False, "exec_pipelined": False},
}
if hasattr(Pipeline, "checkpoint"):
    VARIANTS["checkpoints"] = {"operator": "on", "enable_checkpointing": True}
if not hasattr(Pipeline, "_prefetch_inputs"):  # see dynsample.dali.iterators
    VARIANTS["separate queues"] = {"operator": "on", "prefetch": {"cpu_size": 3, "gpu_size": 2}}
if nvidia.dali.__version__ >= "2":
    VARIANTS["static executor"] = {"operator": "on", "exec_dynamic": False}
PREFETCH = (1, 4)
FILES = True
GOES_ON = False


class OpenDali(Opened):
    """Opens a second pipeline for a pass with larger batches than the first one has."""

    def __init__(self, tree: ImageTree, sampler: ds.Sampler, options: dict[str, Any]) -> None:
        self._open = lambda **more: make_iterator(tree, sampler, **{**options, **more})
        super().__init__(self._open(), _batch)
        self._wide: Any = None

    def hidden(self, batch_size: int | None = None) -> Iterator[Batch]:
        if batch_size is None or batch_size <= self._loader.batch_size:
            return super().hidden(batch_size)
        self._wide = self._wide or self._open(hidden_pipeline=True)
        return map(_batch, self._wide.hidden(batch_size))

    def close(self) -> None:
        super().close()
        del self._wide


def _batch(batch: list[dict[str, Any]]) -> Batch:
    (outputs,) = batch
    assert set(outputs) == {"data", "label", "index"}
    labels, index = outputs["label"].numpy(), outputs["index"].numpy()
    return Batch(read_ids(outputs["data"].numpy()), labels[:, 0].astype(np.int64), index.copy())


@pipeline_def
def images(tree: ImageTree, sampler: ds.Sampler, packed: bool) -> Any:
    if packed:
        encoded, label, index = dali.readers.packed(sampler=sampler, path=pack_of(tree))
    else:
        encoded, label, index = dali.readers.file(sampler=sampler, file_root=tree.root)
    return fn.decoders.image(encoded, device="cpu"), label, index


def pack_of(tree: ImageTree) -> Path:
    path = tree.root.with_suffix(".pack")
    if not path.exists():
        pack.write(from_folders(tree.root), path)
    return path


@contextlib.contextmanager
def switched(operator: str) -> Iterator[None]:
    """Switch the native operator "on" or "off" for pipelines that are defined inside."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = operator
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before


def make_iterator(
    tree: ImageTree,
    sampler: ds.Sampler,
    *,
    operator: str,
    packed: bool = False,
    hidden_pipeline: bool = False,
    **options: Any,
) -> dali.DALIClassificationIterator:
    def pipeline(batch_size: int) -> Pipeline:
        built: Pipeline = images(
            tree, sampler, packed, batch_size=batch_size, num_threads=2, device_id=None, **options
        )
        return built

    with switched(operator):
        return dali.DALIClassificationIterator(
            pipeline(sampler.batch_size),
            sampler=sampler,
            hidden_pipeline=pipeline(4 * sampler.batch_size) if hidden_pipeline else None,
        )


def open_loader(
    tree: ImageTree, sampler: ds.Sampler, *, prefetch: Any = None, **variant: Any
) -> OpenDali:
    """Open an iterator over a pipeline that decodes on the CPU."""
    if prefetch is not None and variant.get("exec_pipelined", True):
        variant["prefetch_queue_depth"] = prefetch
    return OpenDali(tree, sampler, variant)
