"""The life of an epoch: what set_epoch and an iterator mean, whatever came before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from breaks_once import BreaksOnce
from small_runs import B, N, kakurenbo, make, observe, take, train

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.groups.agreement import DisagreementError

pytestmark = pytest.mark.filterwarnings("ignore:.*hidden samples were due")


# set_epoch of the current epoch


def test_an_epoch_that_an_iteration_used_up_unobserved_starts_when_it_is_named() -> None:
    sampler = kakurenbo()
    take(sampler)
    with pytest.warns(RuntimeWarning, match=r"position 40 of 40 before set_epoch\(0\).*peek.*all"):
        sampler.set_epoch(0)
    assert sorted(train(sampler)) == list(range(N))


def test_a_batch_that_was_peeked_at_is_trained_on_after_set_epoch() -> None:
    sampler = make()
    next(iter(sampler))
    with pytest.warns(RuntimeWarning, match=r"position 8 of 40 before set_epoch\(0\)"):
        sampler.set_epoch(0)
    np.testing.assert_array_equal(take(sampler), sampler.plan.order)


def test_an_unnamed_epoch_that_was_observed_goes_on_when_it_is_named() -> None:
    sampler = kakurenbo()
    batches = iter(sampler)
    observe(sampler, next(batches))
    with pytest.warns(RuntimeWarning, match=r"it goes on there; set_epoch\(0, restart=True\)"):
        sampler.set_epoch(0)
    np.testing.assert_array_equal(take(sampler), sampler.plan.order[B:])


def test_a_named_epoch_goes_on_after_a_break_and_says_so_once() -> None:
    sampler = make()
    sampler.set_epoch(0)
    take(sampler, 2)
    with pytest.warns(RuntimeWarning, match="at position 16 of 40: it goes on there"):
        sampler.set_epoch(0)
    first = take(sampler, 1)
    sampler.set_epoch(0)  # said already
    np.testing.assert_array_equal(np.concatenate([first, take(sampler)]), sampler.plan.order[16:])


def test_set_epoch_twice_before_the_first_batch_is_nothing() -> None:
    sampler = make()
    sampler.set_epoch(2)
    plan = sampler.plan
    sampler.set_epoch(2)
    assert sampler.plan is plan
    np.testing.assert_array_equal(take(sampler), plan.order)


def test_restart_begins_an_epoch_anew_and_drops_what_was_observed() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(0)
    observe(sampler, next(iter(sampler)))
    sampler.set_epoch(0, restart=True)
    assert len(sampler.run.observations.log) == 0
    assert sorted(train(sampler)) == list(range(N))
    sampler.set_epoch(1)
    assert sampler.stats["not_issued"] == 0


# An epoch that is used up


def test_a_named_epoch_is_used_up_once() -> None:
    sampler = make()
    sampler.set_epoch(3)
    take(sampler)
    with pytest.raises(
        RuntimeError, match=r"epoch 3 is used up: 40 of 40 .*set_epoch\(4\), or set_epoch\(3, re"
    ):
        iter(sampler)


def test_the_hidden_pass_is_used_up_once() -> None:
    sampler = kakurenbo()
    train(sampler, 0)
    train(sampler, 1)
    assert sampler.plan.num_hidden == 20
    with pytest.raises(RuntimeError, match="the hidden samples of epoch 1 are used up: 20 of 20"):
        iter(sampler.hidden)


def test_an_empty_hidden_pass_may_be_iterated_as_often_as_one_likes() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(0)
    assert [list(sampler.hidden) for _ in range(3)] == [[], [], []]


def test_an_unnamed_epoch_that_is_used_up_is_followed_by_the_next() -> None:
    sampler = make()
    assert [take(sampler).tolist() for _ in range(3)] == [
        ds.build_plan(ds.Selection(), N, seed=3, epoch=epoch).order.tolist() for epoch in range(3)
    ]


def test_leaving_an_unnamed_epoch_unobserved_is_said_once_and_names_the_cures() -> None:
    sampler = kakurenbo()
    take(sampler)
    with pytest.warns(RuntimeWarning, match=r"nothing was observed in epoch 0.*peek\(\).*all\(\)"):
        iter(sampler)


def test_an_epoch_that_was_loaded_used_up_gives_nothing_when_it_is_named_again(
    tmp_path: Path,
) -> None:
    sampler = kakurenbo()
    train(sampler, 0)
    sampler.save(tmp_path)
    resumed = kakurenbo()
    resumed.load(tmp_path)
    resumed.set_epoch(0)
    assert list(resumed) == list(resumed.hidden) == []
    resumed.set_epoch(1)
    sampler.set_epoch(1)
    np.testing.assert_array_equal(take(resumed), sampler.plan.order)


def test_an_epoch_that_was_loaded_used_up_is_followed_by_the_next_when_it_is_not_named(
    tmp_path: Path,
) -> None:
    sampler = kakurenbo()
    train(sampler, 0)
    sampler.save(tmp_path)
    resumed = kakurenbo()
    resumed.load(tmp_path)
    take(resumed, 1)
    assert resumed.epoch == 1


# Loads


def test_a_trainer_that_draws_behind_a_load_is_told_of_both_positions(tmp_path: Path) -> None:
    sampler = kakurenbo()
    sampler.set_epoch(0)
    observe(sampler, next(iter(sampler)))
    sampler.save(tmp_path)
    resumed = kakurenbo()
    resumed.load(tmp_path)
    next(iter(resumed))
    with pytest.warns(RuntimeWarning, match="at position 8, and it is at 16.*epoch starts"):
        resumed.set_epoch(0)


def test_a_trainer_that_counts_from_0_behind_a_load_is_refused(tmp_path: Path) -> None:
    sampler = kakurenbo()
    for epoch in range(3):
        train(sampler, epoch)
    sampler.save(tmp_path)
    resumed = kakurenbo()
    resumed.load(tmp_path)
    with pytest.raises(StateError, match=r"epoch 2 was loaded, and set_epoch\(0\) goes back"):
        resumed.set_epoch(0)
    resumed.set_epoch(3)
    assert resumed.epoch == 3


def test_going_back_in_a_run_is_said_once_and_folds_what_was_observed() -> None:
    sampler = kakurenbo()
    train(sampler, 4)
    with pytest.warns(RuntimeWarning, match=r"set_epoch\(1\) after epoch 4"):
        sampler.set_epoch(1)
    assert sampler.table.seen.all()
    sampler.set_epoch(0)
    assert sampler.epoch == 0


def test_a_state_of_another_epoch_leaves_an_explicit_epoch_alone() -> None:
    sampler = make()
    sampler.set_epoch(1)
    batches = iter(sampler)
    for _ in batches:
        state = sampler.state_dict()
    resumed = make()
    resumed.set_epoch(2)
    batches = iter(resumed)
    with pytest.warns(RuntimeWarning, match=r"a state of epoch 1 came after set_epoch\(2\)"):
        batches.load_state_dict(state)
    np.testing.assert_array_equal(take(batches), resumed.plan.order)


def finished(epoch: int) -> dict[str, Any]:
    sampler = kakurenbo()
    sampler.set_epoch(epoch)
    take(sampler)
    return sampler.state_dict()


@pytest.mark.filterwarnings("ignore:a state of epoch 1 came after")
def test_an_iterator_that_took_a_finished_state_and_was_dropped_used_nothing_up() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(2)
    dropped = iter(sampler)
    dropped.load_state_dict(finished(1))
    take(dropped, 2)
    np.testing.assert_array_equal(take(sampler), sampler.plan.order)
    with pytest.raises(RuntimeError, match="epoch 2 is used up"):
        iter(sampler)


@pytest.mark.filterwarnings("ignore:a state of epoch 1 came after")
def test_an_iterator_that_took_a_finished_state_and_was_observed_is_gone_on_with() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(2)
    batches = iter(sampler)
    batches.load_state_dict(finished(1))
    observe(sampler, next(batches))
    np.testing.assert_array_equal(take(sampler), sampler.plan.order[B:])


@pytest.mark.filterwarnings("ignore:a state of epoch 1 came after")
def test_a_finished_state_that_a_sampler_took_makes_no_iterator_begin_anew() -> None:
    sampler = make()
    sampler.set_epoch(2)
    state = finished(1) | {"seed": sampler.seed}
    sampler.load_state_dict(state)
    first = take(sampler, 2)
    np.testing.assert_array_equal(np.concatenate([first, take(sampler)]), sampler.plan.order)


def test_a_named_epoch_stays_named_when_a_state_of_it_comes_afterwards() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(1)
    sampler.load_state_dict(finished(1))
    assert len(take(sampler)) == 0
    assert sampler.epoch == 1


# drop_last


def test_an_epoch_shorter_than_a_batch_is_one_short_batch_in_spite_of_drop_last() -> None:
    sampler = make(ds.Kakurenbo(fraction=0.8, tau=0.0), batch_size=16, drop_last=True)
    train(sampler, 0)
    with pytest.warns(RuntimeWarning, match="epoch 1 holds 8 samples.*one short batch"):
        sampler.set_epoch(1)
    assert [len(index) for index in sampler] == [8]
    assert len(sampler) == 1


@pytest.mark.filterwarnings("ignore:epoch 0 holds 12 samples")
def test_a_short_batch_is_dealt_over_the_ranks() -> None:
    def lengths(group: Group) -> list[int]:
        sampler = make(ds.RandomSubset(fraction=0.7), group=group, batch_size=8, drop_last=True)
        sampler.set_epoch(0)
        return [len(index) for index in sampler]

    assert simulate(2, lengths) == [[6], [6]]


def test_a_data_set_smaller_than_a_batch_is_refused_with_drop_last() -> None:
    with pytest.raises(ValueError, match=r"drop_last must be False for 40 samples.*64"):
        make(batch_size=64, drop_last=True)
    with pytest.raises(ValueError, match="for 5 samples"):
        make(subset=np.arange(5), drop_last=True)


# Folded and not planned


def counts(sampler: ds.Sampler) -> list[int]:
    return np.unique(sampler.table.part("loss", "count")).tolist()


@pytest.mark.parametrize("saved", [False, True])
def test_an_epoch_that_was_folded_and_not_planned_is_a_state(saved: bool, tmp_path: Path) -> None:
    BreaksOnce.broken.clear()
    sampler = ds.Sampler(N, BreaksOnce(), B)
    sampler.set_epoch(0)
    for index in sampler:
        sampler.observe(index, loss=np.ones(len(index), np.float32))
    with pytest.raises(ValueError, match="a policy's error"):
        sampler.set_epoch(1)
    assert sampler.epoch == 0
    assert counts(sampler) == [0, 1]
    if saved:
        sampler.save(tmp_path)
        sampler = ds.Sampler(N, BreaksOnce(), B)
        sampler.load(tmp_path)
        sampler.set_epoch(0)
        assert list(sampler) == []
    sampler.set_epoch(1)
    assert (sampler.epoch, len(take(sampler))) == (1, 30)
    assert counts(sampler) == [0, 1]


@pytest.mark.parametrize("again", [1, 2])
def test_a_folded_state_may_be_saved_and_loaded_again(again: int, tmp_path: Path) -> None:
    BreaksOnce.broken.clear()
    sampler = ds.Sampler(N, BreaksOnce(), B)
    sampler.set_epoch(0)
    for index in sampler:
        sampler.observe(index, loss=np.ones(len(index), np.float32))
    with pytest.raises(ValueError, match="a policy's error"):
        sampler.set_epoch(1)
    for time in range(again):
        sampler.save(tmp_path / str(time))
        sampler = ds.Sampler(N, BreaksOnce(), B)
        sampler.load(tmp_path / str(time))
    sampler.set_epoch(1)
    assert counts(sampler) == [0, 1]


# Ranks


def test_ranks_at_different_positions_disagree_and_are_listed() -> None:
    def body(group: Group) -> str:
        sampler = make(group=group, batch_size=4)
        sampler.set_epoch(0)
        batches = iter(sampler)
        for _ in range(1 + group.rank):
            next(batches)
        with pytest.raises(DisagreementError) as caught:
            sampler.set_epoch(1)
        return str(caught.value)

    for message in simulate(2, body):
        assert "position: rank 0 has 8, rank 1 has 16" in message


@pytest.mark.parametrize("call", ["save", "set_epoch"])
def test_positions_are_compared_at_a_save_and_at_set_epoch(call: str, tmp_path: Path) -> None:
    def body(group: Group) -> None:
        sampler = make(group=group, batch_size=4)
        sampler.set_epoch(0)
        batches = sampler.batches(prefetching=True)
        for _ in range(1 + group.rank):
            batches.received(next(batches))
        calls: dict[str, Callable[[], None]] = {
            "save": lambda: sampler.save(tmp_path),
            "set_epoch": lambda: sampler.set_epoch(0),
        }
        with pytest.raises(DisagreementError, match="position: rank 0 has 8, rank 1 has 16"):
            calls[call]()

    simulate(2, body)
