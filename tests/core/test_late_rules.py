"""Late observations: what they mean for columns, order, states, and for what is asked wrongly."""

from __future__ import annotations

import copy
import warnings
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaks_once import BreaksOnce
from external_runs import ids_of

import dynsample as ds
from dynsample.coreset.score_files import from_sampler
from dynsample.disk.checkpoint import Saved, StateError
from dynsample.groups import Group, simulate
from dynsample.run import handout

pytestmark = pytest.mark.filterwarnings("ignore:nothing was observed")
expires = pytest.mark.filterwarnings("ignore:.*are open no more")

N = 12


class Kept(ds.Policy):
    """Everything in every epoch, with columns that do and do not go by the order."""

    columns = {  # noqa: RUF012
        "mean": ds.Mean(signal="loss"),
        "last": ds.Last(signal="loss"),
        "first": ds.Mean(signal="loss", until=1),
    }

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        weights = np.full(table.num_samples, epoch + 1, np.float32)
        return ds.Selection(hidden=np.zeros(table.num_samples, bool), weights=weights)


def make(late: int = 2, **options: object) -> ds.Sampler:
    return ds.Sampler(N, Kept(), issue="external", late=late, **options)  # type: ignore[arg-type]


def observe(
    sampler: ds.Sampler, ids: list[int] | np.ndarray, loss: float, epoch: int | None = None
) -> None:
    index = np.asarray(ids, np.int64)
    sampler.observe(index, epoch=epoch, loss=np.full(len(index), loss, np.float32))


def begin(sampler: ds.Sampler, epoch: int, count: int = N) -> list[int]:
    """Go to an epoch and hand some of it out."""
    sampler.set_epoch(epoch)
    return list(islice(ids_of(sampler), count))


@expires
def test_what_a_newer_epoch_has_in_the_table_is_not_overwritten_and_is_counted() -> None:
    sampler = make()
    begin(sampler, 0)
    begin(sampler, 1)
    observe(sampler, [3], 1.0, epoch=1)
    begin(sampler, 2)
    observe(sampler, [3, 5], 7.0, epoch=0)
    sampler.set_epoch(3)
    assert (sampler.stats["late"], sampler.stats["ignored"]) == (2, 1)
    assert sampler.table["last"][[3, 5]].tolist() == [1.0, 7.0]
    assert sampler.table["mean"][[3, 5]].tolist() == [4.0, 7.0]
    assert sampler.table["first"][3] == 7.0  # it is an observation of epoch 0
    assert sampler.table.seen[[3, 5]].all()


def test_within_a_fold_the_plans_decide_the_order_and_not_the_calls() -> None:
    sampler = make()
    begin(sampler, 0)
    begin(sampler, 1)
    observe(sampler, [3], 1.0, epoch=1)
    observe(sampler, [3], 7.0, epoch=0)
    sampler.set_epoch(2)
    assert sampler.table["last"][3] == 1.0
    assert (sampler.stats["late"], sampler.stats["ignored"]) == (1, 0)


def test_an_observation_without_an_epoch_is_of_the_oldest_plan_that_has_it_open() -> None:
    sampler = make()
    begin(sampler, 0, 6)
    ids = begin(sampler, 1)
    outstanding = sampler.outstanding.tolist()
    assert len(outstanding) == 6 + N
    first = outstanding[0]
    observe(sampler, [first], 1.0)
    assert sampler.outstanding.tolist() == outstanding[1:]
    observe(sampler, [first], 2.0)
    assert first not in sampler.outstanding
    observe(sampler, [first], 3.0)
    sampler.set_epoch(2)
    assert sampler.stats["surplus"] == 1
    assert sampler.table["last"][first] == 2.0
    assert set(ids) == set(range(N))


def test_what_leaves_the_window_unobserved_is_counted_and_warned_of_once() -> None:
    sampler = make(late=1)
    begin(sampler, 0, 5)
    begin(sampler, 1, 0)
    with pytest.warns(RuntimeWarning, match=r"5 positions of epoch 0 .* late=1 is for how many"):
        begin(sampler, 2, 3)
    assert sampler.stats["expired"] == 5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.set_epoch(4)
    assert sampler.stats["expired"] == 3


def test_a_plan_that_was_read_was_handed_out_and_one_that_nobody_looked_at_was_not() -> None:
    sampler = make()
    sampler.set_epoch(0)
    order = sampler.plan.order  # in place of an iterator
    sampler.set_epoch(1)
    assert sampler.outstanding.tolist() == order.tolist()
    sampler.set_epoch(2)
    assert sampler.outstanding.tolist() == order.tolist()


def test_a_plan_of_which_something_was_observed_was_handed_out_without_an_iterator() -> None:
    sampler = make()
    sampler.set_epoch(0)
    observe(sampler, [4], 1.0)
    sampler.set_epoch(1)
    assert sorted(sampler.outstanding) == [one for one in range(N) if one != 4]


def test_weights_are_those_of_the_plan_that_is_named_or_of_the_newest() -> None:
    sampler = make()
    begin(sampler, 0)
    begin(sampler, 1)
    assert sampler.weights(np.array([2, 3])).tolist() == [2.0, 2.0]
    assert sampler.weights(np.array([2, 3]), epoch=0).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="epoch must be one whose plan is open, of 0, 1, got 2"):
        sampler.weights(np.array([2]), epoch=2)


class Halves(ds.Policy):
    """The even samples in even epochs, the others in odd ones; weighted by the epoch."""

    columns = {"loss": ds.Last()}  # noqa: RUF012

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        hidden = np.arange(table.num_samples) % 2 != epoch % 2
        return ds.Selection(hidden=hidden, weights=np.full(table.num_samples, epoch + 1.0, "f4"))


@expires
@pytest.mark.filterwarnings("ignore:.*which was loaded")
def test_ids_of_no_open_plan_and_of_another_than_the_named_are_refused(tmp_path: Path) -> None:
    sampler = ds.Sampler(N, Halves(), issue="external", late=1)
    even, odd = begin(sampler, 0)[:2], begin(sampler, 1)[:2]
    np.testing.assert_array_equal(sampler.weights(np.array([even[0], odd[0]])), [1, 2])
    with pytest.raises(ValueError, match="was not issued in epoch 1"):
        observe(sampler, even, 1.0, epoch=1)
    with pytest.raises(ValueError, match="id 1 was not issued in epoch 0"):
        sampler.weights(np.array([1]), epoch=0)
    observe(sampler, even[:1], 1.0)
    sampler.save(tmp_path)
    resumed = ds.Sampler(N, Halves(), issue="external", late=1)
    resumed.load(tmp_path)
    np.testing.assert_array_equal(resumed.weights(np.array([even[1], odd[0]])), [1, 2])
    resumed.set_epoch(3)
    with pytest.raises(ValueError, match="was not issued in an epoch that is open"):
        observe(resumed, even, 1.0)
    with pytest.raises(ValueError, match="epoch must be one whose plan is open, of 3, got 1"):
        observe(resumed, odd, 1.0, epoch=1)


def test_weights_without_an_epoch_are_those_of_a_plan_that_waits_for_the_row(
    tmp_path: Path,
) -> None:
    def new() -> ds.Sampler:
        return ds.Sampler(N, Halves(), issue="external", late=3)

    sampler = new()
    begin(sampler, 0)
    begin(sampler, 2)
    observe(sampler, [4], 1.0, epoch=2)
    begin(sampler, 3)
    sampler.save(tmp_path)
    resumed = new()
    resumed.load(tmp_path)
    for one in (sampler, resumed):
        np.testing.assert_array_equal(one.weights(np.array([4, 6, 7])), [1, 3, 4])
        np.testing.assert_array_equal(one.weights(np.array([4, 6]), epoch=0), [1, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"issue": "sampler"}, 'late must be 0 with issue="sampler", got 1'),
        ({"late": -1}, r"late must be in \[0, 64\], got -1"),
        ({"late": 65}, "got 65"),
    ],
)
def test_a_sampler_that_cannot_have_late_observations_says_why(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ds.Sampler(N, **{"issue": "external", "late": 1, **options})  # type: ignore[arg-type]


def test_a_framework_that_skips_would_skip_what_is_open_of_older_plans() -> None:
    with pytest.raises(ValueError, match='skips must be "sampler" with late'):
        handout.set_skips(make().run, "framework")


def test_consumed_is_refused() -> None:
    sampler = ds.Sampler(N, issue="external", late=1)
    begin(sampler, 0)
    with pytest.raises(ValueError, match="consumed must be left out"):
        sampler.save("nowhere", consumed=2)


def test_a_load_begins_with_what_is_open_of_older_plans(tmp_path: Path) -> None:
    sampler = make()
    zero = begin(sampler, 0, 7)
    one = begin(sampler, 1)
    observe(sampler, zero[:5], 1.0, epoch=0)
    observe(sampler, one[2:], 1.0, epoch=1)
    sampler.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    assert handout.epochs(resumed.run, hidden=False).tolist() == [0, 0, 1, 1]
    order = ids_of(resumed)
    assert next(order) == zero[5]
    resumed.set_epoch(2)  # what was not handed out of it comes in the next epoch
    assert list(ids_of(resumed))[:2] == [zero[6], *resumed.plan.order[:1]]


@pytest.mark.parametrize("observed", [0, 2])
def test_an_epoch_that_was_loaded_and_left_unasked_is_warned_of(
    tmp_path: Path, observed: int
) -> None:
    sampler = make()
    ids = begin(sampler, 4)
    observe(sampler, ids[:observed], 1.0)
    sampler.save(tmp_path)

    def resumed() -> ds.Sampler:
        other = make()
        other.load(tmp_path)
        return other

    lost = (
        rf"leaves epoch 4, which was loaded: {N - observed} positions .* Begin with set_epoch\(4\)"
    )
    with pytest.warns(RuntimeWarning, match=lost):
        resumed().set_epoch(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asked = resumed()
        assert sorted(begin(asked, 4)) == sorted(ids[observed:])
        asked.set_epoch(5)
        read = resumed()
        assert len(read.plan.order) == N
        read.set_epoch(5)
        known = resumed()
        observe(known, ids[observed:], 1.0)
        known.set_epoch(5)
        resumed().set_epoch(5, restart=True)


def test_a_state_loads_where_nothing_open_would_be_lost(tmp_path: Path) -> None:
    sampler = make(late=3)
    zero = begin(sampler, 0, 4)
    begin(sampler, 2)
    sampler.save(tmp_path)
    for other in (make(late=0), make(late=1)):
        before = other.plan.digest
        with pytest.raises(StateError, match=r"4 positions open of epochs 0.*late=2 or more"):
            other.load(tmp_path)
        assert other.plan.digest == before
    make(late=2).load(tmp_path)
    own = ds.Sampler(N, Kept())
    with pytest.raises(StateError, match='only a sampler that was made with issue="external"'):
        own.load(tmp_path)
    observe(sampler, zero, 1.0)
    sampler.save(tmp_path)
    other = make(late=0)
    other.load(tmp_path)
    other.save(tmp_path)
    resumed = make(late=0)
    resumed.load(tmp_path)
    resumed.set_epoch(3)
    sampler.set_epoch(3)
    for name, array in sampler.table.state().items():
        np.testing.assert_array_equal(resumed.table.state()[name], array)


def test_a_state_without_late_observations_is_as_it_was(tmp_path: Path) -> None:
    sampler = make(late=0)
    observe(sampler, begin(sampler, 0)[:4], 1.0)
    sampler.save(tmp_path)
    assert not any("open" in path.name for path in tmp_path.rglob("*"))
    state: Any = Saved(tmp_path).facts["state"]
    assert state["version"] == 1
    resumed = make(late=2)
    resumed.load(tmp_path)
    assert len(list(ids_of(resumed))) == N - 4


@pytest.mark.parametrize("late", [0, 2])
@pytest.mark.parametrize("ranks", [1, 2])
def test_what_is_observed_after_the_fold_goes_along_with_a_state(
    tmp_path: Path, late: int, ranks: int
) -> None:
    def new(group: Group) -> ds.Sampler:
        return ds.Sampler(N, BreaksOnce(), issue="external", late=late, group=group)

    def breaks(group: Group) -> list[int]:
        sampler = new(group)
        ids = [one for one in list(ids_of(sampler)) if one != 0]
        if group.rank == 0:
            sampler.observe(np.array(ids[:3]), loss=np.ones(3, np.float32))
        with pytest.raises((ValueError, RuntimeError), match="a policy's error"):
            sampler.set_epoch(1)
        if group.rank == ranks - 1:
            sampler.observe(np.array(ids[3:5]), loss=np.ones(2, np.float32))
        sampler.save(tmp_path)
        return ids

    def goes_on(group: Group) -> tuple[float, list[int], list[int]]:
        sampler = new(group)
        sampler.load(tmp_path)
        sampler.save(tmp_path / "again")
        sampler = new(group)
        sampler.load(tmp_path / "again")
        sampler.set_epoch(1)
        seen = np.flatnonzero(sampler.table.seen)
        return sampler.stats["surplus"], seen.tolist(), list(ids_of(sampler))

    BreaksOnce.broken.clear()
    ids = simulate(ranks, breaks)[0]
    surplus, seen, order = simulate(3 - ranks, goes_on)[0]
    assert (surplus, seen) == (0, sorted(ids[:5]))
    if late:
        assert order[: len(ids) - 5] == ids[5:]  # of epoch 0, which was left at the error


def test_another_seed_keeps_what_is_open_of_older_plans(tmp_path: Path) -> None:
    sampler = make()
    zero = begin(sampler, 0, 5)
    observe(sampler, begin(sampler, 1)[:3], 2.0, epoch=1)
    observe(sampler, zero[:1], 2.0, epoch=0)
    sampler.save(tmp_path)
    other = make(seed=1)
    with pytest.warns(RuntimeWarning, match="changes the plan"):
        other.load(tmp_path, allow={"seed"})
    assert list(ids_of(other)) == [*zero[1:], *other.plan.order]
    assert np.count_nonzero(other.table.seen) >= 3


def test_scores_are_read_from_a_state_as_the_next_epoch_will_have_them(tmp_path: Path) -> None:
    sampler = make()
    begin(sampler, 0)
    observe(sampler, begin(sampler, 1)[:6], 1.0, epoch=1)
    begin(sampler, 2)
    observe(sampler, np.arange(N), 5.0, epoch=0)
    observe(sampler, np.arange(4), 6.0, epoch=2)
    sampler.save(tmp_path)
    sampler.set_epoch(3)
    for name in ("last", "mean", "first"):
        np.testing.assert_array_equal(from_sampler(tmp_path, name), sampler.table[name])


def test_a_copy_has_the_same_plans_open() -> None:
    sampler = make()
    zero = begin(sampler, 0)
    begin(sampler, 1)
    other = copy.deepcopy(sampler)
    observe(sampler, zero[:4], 1.0, epoch=0)
    observe(other, zero[4:6], 1.0, epoch=0)
    assert len(other.outstanding) == 2 * N - 2
    sampler.set_epoch(2)
    other.set_epoch(2)
    assert np.flatnonzero(other.table.seen).tolist() == sorted(zero[4:6])
    assert sampler.stats["late"] == 4


def test_a_restart_drops_the_current_plan_and_leaves_older_ones_open() -> None:
    sampler = make()
    zero = begin(sampler, 0)
    observe(sampler, begin(sampler, 1), 1.0, epoch=1)
    observe(sampler, zero[:2], 1.0, epoch=0)
    sampler.set_epoch(1, restart=True)
    assert sampler.outstanding.tolist() == zero
    assert sampler.stats["expired"] == 0
    assert not sampler.table.seen.any()
