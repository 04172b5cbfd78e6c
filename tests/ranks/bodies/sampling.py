"""Plans and tables of many ranks are those of one process, to the bit."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest
import runs

import dynsample as ds
from dynsample import groups
from dynsample.groups import Group
from dynsample.groups.agreement import DisagreementError

STEPS = 60
LONGER = {"ies": 200}  # steps of a policy that needs more than an epoch before it hides anything
PLACEMENTS = ("replicated", "sharded")


@cache
def expected(policy: str, order: str = "random", every: int = 1, rows: int = runs.ROWS) -> runs.Run:
    subset = None if every == 1 else np.arange(3, runs.N, every)
    sampler = runs.sampler(groups.single(), policy, order=order, subset=subset, rows=rows)
    return runs.finish(sampler, runs.train(sampler, 0, LONGER.get(policy, STEPS)))


def _check(group: Group, policy: str, order: str, every: int, placement: str) -> None:
    rows = group.size * 5 if runs.ROWS % group.size else runs.ROWS
    subset = None if every == 1 else np.arange(3, runs.N, every)
    sampler = runs.sampler(
        group, policy, order=order, subset=subset, placement=placement, rows=rows
    )
    run = runs.finish(sampler, runs.train(sampler, 0, LONGER.get(policy, STEPS)))
    whole = runs.put_together(runs.gathered(group, run), sharded=placement == "sharded")
    runs.assert_same(whole, expected(policy, order, every, rows))


def _body(policy: str, placement: str):  # type: ignore[no-untyped-def]
    def check(group: Group) -> None:
        _check(group, policy, "random", 1, placement)

    return check


for _policy in runs.POLICIES:
    for _placement in PLACEMENTS:
        name = f"check_{_policy.replace(' ', '_')}_{_placement}"
        globals()[name] = _body(_policy, _placement)


def check_orders_and_subsets(group: Group) -> None:
    for placement in PLACEMENTS:
        _check(group, "kakurenbo", "sequential", 1, placement)
        _check(group, "infobatch", "sequential", 2, placement)
        _check(group, "importance", "random", 2, placement)


def check_fewer_rows_than_ranks(group: Group) -> None:
    for n in range(group.size + 2):
        for placement in PLACEMENTS:
            sampler = ds.Sampler(n, ds.Kakurenbo(), 2, group=group, placement=placement)
            run = runs.Run()
            for step, index in enumerate(sampler):
                run.steps[step] = runs.Step(0, False, index, sampler.weights(index))
                sampler.observe(index, **runs.outputs(index, step))
            assert len(run.steps) == len(sampler) == -(-n // (2 * group.size))
            whole = runs.put_together(runs.gathered(group, run), sharded=False)
            ids = [step.ids for step in whole.steps.values()]
            assert sorted(np.concatenate([np.empty(0, int), *ids])) == list(range(n))
            sampler.set_epoch(1)
            assert sampler.stats["unseen"] == sampler.stats["not_issued"] == 0


def check_a_slice_of_a_sharded_order(group: Group) -> None:
    sampler = ds.Sampler(runs.N, ds.RandomSubset(), 4, group=group, placement="sharded")
    alone = ds.Sampler(runs.N, ds.RandomSubset(), 4, group=groups.single())
    np.testing.assert_array_equal(sampler.plan.slice(3, 500), alone.plan.slice(3, 500))
    np.testing.assert_array_equal(
        sampler.plan.slice(0, 100, hidden=True), alone.plan.slice(0, 100, hidden=True)
    )
    with pytest.raises(RuntimeError, match=r"plan\.order needs placement=\"replicated\""):
        _ = sampler.plan.order


def check_observations_of_another_rank_are_raised_on_every_rank(group: Group) -> None:
    for placement in PLACEMENTS:
        sampler = ds.Sampler(100, ds.Kakurenbo(), 5, group=group, placement=placement)
        first = next(iter(sampler))
        every = group.all_gather(first, "a batch")
        mine = every[(group.rank + 1) % group.size]
        sampler.observe(mine, **runs.outputs(mine, 0))
        if group.size == 1:
            sampler.set_epoch(1)
            continue
        with pytest.raises(ds.ObservationError, match=f"^{5 * group.size} observations of epoch 0"):
            sampler.set_epoch(1)
        sampler.set_epoch(1)
        assert sampler.stats["unseen"] == 100


def check_ranks_that_disagree_say_what_differs(group: Group) -> None:
    if group.size == 1:
        return
    last = group.rank == group.size - 1
    others = {
        "seed": {"seed": int(last)},
        "batch_size": {"batch_size": 4 + last},
        "drop_last": {"drop_last": last},
        "policy": {"policy": ds.RandomSubset(0.2 if last else 0.3)},
        "num_samples": {"num_samples": 100 + last},
        "order": {"order": "sequential" if last else "random"},
        "subset": {"subset": np.arange(50 + last)},
    }
    for name, arguments in others.items():
        given = {"num_samples": 100, "batch_size": 4, "policy": ds.Uniform(), **arguments}
        sampler = ds.Sampler(**given, group=group)
        with pytest.raises(
            DisagreementError, match=f"{name}: rank 0 has .*, rank {group.size - 1}"
        ):
            sampler.set_epoch(0)
    sampler = ds.Sampler(100, group=group)
    with pytest.raises(DisagreementError, match=r"set_epoch: rank 0 has \[1, False\]"):
        sampler.set_epoch(1, restart=last)


def check_tables_that_differ_are_noticed(group: Group) -> None:
    if group.size == 1:
        return
    sampler = ds.Sampler(100, ds.Kakurenbo(tau=0), group=group)
    loss = np.arange(100, dtype=np.float32) * (1 if group.rank else -1)
    for name, values in (("loss", loss), ("correct", loss * 0 + 1), ("confidence", loss * 0 + 1)):
        sampler.table.set_column(name, values)
    with pytest.raises(DisagreementError, match="ranks disagree in the plan of epoch 1"):
        sampler.set_epoch(1)


def check_a_policy_that_fails_on_one_rank_ends_all(group: Group) -> None:
    def weights(table: ds.ScoreTable) -> np.ndarray:
        if group.rank == group.size - 1:
            raise ValueError("no weights today")
        return np.ones(table.num_samples, np.float32)

    sampler = ds.Sampler(10, ds.WeightedRandom(weights), group=group)
    error = ValueError if group.rank == group.size - 1 else groups.GroupError
    with pytest.raises(error, match="no weights today"):
        sampler.set_epoch(0)


def check_resume_on_one_rank_and_back(group: Group) -> None:
    if runs.ROWS % group.size:
        return
    for policy in ("kakurenbo", "importance", "selective-backprop"):
        for placement in PLACEMENTS:
            _check_resume(group, policy, placement)


def _check_resume(group: Group, policy: str, placement: str) -> None:
    folder = runs.shared_folder(group)
    sampler = runs.sampler(group, policy, placement=placement)
    run = runs.train(sampler, 0, 37)
    sampler.save(folder / "a")
    alone = runs.sampler(groups.single(), policy)
    alone.load(folder / "a")
    middle = runs.train(alone, 37, 45)
    if group.rank == 0:
        alone.save(folder / "b")
    group.barrier("the save of rank 0")
    again = runs.sampler(group, policy, placement=placement)
    again.load(folder / "b")
    last = runs.finish(again, runs.train(again, 45, STEPS))
    sharded = placement == "sharded"
    for part in (
        runs.put_together(runs.gathered(group, run), sharded=sharded),
        middle,
        runs.put_together(runs.gathered(group, last), sharded=sharded),
    ):
        runs.assert_same(part, expected(policy))
    group.barrier("the last read")
    if group.rank == 0:
        shutil.rmtree(folder)


def check_a_damaged_state_is_refused_by_every_rank(group: Group) -> None:
    folder = runs.shared_folder(group)
    sampler = runs.sampler(group, "kakurenbo", rows=4 * group.size)
    runs.train(sampler, 0, 3)
    sampler.save(folder)
    if group.rank == 0:
        file = sorted(folder.glob("generation-*/table-*"))[-1]
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
    group.barrier("the damage")
    resumed = runs.sampler(group, "kakurenbo", rows=4 * group.size, placement="sharded")
    with pytest.raises((ds.StateError, groups.GroupError), match="is damaged"):
        resumed.load(folder)
    group.barrier("the last read")
    if group.rank == 0:
        shutil.rmtree(folder)
