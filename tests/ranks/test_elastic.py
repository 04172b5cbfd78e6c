"""A run that is saved and resumed on other numbers of ranks is the uninterrupted one."""

from pathlib import Path

import numpy as np
import pytest
import runs

from dynsample import groups
from dynsample.groups import Group

STEPS = 140


@pytest.mark.parametrize("policy", runs.POLICIES)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_resume_of_a_resume_on_other_ranks(policy: str, seed: int, tmp_path: Path) -> None:
    random = np.random.default_rng(seed)
    alone = runs.sampler(groups.single(), policy)
    expected = runs.finish(alone, runs.train(alone, 0, STEPS))
    cuts = [0, *sorted(random.choice(np.arange(1, STEPS), 3, replace=False).tolist()), STEPS]
    for life, size in enumerate((8, 2, 3, 8)):
        placement = str(random.choice(["replicated", "sharded"]))

        def body(group: Group, life: int = life, placement: str = placement) -> runs.Run:
            sampler = runs.sampler(group, policy, placement=placement)
            if life:
                sampler.load(tmp_path)
            run = runs.train(sampler, cuts[life], cuts[life + 1])
            if life == 3:
                return runs.finish(sampler, run)
            sampler.save(tmp_path)
            return run

        whole = runs.put_together(groups.simulate(size, body), sharded=placement == "sharded")
        assert list(whole.steps) == list(range(cuts[life], cuts[life + 1]))
        runs.assert_same(whole, expected)


@pytest.mark.parametrize("policy", ["kakurenbo", "importance", "forgetting"])
@pytest.mark.parametrize("sizes", [(4, 1), (1, 3), (3, 8)])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
def test_what_was_received_before_a_save_can_be_observed_after_the_load(
    policy: str, sizes: tuple[int, int], placement: str, tmp_path: Path
) -> None:
    cut = 60
    alone = runs.sampler(groups.single(), policy)
    expected = runs.finish(alone, runs.train(alone, 0, STEPS))

    def first(group: Group) -> runs.Run:
        sampler = runs.sampler(group, policy, placement=placement)
        run = runs.train(sampler, 0, cut, late=True)
        sampler.save(tmp_path)
        return run

    def second(group: Group) -> runs.Run:
        sampler = runs.sampler(group, policy, placement=placement)
        sampler.load(tmp_path)
        late = np.array_split(expected.steps[cut - 1].ids, group.size)[group.rank]
        sampler.observe(late, **runs.signals(late, cut - 1))
        return runs.finish(sampler, runs.train(sampler, cut, STEPS))

    groups.simulate(sizes[0], first)
    whole = runs.put_together(groups.simulate(sizes[1], second), sharded=placement == "sharded")
    runs.assert_same(whole, expected)


@pytest.mark.parametrize("policy", ["kakurenbo", "importance"])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 1, 3, 2), (3, 4, 1, 2)])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
def test_a_batch_may_wait_at_every_save(
    policy: str, sizes: tuple[int, ...], placement: str, tmp_path: Path
) -> None:
    cuts = [0, 56, 59, 62, STEPS]  # close together: a row that waits comes again before the end
    alone = runs.sampler(groups.single(), policy)
    expected = runs.finish(alone, runs.train(alone, 0, STEPS))
    for life, size in enumerate(sizes):

        def body(group: Group, life: int = life) -> runs.Run:
            sampler = runs.sampler(group, policy, placement=placement)
            start, stop = cuts[life], cuts[life + 1]
            if life:
                sampler.load(tmp_path)
                late = np.array_split(expected.steps[start - 1].ids, group.size)[group.rank]
                sampler.observe(late, **runs.signals(late, start - 1))
            run = runs.train(sampler, start, stop, late=stop < STEPS)
            if stop == STEPS:
                return runs.finish(sampler, run)
            sampler.save(tmp_path)
            return run

        whole = runs.put_together(groups.simulate(size, body), sharded=placement == "sharded")
        runs.assert_same(whole, expected)


def test_another_number_of_rows_per_step_keeps_the_order(tmp_path: Path) -> None:
    alone = runs.sampler(groups.single(), "kakurenbo", rows=10)
    rest = alone.plan.order[50:]

    def first(group: Group) -> None:
        sampler = runs.sampler(group, "kakurenbo", rows=10)
        runs.train(sampler, 0, 5)
        sampler.save(tmp_path)

    def second(group: Group) -> list[np.ndarray]:
        sampler = runs.sampler(group, "kakurenbo", rows=21, placement="sharded")
        sampler.load(tmp_path)
        return [index[sampler.weights(index) > 0] for index in sampler]

    groups.simulate(2, first)
    parts = groups.simulate(3, second)
    seen = np.concatenate([index for step in zip(*parts, strict=True) for index in step])
    np.testing.assert_array_equal(seen, rest)
