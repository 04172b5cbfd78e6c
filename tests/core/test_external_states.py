"""States of epochs that others hand out: what is left, and between which runs they move."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from breaks_once import BreaksOnce
from external_runs import N, ids_again, ids_of, make, observe

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.run import planning
from dynsample.run.boundary import ObservationError

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed", "ignore:.*hidden samples were due"
)


def test_a_policy_without_columns_is_asked_for_consumed(tmp_path: Path) -> None:
    def begin(group: Group) -> list[int]:
        sampler = make(ds.Uniform(), group=group)
        sampler.save(tmp_path)  # nothing was handed out
        ids = list(ids_of(sampler)) if group.rank == 0 else []  # as a loader that dispatches
        with pytest.raises((ValueError, RuntimeError), match="pass consumed="):
            sampler.save(tmp_path)
        with pytest.raises(
            (ValueError, RuntimeError), match=r"consumed must be in \[0, 40\], got 41"
        ):
            sampler.save(tmp_path, consumed=41)
        sampler.save(tmp_path, consumed=12)
        return ids

    def go_on(group: Group) -> list[list[int]]:
        sampler = make(ds.Uniform(), group=group)
        sampler.load(tmp_path)
        sampler.save(tmp_path)  # nothing was handed out since
        ids = [list(ids_of(sampler))]
        sampler.save(tmp_path, consumed=8)
        sampler.load(tmp_path)
        return [*ids, list(ids_of(sampler))]

    ids = simulate(2, begin)[0]
    for found in simulate(3, go_on):
        assert found == [ids[12:], ids[20:]]


def test_a_policy_without_columns_may_be_observed_in_place_of_consumed(tmp_path: Path) -> None:
    sampler = make(ds.Uniform())
    ids = list(ids_of(sampler))
    sampler.observe(np.array(ids[3:9]))
    sampler.save(tmp_path)
    resumed = make(ds.Uniform())
    resumed.load(tmp_path)
    assert list(ids_of(resumed)) == ids[:3] + ids[9:]


def test_consumed_is_refused_where_samples_are_observed(tmp_path: Path) -> None:
    sampler = make()
    next(ids_of(sampler))
    with pytest.raises(ValueError, match="consumed must be left out"):
        sampler.save(tmp_path, consumed=1)


def test_what_was_consumed_may_be_observed_later(tmp_path: Path) -> None:
    sampler = make(ds.Uniform())
    ids = list(ids_of(sampler))
    sampler.save(tmp_path, consumed=5)
    resumed = make(ds.Uniform())
    resumed.load(tmp_path)
    resumed.observe(np.array(ids[2:4]))
    resumed.set_epoch(1)
    assert set(np.flatnonzero(resumed.table.seen)) == set(ids[2:4])
    assert resumed.stats["surplus"] == 0


def test_an_epoch_that_was_consumed_goes_on_in_the_own_hand_out(tmp_path: Path) -> None:
    sampler = make(ds.Uniform())
    ids = np.array(list(ids_of(sampler)))
    sampler.observe(ids[:5])
    sampler.save(tmp_path, consumed=N)
    own = make(ds.Uniform(), issue="sampler")
    for late, message in ((ids[5:7], None), (ids[4:7], "1 observations of epoch 0")):
        own.load(tmp_path)
        own.observe(late)
        with pytest.raises(ObservationError, match=message) if message else nullcontext():
            own.set_epoch(1)
        assert set(np.flatnonzero(own.table.seen)) == set(ids[:7])


def test_an_epoch_that_is_over_is_saved_without_what_was_consumed(tmp_path: Path) -> None:
    own = make(BreaksOnce(), issue="sampler", batch_size=8)
    BreaksOnce.broken.clear()
    index = next(batches := iter(own))
    next(batches)
    observe(own, index)
    own.save(tmp_path, consumed=2)
    for time in range(3):  # with 8 outstanding rows, then folded, then folded and loaded
        sampler = make(BreaksOnce())
        sampler.load(tmp_path)
        if not time:
            with pytest.raises(ValueError, match="a policy's error"):
                sampler.set_epoch(1)
        sampler.save(tmp_path)
    sampler.set_epoch(1)
    assert np.count_nonzero(sampler.table.seen) == 8
    assert len(list(ids_of(sampler))) == 30


def test_a_state_of_the_own_hand_out_goes_on_externally(tmp_path: Path) -> None:
    own = make(issue="sampler", batch_size=8)
    received = [next(batches) for batches in [iter(own)] for _ in range(3)]
    for index in received[:2]:
        observe(own, index)
    own.save(tmp_path, consumed=3)
    sampler = make()
    sampler.load(tmp_path)
    np.testing.assert_array_equal(list(ids_of(sampler)), sampler.plan.order[24:])
    observe(sampler, received[2])  # which was received, and comes late
    observe(sampler, list(ids_again(sampler)))
    sampler.set_epoch(1)
    assert sampler.stats["surplus"] == 0
    assert sampler.table.seen.all()


def test_an_external_state_goes_on_in_the_own_hand_out_between_epochs_only(tmp_path: Path) -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    observe(sampler, ids[:5])
    sampler.save(tmp_path / "middle")
    own = make(issue="sampler", batch_size=8)
    digest = own.plan.digest
    with pytest.raises(StateError, match=r'in mid-epoch with issue="external"'):
        own.load(tmp_path / "middle")
    assert (own.plan.digest, own.state_dict()["positions"]) == (digest, 0)
    observe(sampler, ids[3:])  # two of them surplus
    sampler.save(tmp_path / "end")
    own.load(tmp_path / "end")
    own.set_epoch(1)
    sampler.set_epoch(1)
    assert own.plan.digest == sampler.plan.digest
    np.testing.assert_array_equal(own.table["loss"], sampler.table["loss"])


def test_late_observations_of_the_epoch_before_are_not_issued() -> None:
    sampler = make()
    observe(sampler, list(ids_of(sampler)))
    ledger = sampler.run.current.ledger
    ledger.log.close()
    observe(sampler, [3])  # as another thread does, while the epoch ends
    sampler.run.table.fold(ledger.log, epoch=0)
    planning.start(sampler.run, sampler.plan, named=True, stats={})
    with pytest.raises(ObservationError, match="1 observations"):
        sampler.set_epoch(1)


def test_a_copy_goes_on_on_its_own() -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    observe(sampler, ids[:5])
    other = copy.copy(sampler)
    observe(sampler, ids[5:9])
    other.set_epoch(0)
    assert list(ids_of(other)) == ids[5:]


def test_naming_an_epoch_again_or_saving_it_takes_no_tickets_to_settle(tmp_path: Path) -> None:
    sampler = make(ds.InfoBatch(epochs=4))
    for epoch in range(2):
        sampler.set_epoch(epoch)
        ids = list(ids_of(sampler))
        observe(sampler, ids[:20])
        sampler.set_epoch(epoch)
        _ = sampler.outstanding
        sampler.save(tmp_path)
        observe(sampler, ids[20:])
        current = sampler.run.current
        settled = current.ledger.settle(current.plan, sampler.group, "this")
        assert [portion.tickets for portion in settled.portions] == [None]
