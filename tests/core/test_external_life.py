"""The life of an epoch that others hand out: orders, observations, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from breaks_once import BreaksOnce
from external_runs import N, ids_of, make, observe

import dynsample as ds
from dynsample.groups import Group, simulate

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed", "ignore:.*hidden samples were due"
)


def test_the_plans_are_those_of_the_own_hand_out_at_any_number_of_ranks() -> None:
    def own() -> list[str]:
        sampler, digests = make(issue="sampler", batch_size=8), []
        for epoch in range(4):
            sampler.set_epoch(epoch)
            digests.append(sampler.plan.digest)
            for batches in (sampler, sampler.hidden):
                for index in batches:
                    observe(sampler, index)
        return digests

    def external(group: Group) -> list[str]:
        sampler, digests = make(group=group), []
        for epoch in range(4):
            sampler.set_epoch(epoch)
            digests.append(sampler.plan.digest)
            for hidden in (False, True):
                ids = list(ids_of(sampler, hidden))
                mine = ids[group.rank :: group.size]
                if mine:
                    observe(sampler, mine[::-1])
        assert sampler.stats["surplus"] == sampler.stats["not_issued"] == 0
        return digests

    expected = own()
    for ranks in (1, 2, 3):
        assert simulate(ranks, external) == [expected] * ranks


def test_of_several_observations_the_earliest_counts_then_that_of_the_lowest_rank() -> None:
    def body(group: Group) -> tuple[list[float], float]:
        sampler = make(group=group)
        first, second, third = sampler.plan.order[:3]
        if group.rank == 0:
            observe(sampler, [second], 1.0)
            observe(sampler, [first], 2.0)
            observe(sampler, [third], 3.0)
        else:
            observe(sampler, [first], 4.0)
            observe(sampler, [second], 5.0)
            observe(sampler, [third], 6.0)
            observe(sampler, [first], 7.0)
        sampler.set_epoch(1)
        losses = sampler.table["loss"][[first, second, third]].tolist()
        return losses, sampler.stats["surplus"]

    assert simulate(2, body) == [([4.0, 1.0, 3.0], 4)] * 2


def test_an_id_that_the_plan_does_not_issue_is_an_error_that_names_it() -> None:
    sampler = make(ds.RandomSubset(fraction=0.5), columns={"loss": ds.Mean()})
    left_out = int(sampler.plan.hidden[0])
    with pytest.raises(ValueError, match=rf"\b{left_out}\b"):
        observe(sampler, [left_out])
    with pytest.raises(IndexError, match=f"{N}"):
        observe(sampler, [N])


def test_weights_are_those_of_the_ids_surplus_or_not() -> None:
    sampler = make(ds.InfoBatch(ratio=0.5, delta=1.0))
    observe(sampler, list(ids_of(sampler)))
    sampler.set_epoch(1)
    ids = np.array(list(ids_of(sampler)))
    padded = np.concatenate([ids, ids[:3]])
    weights = sampler.weights(padded)
    assert len(set(weights.tolist())) == 2
    np.testing.assert_array_equal(weights[-3:], weights[:3])
    for index in (padded[:20], padded[20:]):
        observe(sampler, index)
    sampler.set_epoch(2)
    assert sampler.stats["surplus"] == 3


def test_an_order_may_be_looked_at_and_begun_again_until_it_is_used() -> None:
    sampler = make()
    looked = [next(ids_of(sampler)) for _ in range(3)]
    assert set(looked) == {sampler.plan.order[0]}
    batches = ids_of(sampler)
    observe(sampler, [next(batches), next(batches)])
    with pytest.raises(RuntimeError, match=r"once: 2 of 40 .* 2 observ.*set_epoch\(0\) goes on"):
        ids_of(sampler)
    sampler.set_epoch(0)
    assert next(batches) == sampler.plan.order[2]  # set_epoch again leaves what runs alone
    np.testing.assert_array_equal(list(ids_of(sampler)), sampler.plan.order[2:])
    with pytest.raises(RuntimeError, match="another iterator went on"):
        next(batches)
    with pytest.raises(RuntimeError, match=r"once: 38 of 38 .* 0 observations .*set_epoch\(1\)"):
        ids_of(sampler)


def test_an_iterator_does_not_outlive_its_epoch() -> None:
    sampler = make()
    batches = ids_of(sampler)
    observe(sampler, [next(batches)])
    sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match="epoch 0 was left"):
        next(batches)


def test_an_epoch_that_was_folded_and_not_planned_is_handed_out_no_more(tmp_path: Path) -> None:
    BreaksOnce.broken.clear()
    sampler = make(BreaksOnce())
    observe(sampler, list(ids_of(sampler))[:7])
    with pytest.raises(ValueError, match="a policy's error"):
        sampler.set_epoch(1)
    sampler.set_epoch(0)
    with pytest.raises(RuntimeError, match="can be iterated once"):
        ids_of(sampler)
    sampler.save(tmp_path)
    resumed = make(BreaksOnce())
    resumed.load(tmp_path)
    resumed.set_epoch(0)
    assert list(ids_of(resumed)) == []
    resumed.set_epoch(1)
    assert len(list(ids_of(resumed))) == 30
    assert np.count_nonzero(resumed.table.seen) == 7


def test_of_a_subset_ids_are_those_of_the_data_set() -> None:
    subset = np.arange(3, N, 3)
    sampler = make(subset=subset)
    ids = list(ids_of(sampler))
    assert ids == sampler.plan.order.tolist()
    assert sorted(ids) == subset.tolist()
    observe(sampler, ids[::2])
    assert sampler.outstanding.tolist() == ids[1::2]
    sampler.set_epoch(0)
    assert list(ids_of(sampler)) == ids[1::2]


def test_restart_gives_the_whole_order_again() -> None:
    sampler = make()
    observe(sampler, list(ids_of(sampler))[:5])
    sampler.set_epoch(0, restart=True)
    assert sorted(ids_of(sampler)) == list(range(N))
    assert sampler.stats["num_positions"] == N


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": "sharded"}, 'placement must be "replicated" with issue="external"'),
        ({"drop_last": True}, 'drop_last must be False with issue="external"'),
        ({"issue": "mine"}, "issue must be one of 'sampler', 'external', got 'mine'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_sampler_that_deals_nothing_says_what_to_iterate() -> None:
    sampler = make()
    calls = [
        iter,
        len,
        lambda s: s.peek(),
        lambda s: s.hidden,
        lambda s: s.batches(prefetching=True),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r'got issue="external".*dynsample\.torch\.IndexSampler'
        ):
            call(sampler)  # type: ignore[operator]
    assert sampler or None
    assert sorted(np.concatenate(list(sampler.all(7))).tolist()) == list(range(N))
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        make(issue="sampler").outstanding  # noqa: B018


def test_progress_is_by_what_was_observed(tmp_path: Path) -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    assert sampler.progress == 0.0
    observe(sampler, ids[:10])
    assert sampler.progress == 0.25
    sampler.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    assert resumed.progress == 0.25
    observe(resumed, list(ids_of(resumed))[:10])
    assert resumed.progress == 0.5


@pytest.mark.parametrize("late", [0, 3])
def test_rollouts_that_were_observed_one_by_one_are_warned_of(late: int) -> None:
    sampler = make(ds.PassRate(num_draws=4), late=late)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        ids = np.array(list(ids_of(sampler)))
        more = ids if epoch else ids[:3]  # as padding does
        ids = np.concatenate([ids, more])
        sampler.observe(ids, reward=np.ones(len(ids), np.float32))
    message = r"4 observations of epoch 1 were dropped, and its plan has 4 positions: .* the mean"
    with pytest.warns(RuntimeWarning, match=message):
        sampler.set_epoch(2)
    assert sampler.stats["surplus"] == 4
