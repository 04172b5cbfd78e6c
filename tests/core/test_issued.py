"""Columns of kind Issued count what iterators handed out, whatever happened on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import B, N, make, observe, take

import dynsample as ds
from dynsample.groups import Group, simulate

COLUMNS = {"issued": ds.Issued()}
POLICIES: dict[str, ds.Policy] = {
    "uniform": ds.Uniform(),
    "hides": ds.RandomSubset(0.4),
    "draws": ds.WeightedRandom(np.arange(1, N + 1), num_draws=53),
    "observes": ds.Kakurenbo(fraction=0.5, tau=0.0),
}


class Breaks(ds.Policy):
    """Fails in epoch 1 until it is mended."""

    columns = COLUMNS
    mended = False

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        if epoch == 1 and not Breaks.mended:
            raise ZeroDivisionError
        return ds.Selection()


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Breaks, "mended", False)


ACTIONS = ("some", "some", "rest", "rest", "next", "next", "restart", "reload", "back", "hidden",
           "peek", "again")  # fmt: skip


class Counter:
    """What iterators handed out to one rank, batch by batch."""

    def __init__(self) -> None:
        self.count = np.zeros(N, np.int64)
        self.last = np.full(N, -1)
        self.batches: list[np.ndarray] = []  # of this epoch

    def close(self, epoch: int) -> None:
        for batch in self.batches:
            np.add.at(self.count, batch, 1)
            self.last[batch] = epoch
        self.batches = []


class Life:
    """A run that does at random what a run may do."""

    def __init__(self, group: Group, folder: Path, seed: int, options: dict[str, Any]) -> None:
        self.group, self.folder, self.options = group, folder, options
        self.random = np.random.default_rng(seed)  # of all ranks the same
        self.counter = Counter()
        self.epoch, self.saves = 0, 0
        self.sampler = self.new()
        self.sampler.set_epoch(0)

    def new(self) -> ds.Sampler:
        return make(columns=COLUMNS, group=self.group, **self.options)

    def iterate(self, count: int | None) -> None:
        cursor = self.sampler.run.current.passes[0]
        if cursor.used_up:
            return
        for number, batch in enumerate(self.sampler):
            if batch is not cursor.padded:
                self.counter.batches.append(batch)
                observe(self.sampler, batch)
            if number + 1 == count:
                break

    def some(self) -> None:
        self.iterate(int(self.random.integers(1, 4)))

    def rest(self) -> None:
        self.iterate(None)

    def next(self) -> None:
        self.counter.close(self.epoch)
        self.epoch += 1
        self.sampler.set_epoch(self.epoch)
        self.check()

    def restart(self) -> None:
        self.counter.batches = []
        self.sampler.set_epoch(self.epoch, restart=True)

    def reload(self) -> None:
        self.saves += 1
        self.sampler.save(self.folder / str(self.saves))
        self.sampler = self.new()
        self.sampler.load(self.folder / str(self.saves))

    def back(self) -> None:
        before, state = [*self.counter.batches], self.sampler.state_dict()
        self.some()
        self.sampler.load_state_dict(state)
        self.counter.batches = before

    def hidden(self) -> None:
        if not self.sampler.run.current.passes[1].used_up:
            for batch in self.sampler.hidden:
                observe(self.sampler, batch)

    def peek(self) -> None:
        self.sampler.peek(2)
        take(self.sampler.all())

    def again(self) -> None:
        self.sampler.set_epoch(self.epoch)

    def check(self) -> None:
        issued, table = self.sampler.table.issued, self.sampler.table
        count = self.group.sum(self.counter.count, "the counts")
        last = np.stack(self.group.all_gather(self.counter.last, "the epochs")).max(axis=0)
        here = slice(*table.bounds)
        assert (issued.count.dtype, issued.last_epoch.dtype) == (np.uint32, np.int64)
        np.testing.assert_array_equal(issued.count, count[here])
        np.testing.assert_array_equal(issued.last_epoch, last[here])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("policy", POLICIES)
def test_every_life_is_counted(policy: str, size: int, placement: str, tmp_path: Path) -> None:
    for seed in range(4):

        def body(group: Group, seed: int = seed) -> None:
            options = {"policy": POLICIES[policy], "placement": placement}
            options |= {"batch_size": B // 2, "drop_last": seed % 2 == 1}
            life = Life(group, tmp_path / str(seed), seed, options)
            for action in life.random.choice(ACTIONS, 25):
                getattr(life, str(action))()
            life.next()

        simulate(size, body)


def test_whole_epochs_of_a_subset() -> None:
    subset = np.arange(1, N, 3)
    sampler = make(columns=COLUMNS, subset=subset)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        take(sampler)
    assert sampler.table.issued.count.tolist() == [2] * len(subset)
    sampler.set_epoch(7)
    assert sampler.table.issued.count.tolist() == [3] * len(subset)
    assert sampler.table.issued.last_epoch.tolist() == [2] * len(subset)
    assert sampler.table["issued"].tolist() == [3.0] * len(subset)


def test_an_order_by_pages() -> None:
    sampler = make(columns=COLUMNS, order=ds.PageLocal(np.arange(N) // 5, window=2))
    received = take(sampler, 2)
    sampler.set_epoch(1)
    assert np.flatnonzero(sampler.table.issued.count).tolist() == sorted(received)


def test_an_implicit_epoch_and_one_that_nobody_iterates() -> None:
    sampler = make(columns=COLUMNS)
    received = [take(sampler), take(sampler, 2)]
    assert sampler.epoch == 1
    assert sampler.table.issued.count.tolist() == [1] * N
    sampler.set_epoch(2)
    sampler.set_epoch(3)
    expected = np.bincount(np.concatenate(received), minlength=N)
    assert sampler.table.issued.count.tolist() == expected.tolist()
    assert set(sampler.table.issued.last_epoch.tolist()) == {0, 1}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_implicit_epoch_that_was_looked_at_starts_again() -> None:
    sampler = make(POLICIES["observes"], columns=COLUMNS)
    take(sampler, 3)
    sampler.set_epoch(0)
    received = take(sampler, 1)
    sampler.set_epoch(1)
    assert np.flatnonzero(sampler.table.issued.count).tolist() == sorted(received)


def close_twice(sampler: ds.Sampler, error: type[Exception]) -> None:
    with pytest.raises(error):
        sampler.set_epoch(1)
    np.testing.assert_array_equal(sampler.table.issued.count, [1] * N)
    Breaks.mended = True
    sampler.set_epoch(1)
    np.testing.assert_array_equal(sampler.table.issued.count, [1] * N)


def test_an_epoch_that_was_folded_and_not_planned_is_counted_once() -> None:
    sampler = make(Breaks())
    sampler.set_epoch(0)
    take(sampler)
    close_twice(sampler, ZeroDivisionError)


def test_an_observation_error_does_not_count_twice() -> None:
    sampler = make(POLICIES["observes"], columns=COLUMNS)
    sampler.set_epoch(0)
    for batch in sampler:
        observe(sampler, batch)
    observe(sampler, batch)
    close_twice(sampler, ds.ObservationError)


@pytest.fixture(params=["observed", "not observed"])
def left(request: pytest.FixtureRequest) -> tuple[ds.Sampler, np.ndarray]:
    """A sampler whose epoch 0 was left after 3 batches, folded and not planned."""
    sampler = make(Breaks(), columns={"loss": ds.Last()})
    sampler.set_epoch(0)
    received = take(sampler, 3)
    if request.param == "observed":
        observe(sampler, received)
    with pytest.raises(ZeroDivisionError):
        sampler.set_epoch(1)
    Breaks.mended = True
    return sampler, received


def test_what_was_folded_and_not_planned_is_saved(left: Any, tmp_path: Path) -> None:
    sampler, received = left
    sampler.save(tmp_path)
    again = make(Breaks(), columns={"loss": ds.Last()})
    again.load(tmp_path)
    assert np.flatnonzero(again.table.issued.count).tolist() == sorted(received)
    again.set_epoch(1)
    assert np.flatnonzero(again.table.issued.count).tolist() == sorted(received)
    assert again.table.issued.count.max() == 1


def test_an_epoch_that_goes_on_after_it_was_folded_counts_the_rest_too(left: Any) -> None:
    sampler, received = left
    received = np.append(received, take(sampler, 1))
    state = sampler.state_dict()
    sampler.load_state_dict(state)
    sampler.set_epoch(1)
    assert np.flatnonzero(sampler.table.issued.count).tolist() == sorted(received)
    assert sampler.table.issued.count.max() == 1


def test_a_policy_that_observes_nothing_is_not_told_to_observe(recwarn: Any) -> None:
    class Least(ds.Policy):
        columns = COLUMNS

        def select(self, table: ds.ScoreTable, epoch: int, random: Any) -> ds.Selection:
            return ds.Selection(hidden=table.issued.count > 0)

    sampler = make(Least())
    first = take(sampler, 3)
    sampler.set_epoch(1)
    assert sampler.plan.hidden.tolist() == sorted(first)
    assert not recwarn.list


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(KeyError, match=r'declare .* columns={"issued": dynsample.Issued\(\)}'):
        _ = ds.ScoreTable(3, {"loss": ds.Last()}).issued
    table = ds.ScoreTable(3, COLUMNS)
    with pytest.raises(TypeError, match=r"only columns that .* can be set, .* got Issued"):
        table.set_column("issued", [1, 2, 3])
    with pytest.raises(ValueError, match="read-only"):
        table.issued.count[0] = 1
    with pytest.raises(ValueError, match="column 'issued' must not be of kind Issued with issue="):
        make(columns=COLUMNS, issue="external")


def test_a_table_of_no_signal_has_nothing_to_observe() -> None:
    table = ds.ScoreTable(3, COLUMNS)
    table.observe(np.array([1]))
    assert table.seen.tolist() == [False, True, False]
    assert table["issued"].tolist() == [0, 0, 0]
