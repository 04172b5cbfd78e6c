"""FFCV's loader gives a store's logits, and says that it cannot give the views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ffcv")

import adapters.ffcv as adapter
from images import write_tree

import dynsample as ds
from dynsample.ffcv import Loader
from dynsample.payload import Facts, Store, Views, Writer

N, CLASSES, EPOCHS = 23, 5, 2

pytestmark = pytest.mark.filterwarnings("ignore:nothing was observed:RuntimeWarning")


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory) -> str:
    return adapter.write(write_tree(tmp_path_factory.mktemp("images") / "tree", N))


def write(path: Path, num_samples: int = N, **facts: Any) -> tuple[Store, np.ndarray]:
    kind = Facts(num_samples, CLASSES, **facts)
    said = np.arange(EPOCHS * num_samples * CLASSES, dtype=np.float32).reshape(EPOCHS, -1, CLASSES)
    index, writer = np.arange(num_samples), Writer(path, kind)
    for epoch in writer.missing(EPOCHS):
        with writer.epoch(epoch) as rows:
            rows.add(index, said[epoch], **Views(kind).batch(epoch, index))
    return Store(path), said


def test_the_logits_of_whole_images_come_before_the_index(beton: str, tmp_path: Path) -> None:
    store, said = write(tmp_path, crops=False)
    sampler = ds.Sampler(N, batch_size=6)
    loader = Loader(beton, 6, 1, sampler=sampler, payload=store, extras={"id": np.arange(N)})
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for _, _, same, logits, index in loader:
            assert (same == index).all()
            np.testing.assert_array_equal(logits.numpy(), said[epoch, index])


def test_a_store_with_views_is_warned_of(beton: str, tmp_path: Path) -> None:
    store, _ = write(tmp_path, mix="mixup")
    with pytest.warns(RuntimeWarning, match=r"FFCV takes no crop, flip or partner .* logits of"):
        Loader(beton, 6, 1, sampler=ds.Sampler(N, batch_size=6), payload=store)


def test_a_payload_that_does_not_fit_is_refused(beton: str, tmp_path: Path) -> None:
    store, _ = write(tmp_path, 7, crops=False)
    sampler = ds.Sampler(N, batch_size=6)
    with pytest.raises(ValueError, match="payload is of 7 samples, the data set has 23"):
        Loader(beton, 6, 1, sampler=sampler, payload=store)
    with pytest.raises(TypeError, match="payload must be a Store, got Views"):
        Loader(beton, 6, 1, sampler=sampler, payload=Views(Facts(N, CLASSES)))
    with pytest.raises(TypeError, match="payload is rows by index: it needs sampler or policy"):
        Loader(beton, 6, 1, payload=store)
