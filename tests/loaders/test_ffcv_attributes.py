"""What is set on FFCV's Loader, or read off it, when it follows a sampler."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds

pytest.importorskip("ffcv", reason="FFCV is not installed", exc_type=ImportError)

import ffcv.loader
from adapters.ffcv import write
from images import write_tree

from dynsample.ffcv import Loader, OrderOption

N, BATCH = 21, 4

pytestmark = pytest.mark.filterwarnings("ignore:nothing was observed:RuntimeWarning")


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(write_tree(tmp_path_factory.mktemp("ffcv") / "tree", N))


@pytest.fixture(scope="module")
def loader(beton: str) -> Loader:
    sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.5), BATCH)
    return Loader(beton, BATCH, num_workers=1, sampler=sampler)


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("indices", np.arange(5), r"make Sampler\(subset=\.\.\.\), or Loader\(indices="),
        ("traversal_order", object(), r"make Sampler\(order=\.\.\.\)"),
        ("order", OrderOption.SEQUENTIAL, r"make Sampler\(order=\.\.\.\)"),
        ("batch_size", 2, r"make Sampler\(batch_size=\.\.\.\); hidden\(\) and all\(\)"),
        ("drop_last", True, r"make Sampler\(drop_last="),
        ("seed", 3, r"make Sampler\(seed="),
        ("distributed", True, r"make Sampler\(group="),
        ("next_epoch", 3, r"call loader\.set_epoch\(epoch\)"),
        ("first_traversal_order", np.arange(5), r"sampler\.plan\.order is that of the epoch"),
        ("policy", ds.Uniform(), "make another Loader"),
        ("fname", "other.beton", "make another Loader"),
        ("pipelines", {}, "make another Loader"),
        ("os_cache", False, "make another Loader"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_sampler_decides_cannot_be_set(
    loader: Loader, name: str, value: Any, cure: str
) -> None:
    with pytest.raises(AttributeError, match=f"{name} cannot be set, as .* a sampler: {cure}"):
        setattr(loader, name, value)
    ids = [i for *_, index in loader for i in index.tolist()]
    assert ids == loader.sampler.plan.order.tolist()
    assert len(ids) == N - N // 2


def test_what_is_set_and_followed_may_be_set(loader: Loader) -> None:
    loader.num_workers, loader.batches_ahead, loader.recompile = 2, 1, False
    loader.extras = {}
    loader.anything = 7  # of the user's own
    assert len(list(loader)) == len(loader)


@pytest.mark.parametrize(
    ("read", "cure"),
    [
        (lambda loader: loader.next_epoch, r"loader\.sampler\.epoch is the current one"),
        (lambda loader: loader.traversal_order, r"sampler\.plan\.order"),
        (lambda loader: loader.first_traversal_order, r"sampler\.plan\.order"),
        (lambda loader: loader.next_traversal_order(), r"sampler\.plan\.order"),
        (lambda loader: loader.nothing, "'Loader' object has no attribute 'nothing'"),
    ],
)
def test_what_would_not_be_true_of_the_epoch_cannot_be_read(
    loader: Loader, read: Any, cure: str
) -> None:
    with pytest.raises(AttributeError, match=cure):
        read(loader)


def test_another_sampler_of_the_same_file_can_be_followed(beton: str) -> None:
    loader = Loader(beton, BATCH, num_workers=1, sampler=ds.Sampler(N, batch_size=BATCH))
    other = ds.Sampler(N, batch_size=BATCH, seed=3, subset=np.array([1, 5, 6]))
    loader.sampler = other
    assert [index.tolist() for *_, index in loader] == [other.plan.order.tolist()]
    assert (loader.seed, loader.indices.tolist()) == (3, [1, 5, 6])
    for wrong, error, message in (
        (None, TypeError, "sampler must be a dynsample.Sampler, got NoneType"),
        (ds.Sampler(N + 1, batch_size=BATCH), ValueError, f"the sampler was made for {N + 1}"),
        (ds.Sampler(N, batch_size=BATCH + 1), ValueError, "batch_size is"),
    ):
        with pytest.raises(error, match=message):
            loader.sampler = wrong
    assert loader.sampler is other


def test_what_is_read_is_that_of_the_sampler(beton: str) -> None:
    loader = Loader(
        beton, BATCH, 1, policy=ds.Uniform(), seed=3, indices=[4, 2, 9], drop_last=False
    )
    assert (loader.seed, loader.drop_last, loader.batch_size) == (3, False, BATCH)
    assert loader.indices.tolist() == [4, 2, 9]
    assert sorted(loader.sampler.plan.order.tolist()) == [2, 4, 9]


def test_without_a_sampler_attributes_are_those_of_ffcv(beton: str) -> None:
    stock, plain = (
        kind(beton, BATCH, num_workers=1, drop_last=False, order=OrderOption.RANDOM, seed=3)
        for kind in (ffcv.loader.Loader, Loader)
    )
    for each in (stock, plain):
        each.batch_size, each.next_epoch = 6, 5
    mine, theirs = ([labels.tolist() for _, labels in each] for each in (plain, stock))
    assert mine == theirs
    assert plain.next_epoch == stock.next_epoch == 6


def test_passes_know_how_many_batches_they_have(beton: str, tmp_path: Path) -> None:
    sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), BATCH)
    loader = Loader(beton, BATCH, num_workers=1, sampler=sampler)
    assert len(loader.hidden()) == 0
    for *_, index in loader:
        ones = np.ones(len(index), np.float32)
        sampler.observe(index, loss=ones, correct=ones, confidence=ones)
    loader.set_epoch(1)
    for size, batches in ((None, 2), (3, 3)):
        sampler.set_epoch(1, restart=True)
        hidden = loader.hidden(size)
        assert len(hidden) == batches
        assert sum(1 for _ in hidden) == len(hidden) == batches
