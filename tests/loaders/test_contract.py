"""What every loader promises, whatever it reads with.

A new loader is a module in `adapters/` and a line in `LOADERS`.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapters import Batch, OpenLoader
from images import ImageTree, write_tree
from numpy.typing import NDArray

import dynsample as ds

# Module in adapters/, and the package that it needs.
LOADERS = {"torch": "torch", "ffcv": "ffcv", "dali": "nvidia.dali", "dali_pack": "nvidia.dali"}

N, BATCH = 53, 8
Open = Callable[..., OpenLoader]

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*use of fork:DeprecationWarning",
    "ignore:'pin_memory' argument is set as true but no accelerator:UserWarning",
    "ignore:.*hidden samples were due:RuntimeWarning",
    "ignore:nothing was observed:RuntimeWarning",
)


def cases(*, files: bool = False, every: bool = False) -> Iterator[Any]:
    """Yield every variant of every loader that can be imported; the others are skipped.

    With `files`, only loaders that read each sample from a file of its own. Variants that start
    slowly and differ in nothing else are marked whole, but for tests that take `every` one.
    """
    for name, package in LOADERS.items():
        try:
            importlib.import_module(package)
        except ImportError as error:
            skip = pytest.mark.skip(reason=f"{package} cannot be imported: {error}")
            yield pytest.param((None, {}), id=name, marks=skip)
            continue
        module = importlib.import_module(f"adapters.{name}")
        if files and not module.FILES:
            continue
        for variant, options in module.VARIANTS.items():
            if files and variant in getattr(module, "STOCK", ()):
                continue
            slow = variant in getattr(module, "SLOW", ()) and not every
            marks = [pytest.mark.whole] * slow
            yield pytest.param((module, options), id=f"{name}, {variant}", marks=marks)


every_variant = pytest.mark.parametrize("adapter", list(cases(every=True)), indirect=True)


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("images") / "tree", N)


@pytest.fixture(params=list(cases()))
def adapter(request: pytest.FixtureRequest) -> Any:
    return request.param[0]


@pytest.fixture
def open_loader(request: pytest.FixtureRequest, adapter: Any, tree: ImageTree) -> Iterator[Open]:
    """Open loaders of the variant under test; all are closed at the end."""
    variant = request.node.callspec.params["adapter"][1]
    opened: list[OpenLoader] = []

    def open_one(sampler: ds.Sampler, *, tree: ImageTree = tree, **options: Any) -> OpenLoader:
        opened.append(adapter.open_loader(tree, sampler, **{**variant, **options}))
        return opened[-1]

    yield open_one
    for loader in opened:
        loader.close()


@dataclass(frozen=True)
class Lengths(ds.Policy):
    """Keeps the first `lengths[epoch]` samples, and has the others looked at again."""

    lengths: tuple[int, ...]

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        keep = self.lengths[epoch % len(self.lengths)]
        return ds.Selection(hidden=np.arange(table.num_samples) >= keep, refresh=True)


def kakurenbo(**options: Any) -> ds.Sampler:
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4), batch_size=BATCH, seed=5, **options)


def observe(sampler: ds.Sampler, index: NDArray[np.int64]) -> None:
    """Report losses that depend on sample and epoch; every prediction is right and sure."""
    loss = ((index * 7919 + sampler.epoch * 31) % 101).astype(np.float32)
    ones = np.ones(len(index), np.float32)
    sampler.observe(index, loss=loss, correct=ones, confidence=ones)


def received(batches: Iterable[Batch], tree: ImageTree, size: int = BATCH) -> NDArray[np.int64]:
    """Return the ids of all batches, which must be proven, labelled right and of the right size."""
    taken = list(batches)
    for batch in taken:
        np.testing.assert_array_equal(batch.ids, batch.index)
        np.testing.assert_array_equal(batch.labels, tree.labels[batch.index])
    assert all(len(batch.index) == size for batch in taken[:-1])
    return joined(batch.index for batch in taken)


def joined(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])


def train(loader: OpenLoader, sampler: ds.Sampler, tree: ImageTree) -> tuple[list[int], list[int]]:
    """Go through an epoch, both passes, and report; give the ids of each."""
    passes = []
    for batches in (loader, loader.hidden()):
        ids: list[int] = []
        for batch in batches:
            ids += received([batch], tree).tolist()
            observe(sampler, batch.index)
        passes.append(ids)
    return passes[0], passes[1]


@every_variant
def test_images_come_in_the_planned_order_with_label_and_index(
    open_loader: Open, tree: ImageTree
) -> None:
    sampler = kakurenbo()
    loader = open_loader(sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        assert len(loader) == len(sampler)
        kept, hidden = train(loader, sampler, tree)
        assert kept == sampler.plan.order.tolist()
        assert sorted(hidden) == sampler.plan.hidden.tolist()
    assert len(hidden) == int(0.4 * N)


def test_samples_that_are_drawn_repeatedly_come_repeatedly(
    open_loader: Open, tree: ImageTree
) -> None:
    policy = ds.WeightedRandom(
        np.arange(N, dtype=np.float32) + 1, num_draws=2 * N, replacement=True
    )
    sampler = ds.Sampler(N, policy, batch_size=BATCH)
    ids = received(open_loader(sampler), tree)
    np.testing.assert_array_equal(ids, sampler.plan.order)
    assert len(ids) == 2 * N
    assert len(np.unique(ids)) < N


def test_epochs_may_change_their_length_down_to_one_sample_and_to_none(
    open_loader: Open, tree: ImageTree
) -> None:
    sampler = ds.Sampler(N, Lengths((40, 13, 1, 0, BATCH, N)), batch_size=BATCH)
    loader = open_loader(sampler)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        assert len(loader) == -(-sampler.plan.num_positions // BATCH)
        np.testing.assert_array_equal(received(loader, tree), sampler.plan.order)
        np.testing.assert_array_equal(np.sort(received(loader.hidden(), tree)), sampler.plan.hidden)


@pytest.mark.parametrize("drop_last", [False, True])
def test_a_last_batch_that_is_not_full_is_short_or_dropped(
    open_loader: Open, tree: ImageTree, drop_last: bool
) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH, drop_last=drop_last)
    loader = open_loader(sampler)
    sizes = [len(batch.index) for batch in loader]
    assert sizes == [BATCH] * (N // BATCH) + [N % BATCH] * (not drop_last)
    assert len(loader) == len(sizes)


def test_a_subset_is_read_by_its_own_ids(open_loader: Open, tree: ImageTree) -> None:
    subset = np.arange(1, N, 3)
    sampler = ds.Sampler(N, batch_size=BATCH, subset=subset)
    ids = received(open_loader(sampler), tree)
    np.testing.assert_array_equal(np.sort(ids), subset)


@pytest.mark.parametrize("depth", [0, 1], ids=["least prefetch", "most prefetch"])
def test_nothing_of_an_epoch_is_drawn_before_it_is_planned(
    open_loader: Open, adapter: Any, tree: ImageTree, depth: int
) -> None:
    plain, sampler = kakurenbo(), kakurenbo()
    loader = open_loader(sampler, prefetch=adapter.PREFETCH[-depth])
    for epoch in range(4):
        plain.set_epoch(epoch)
        sampler.set_epoch(epoch)
        for batches in (plain, plain.hidden):
            for index in batches:
                observe(plain, index)
        kept, _ = train(loader, sampler, tree)
        assert kept == plain.plan.order.tolist()
        assert sampler.plan.digest == plain.plan.digest


def test_a_loop_that_breaks_goes_on_where_it_left(open_loader: Open, tree: ImageTree) -> None:
    sampler = ds.Sampler(N, Lengths((40,)), batch_size=BATCH)
    loader = open_loader(sampler)
    for hidden in (False, True):
        parts = []
        expected = sampler.plan.hidden if hidden else sampler.plan.order
        for taken in (1, 0, 1, N):
            if len(joined(parts)) == len(expected):
                break
            batches = loader.hidden() if hidden else iter(loader)
            parts.append(received(itertools.islice(batches, taken), tree))
            del batches
        ids = joined(parts)
        np.testing.assert_array_equal(np.sort(ids) if hidden else ids, expected)


@pytest.mark.parametrize("size", [None, 3, 20])
def test_the_hidden_pass_may_have_its_own_batch_size(
    open_loader: Open, tree: ImageTree, size: int | None
) -> None:
    sampler = ds.Sampler(N, Lengths((20,)), batch_size=BATCH)
    loader = open_loader(sampler)
    kept = iter(loader)
    first = received([next(kept)], tree)
    del kept
    hidden = received(loader.hidden(batch_size=size), tree, size or BATCH)
    np.testing.assert_array_equal(np.sort(hidden), np.arange(20, N))
    rest = received(loader, tree)
    np.testing.assert_array_equal(joined([first, rest]), sampler.plan.order)


@every_variant
def test_a_run_resumes_at_any_step_of_both_passes(
    open_loader: Open, tree: ImageTree, tmp_path: Path
) -> None:
    sampler = kakurenbo()
    loader = open_loader(sampler)
    train(loader, sampler, tree)
    sampler.set_epoch(1)
    states = []
    for batches in (loader, loader.hidden()):
        for batch in batches:
            observe(sampler, batch.index)
            sampler.save(tmp_path / str(len(states)))
            states.append((json.dumps(loader.state_dict()), batch.index))
    assert len(states) == 4 + 3
    resumed = kakurenbo()
    other = open_loader(resumed)
    for step, (state, _) in enumerate(states):
        resumed.load(tmp_path / str(step))
        other.load_state_dict(json.loads(state))
        assert other.state_dict() == json.loads(state)
        # A used-up pass would begin the next epoch: what is left of this one is asked for.
        kept_left = resumed.state_dict()["positions"] < resumed.plan.num_positions
        rest = received(other, tree) if kept_left else joined([])
        rest = joined([rest, received(other.hidden(), tree)])
        np.testing.assert_array_equal(rest, joined(ids for _, ids in states[step + 1 :]))


def test_set_epoch_may_be_called_or_left_out_or_called_twice(
    open_loader: Open, tree: ImageTree
) -> None:
    orders = []
    for calls in (1, 0, 2):
        sampler = ds.Sampler(N, batch_size=BATCH, seed=3)
        loader = open_loader(sampler)
        for epoch in range(3):
            for _ in range(calls):
                sampler.set_epoch(epoch)
            orders.append(received(loader, tree).tolist())
            assert sampler.epoch == epoch
    assert orders[:3] == orders[3:6] == orders[6:]
    assert len({tuple(order) for order in orders}) == 3


def test_a_plan_that_others_hand_out_is_refused(open_loader: Open) -> None:
    with pytest.raises(ValueError, match=r'to deal batches, got issue="external".*IndexSampler'):
        next(iter(open_loader(kakurenbo(issue="external"))))


def test_an_iterator_of_an_epoch_that_was_left_gives_no_more_batches(
    open_loader: Open, tree: ImageTree
) -> None:
    sampler = ds.Sampler(N, batch_size=1)
    batches = iter(open_loader(sampler))
    next(batches)
    sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match="epoch 0 was left while it was being iterated"):
        received(batches, tree)


def damage(path: Path, how: str) -> None:
    """Delete a file, cut it short, or overwrite it with text."""
    content = path.read_bytes()
    path.unlink()
    if how != "deleted":
        path.write_bytes(content[: len(content) // 2] if how == "truncated" else b"no image" * 99)


@pytest.mark.parametrize("adapter", list(cases(files=True)), indirect=True)
@pytest.mark.parametrize("how", ["deleted", "truncated", "not an image"])
def test_a_file_that_cannot_be_read_is_named_and_the_loader_stays_usable(
    open_loader: Open, adapter: Any, tmp_path: Path, how: str
) -> None:
    own = write_tree(tmp_path / "own", N)
    sampler = ds.Sampler(N, batch_size=BATCH)
    loader = open_loader(sampler, tree=own, prefetch=adapter.PREFETCH[0])
    bad = own.paths[sampler.plan.order[-1]]
    content = bad.read_bytes()
    batches = iter(loader)
    ids = [received([next(batches)], own)]
    damage(bad, how)
    taken: list[Batch] = []
    with pytest.raises(Exception, match=bad.name) as caught:
        taken.extend(batches)
    ids.append(received(taken, own))
    assert str(bad) in str(caught.value)
    if adapter.GOES_ON:
        assert list(batches) == []
        lost = len(sampler.plan.order) % BATCH
        np.testing.assert_array_equal(joined(ids), sampler.plan.order[:-lost])
        return
    del batches, caught
    bad.write_bytes(content)
    ids.append(received(loader, own))
    np.testing.assert_array_equal(joined(ids), sampler.plan.order)


def resources() -> dict[str, int]:
    """What this process holds: threads, open files, child processes, and bytes of memory."""
    gc.collect()
    children = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it ended just now
            children.append((thread / "children").read_text().split())
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "threads": len(children),
        "files": len(os.listdir("/proc/self/fd")),
        "children": sum(map(len, children)),
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
    }


def test_many_epochs_hold_no_more_threads_files_or_memory(
    open_loader: Open, tree: ImageTree
) -> None:
    sampler = ds.Sampler(N, Lengths((N, 40)), batch_size=32)
    loader = open_loader(sampler)

    def epochs(numbers: Sequence[int]) -> dict[str, int]:
        for epoch in numbers:
            sampler.set_epoch(epoch)
            next(iter(loader))  # and a break in mid-epoch
            for batches in (loader, loader.hidden()):
                for _ in batches:
                    pass
        return resources()

    before, after = epochs(range(10)), epochs(range(10, 30))
    grown = {name: after[name] - before[name] for name in before}
    assert grown.pop("memory") < 8 << 20  # one batch an epoch would be 8 MB, a ring several times
    # One an epoch would be 20; a few may be about to end.
    assert all(growth <= 3 for growth in grown.values()), grown
