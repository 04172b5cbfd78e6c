"""Looks at the data through every loader, and its set_epoch: the epoch is not used up by them."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from adapters import Batch
from images import ImageTree, write_tree

import dynsample as ds

N, BATCH = 53, 8
CASES = (("torch", "no workers"), ("torch", "persistent"), ("dali", ""), ("ffcv", ""))

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning",
    "ignore:.*hidden samples were due:RuntimeWarning",
)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("looked_at") / "tree", N)


@pytest.fixture(params=CASES, ids=" ".join)
def opened(request: pytest.FixtureRequest, tree: ImageTree) -> Iterator[Callable[..., Any]]:
    name, variant = request.param
    adapter = importlib.import_module(f"adapters.{name}")
    options = adapter.VARIANTS[variant or next(iter(adapter.VARIANTS))]
    loaders: list[Any] = []

    def open_one(**more: Any) -> tuple[ds.Sampler, Any]:
        sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), BATCH, seed=5, **more)
        loaders.append(adapter.open_loader(tree, sampler, **options))
        return sampler, loaders[-1]

    yield open_one
    for loader in loaders:
        loader.close()


def ids(batches: Any) -> list[int]:
    taken: list[int] = []
    for batch in batches:
        np.testing.assert_array_equal(batch.ids, batch.index)
        taken += batch.index.tolist()
    return taken


def train(sampler: ds.Sampler, loader: Any) -> list[int]:
    def observed(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            ones = np.ones(len(batch.index), np.float32)
            sampler.observe(batch.index, loss=ones, correct=ones, confidence=ones)
            yield batch

    return ids(observed(iter(loader))) + ids(observed(loader.hidden()))


def test_looks_leave_the_epoch_as_it_is(opened: Callable[..., Any]) -> None:
    sampler, loader = opened()
    loader.set_epoch(0)
    assert sorted(train(sampler, loader)) == list(range(N))
    loader.set_epoch(1)
    assert len(loader) < 7
    state = sampler.state_dict()
    assert ids(loader.all()) == list(range(N))
    assert ids(loader.all(5)) == list(range(N))
    peeked = ids(loader.peek(2))
    assert sampler.state_dict() == state
    kept = ids(loader)
    assert kept[: 2 * BATCH] == peeked
    assert kept == sampler.plan.order.tolist()
    assert sorted(kept + ids(loader.hidden())) == list(range(N))


def test_every_pass_says_how_many_batches_it_has(opened: Callable[..., Any]) -> None:
    sampler, loader = opened()
    loader.set_epoch(0)
    train(sampler, loader)
    assert loader.lengths() == (0, -(-N // BATCH))
    loader.set_epoch(1)
    state = sampler.state_dict()
    for size in (3, None):
        rows = size or BATCH
        assert loader.lengths(size) == (-(-sampler.plan.num_hidden // rows), -(-N // rows))
    assert sampler.state_dict() == state
    assert sum(1 for _ in loader.all()) == loader.lengths()[1]
    ids(loader)
    assert sum(1 for _ in loader.hidden()) == loader.lengths()[0] > 1


def test_a_loader_shows_its_sampler_and_the_batch_size(opened: Callable[..., Any]) -> None:
    sampler, loader = opened()
    found, batch_size = loader.attributes
    assert found is sampler
    assert batch_size == sampler.batch_size == BATCH


def test_all_is_refused_while_the_loop_runs_and_a_used_up_epoch_is_an_error(
    opened: Callable[..., Any],
) -> None:
    sampler, loader = opened()
    loader.set_epoch(0)
    batches = iter(loader)
    first = next(batches)
    with pytest.raises(RuntimeError, match=r"all\(\) while another pass of this loader"):
        next(loader.all())
    assert ids([first, *batches]) == sampler.plan.order.tolist()
    with pytest.raises(RuntimeError, match="epoch 0 is used up: 53 of 53"):
        next(iter(loader))


def test_what_a_loader_gave_is_saved_without_a_question(
    opened: Callable[..., Any], tmp_path: Any
) -> None:
    sampler, loader = opened()
    loader.set_epoch(0)
    received = []
    for batch in loader:
        received.append(batch)
        if len(received) == 3:  # of which nothing is observed
            sampler.save(tmp_path)
            break
    del batch
    resumed, other = opened()
    resumed.load(tmp_path)
    resumed.set_epoch(0)
    assert ids(received) + ids(other) == resumed.plan.order.tolist()
