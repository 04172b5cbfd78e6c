"""What the native operator holds of samples: one copy, for as long as somebody looks at it."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from nvidia.dali import fn, pipeline_def, types

import dynsample as ds
import dynsample.dali as dali
from dynsample import files
from dynsample.dali import operator
from dynsample.dali.feed import feed_of
from dynsample.dali.held import Held, hold
from dynsample.files import pack

NAMES = [b"a/%d.bin" % i for i in range(5)]
LABELS = [4, 0, -1, 2, 7]


@pytest.fixture
def samples(tmp_path: Path) -> files.Samples:
    (tmp_path / "a").mkdir()
    for i, name in enumerate(NAMES):
        (tmp_path / name.decode()).write_bytes(bytes([i]) * (10 + i))
    return files.from_names(tmp_path, NAMES, LABELS)


@pipeline_def(batch_size=5, num_threads=1, device_id=None)
def read_by_handle(handle: int) -> Any:
    ids = fn.external_source(source=lambda: np.arange(5)[:, None], batch=True, dtype=types.INT64)
    encoded, label = fn.dynsample.read(ids, table=handle)
    return encoded, label


def contents(handle: int) -> list[bytes]:
    pipeline = read_by_handle(handle)
    pipeline.build()
    encoded, _ = pipeline.run()
    return [bytes(np.asarray(encoded[i])) for i in range(5)]


def put(path: Path, content: bytes) -> None:
    """Replace a file in one step, as the pipeline reads ahead meanwhile."""
    other = path.with_suffix(".new")
    other.write_bytes(content)
    other.replace(path)


def run_ahead(pipeline: Any) -> Any:
    """Return a batch that was not prefetched before."""
    for _ in range(4):
        batch = pipeline.run()
    return batch


def test_held_samples_are_those_that_were_given(samples: files.Samples) -> None:
    held = hold(operator.load(), samples)
    assert [held.path(i) for i in range(5)] == [samples.path(i) for i in range(5)]
    assert held.labels.tolist() == LABELS
    assert held.fingerprint == samples.fingerprint
    assert contents(held.handle) == [samples.read(i).tobytes() for i in range(5)]
    for array in (held.paths, held.starts, held.labels):
        assert not array.flags.writeable


def test_a_held_pack_is_that_which_was_given(samples: files.Samples, tmp_path: Path) -> None:
    pack.write(samples, tmp_path / "pack")
    held = hold(operator.load(), pack.open_pack(tmp_path / "pack"))
    assert [held.read(i).tobytes() for i in range(5)] == contents(held.handle)
    assert held.fingerprint == samples.fingerprint


def test_the_operator_keeps_samples_until_the_last_view_of_them_is_gone(
    samples: files.Samples,
) -> None:
    held = hold(operator.load(), samples)
    handle, labels = held.handle, held.labels
    part = labels[1:3]
    del held, labels
    gc.collect()
    assert part.tolist() == LABELS[1:3]
    assert len(contents(handle)) == 5
    del part
    gc.collect()
    with pytest.raises((RuntimeError, ValueError), match=f"no table {handle} in this process"):
        contents(handle)


def test_a_pipeline_reads_on_when_all_else_of_its_samples_is_gone(samples: files.Samples) -> None:
    held = hold(operator.load(), samples)
    pipeline = read_by_handle(held.handle)
    pipeline.build()
    del held
    gc.collect()
    encoded, label = pipeline.run()
    assert [int(label.at(i)[0]) for i in range(5)] == LABELS
    assert bytes(np.asarray(encoded[4])) == b"\4" * 14


def test_a_reader_keeps_no_other_copy(
    samples: files.Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(operator.SWITCH, "on")
    root = Path(samples.path(0)).parents[1]
    (root / "list.txt").write_bytes(b"".join(b"%s 1\n" % name for name in NAMES))
    sampler = ds.Sampler(5, batch_size=5, group=ds.groups.single())

    @pipeline_def(batch_size=5, num_threads=1, device_id=None)
    def pipe() -> Any:
        return dali.readers.file(sampler=sampler, file_list=root / "list.txt")

    pipeline = pipe()
    assert isinstance(feed_of(pipeline, "it").samples, Held)
    gc.collect()
    alive = [each for each in gc.get_objects() if type(each) in (files.Samples, Held)]
    here = {id(each) for each in alive if each.path(0) == samples.path(0)}
    assert here == {id(samples), id(feed_of(pipeline, "it").samples)}


@pytest.mark.parametrize("size", [0, 1, 11, 13, 5000])
def test_a_file_of_another_size_than_before_is_an_error(
    samples: files.Samples, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(operator.SWITCH, "on")
    path = Path(samples.path(2))
    pipeline = read_by_handle((held := hold(operator.load(), samples)).handle)
    pipeline.build()
    assert bytes(np.asarray(pipeline.run()[0][2])) == path.read_bytes()
    put(path, b"x" * 12)  # of the same size: it is read
    assert bytes(np.asarray(run_ahead(pipeline)[0][2])) == b"x" * 12
    put(path, b"x" * size)
    with pytest.raises(RuntimeError, match=f"sample 2, {path}: had 12 bytes, and has {size} now"):
        run_ahead(pipeline)
    assert len(held) == 5
