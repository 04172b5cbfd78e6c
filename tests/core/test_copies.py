"""Copies and pickles: another object that goes on alike, or an error that names the cure."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.groups import Group, simulate

N, B = 40, 2
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
}
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "subset": {"subset": range(0, N, 2), "fingerprint": "half"},
    "sharded": {"placement": "sharded"},
    "repeats": {"policy": ds.WeightedRandom(range(N))},
    "other columns": {"columns": {"a": ds.Window(2, signal="loss"), "b": ds.Mean(signal="loss")}},
    "pages": {"order": ds.PageLocal(np.arange(N) // 4, 2)},
}
pytestmark = pytest.mark.filterwarnings("ignore:.*hidden samples were due")


def make(policy: Any = None, **options: Any) -> ds.Sampler:
    return ds.Sampler(N, policy or ds.Kakurenbo(0.5, tau=0.0), B, seed=1, **options)


def train(sampler: ds.Sampler, epoch: int, batches: int = N, observed: int = N) -> list[Any]:
    """Go on in an epoch; say what came of it."""
    if not sampler.stats or sampler.epoch != epoch:
        sampler.set_epoch(epoch)
    seen = []
    for number, index in zip(range(batches), sampler, strict=False):
        seen.append((index.tolist(), sampler.weights(index).tolist()))
        if number < observed:
            loss = np.float32(index * 7 % 11 + number)
            sampler.observe(index, loss=loss, correct=index > 0, confidence=loss / 9)
    stats = {name: v for name, v in sampler.stats.items() if not name.endswith("seconds")}
    return [seen, stats, sampler.plan.digest, sampler.lr_scale]


def rest(sampler: ds.Sampler) -> list[Any]:
    """Train on: the rest of this epoch, and two more."""
    last = [train(sampler, epoch) for epoch in range(sampler.epoch, sampler.epoch + 3)]
    state = {name: array.tolist() for name, array in sampler.table.state().items()}
    return [last, repr(state), sampler.state_dict()]


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_of_a_sampler_goes_on_as_it_would(kind: str, way: str) -> None:
    sampler = make(**KINDS[kind])
    train(sampler, 0)
    train(sampler, 1, batches=2, observed=1)
    copied = COPIES[way](sampler)
    assert rest(copied) == rest(sampler)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_is_a_run_of_its_own(way: str) -> None:
    sampler = make()
    train(sampler, 0, batches=2)
    before = sampler.state_dict(), sampler.table["loss"].tolist()
    rest(COPIES[way](sampler))
    assert repr((sampler.state_dict(), sampler.table["loss"].tolist())) == repr(before)


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_refuses_what_the_sampler_refuses(way: str) -> None:
    """What the log allows, and which ids it knows, come along."""
    sampler = make(subset=range(0, N, 2))
    train(sampler, 0)
    sampler.set_epoch(1)
    copied = COPIES[way](sampler)
    with pytest.raises(ValueError, match=r"id 1 .* was not issued: not in the subset"):
        copied.observe(np.array([1]), **dict.fromkeys(copied.policy.columns, np.float32([1])))
    assert sampler.run.observations.log.native is not copied.run.observations.log.native


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_before_the_first_epoch(way: str) -> None:
    sampler = make()
    assert rest(COPIES[way](sampler)) == rest(sampler)


@pytest.mark.parametrize("way", COPIES)
def test_an_iterator_stays_with_its_sampler(way: str) -> None:
    sampler, whole = (make(ds.Uniform()) for _ in range(2))
    batches = iter(sampler)
    first = next(batches)
    copied = COPIES[way](sampler)
    wanted = [index.tolist() for index in whole]
    assert [first.tolist(), *(index.tolist() for index in batches)] == wanted
    assert [index.tolist() for index in copied] == wanted[1:]


@pytest.mark.parametrize("placement", ["replicated", "sharded"])
def test_ranks_copy_together_and_do_not_pickle(placement: str) -> None:
    def body(group: Group) -> None:
        sampler = make(group=group, placement=placement)
        train(sampler, 0)
        train(sampler, 1, batches=2)
        copied = copy.deepcopy({"sampler": sampler})["sampler"]
        assert copied.group is group
        assert rest(copied) == rest(sampler)
        with pytest.raises(TypeError, match=r"a group of 3 ranks cannot be pickled.*load\(path\)"):
            pickle.dumps(sampler)

    simulate(3, body)


@pytest.mark.parametrize("way", COPIES)
def test_a_tree_copies_with_all_it_knows(way: str) -> None:
    tree = ds.PriorityTree(9)
    tree.update([1, 5], [9.0, 0.5])
    tree.update([1], [2.0])
    copied = COPIES[way](tree)
    assert repr(copied) == repr(tree) == "PriorityTree(num_samples=9, total=2.5, max_priority=9)"
    copied.update([0], [1.0])
    assert tree[0] == 0
    for mine, theirs in zip(
        tree.draw(9, seed=0, step=0), COPIES[way](tree).draw(9, seed=0, step=0), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("way", COPIES)
def test_a_table_that_has_observed_copies(way: str) -> None:
    table = ds.ScoreTable(3, {"loss": ds.Last()}, index=np.array([2, 5, 7]))
    table.observe(np.array([5]), loss=np.float32([1]))
    copied = COPIES[way](table)
    copied.observe(np.array([7]), loss=np.float32([3]))
    np.testing.assert_array_equal(copied["loss"], [np.nan, 1, 3])


def test_the_parts_of_a_configuration_copy_and_pickle() -> None:
    parts = [
        *(policy() for policy in (ds.Uniform, ds.Kakurenbo, ds.ImportanceSampling, ds.Forgetting)),
        ds.Kakurenbo(schedule=ds.schedules.kakurenbo(90)),
        ds.IES(), ds.InfoBatch(epochs=9), ds.RandomSubset(), ds.SelectiveBackprop(),
        ds.EMA(), ds.Lags(2), ds.RunLength(), ds.Window(3), ds.Uncertainty(4), ds.Dual(4),
        ds.Transitions(until=2), ds.EpochRandom(1, 2),
    ]  # fmt: skip
    for part in parts:
        for way in COPIES.values():
            assert way(part) == part
    for way in COPIES.values():
        plan = make().plan
        plan.slice(0, 3)
        assert way(plan).order.tolist() == plan.order.tolist()
        weighted = way(ds.WeightedRandom([1, 2]))
        assert weighted.fingerprint(0) == ds.WeightedRandom([1, 2]).fingerprint(0)
        history = way(ds.batch.LossHistory())
        assert history.select(np.float32([1, 2])).tolist() == [False, True]
