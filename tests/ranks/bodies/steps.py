"""Ranks out of step: all of them say what each was doing, before anything is misread."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import numpy as np
import pytest
from runs import apart, shared_folder

import dynsample as ds
from dynsample.groups import Group, GroupError

Call = Callable[[Group], object]


def _last(group: Group) -> bool:
    return group.rank == group.size - 1


def _out_of_step(group: Group, one: Call, others: Call, first: str, last: str) -> None:
    """The last rank makes another call than the others, in a group for that."""
    if group.size == 1:
        return
    group = apart(group)
    ranks = "rank 0" if group.size == 2 else "ranks 0, 1.*"
    expected = f"out of step: {ranks} is at {first} .*; rank {group.size - 1} is at {last} "
    with pytest.raises(GroupError, match=expected):
        (one if _last(group) else others)(group)
    with pytest.raises(GroupError, match=f"no call can be made for the end: .*{expected}"):
        group.barrier("the end")


def check_other_calls_are_told_apart(group: Group) -> None:
    one, many = np.zeros(1, np.int64), np.zeros(1000, np.int64)
    calls: list[Call] = [
        lambda group: group.sum(one, "the counts"),
        lambda group: group.sum(many, "the counts"),
        lambda group: group.sum(one.astype(np.int32), "the counts"),
        lambda group: group.exclusive_scan(one, "the counts"),
        lambda group: group.all_gather(one, "the counts"),
        lambda group: group.all_gather(many, "the counts"),
        lambda group: group.all_gather(many.astype(np.float32), "the counts"),
        lambda group: group.all_to_all([many] * group.size, "the counts"),
        lambda group: group.barrier("the counts"),
        lambda group: group.agree(lambda: None, "the counts"),
    ]
    same = {(4, 5)}  # gathers of one dtype, of any length
    for one_call in range(len(calls)):
        for other in range(one_call):
            if (other, one_call) not in same:
                _out_of_step(group, calls[one_call], calls[other], "the counts", "the counts")


def check_other_purposes_are_told_apart(group: Group) -> None:
    values = np.arange(100)
    _out_of_step(
        group,
        lambda group: group.sum(values, "the scores"),
        lambda group: group.sum(values, "the counts"),
        "the counts",
        "the scores",
    )


def check_what_one_rank_calls_alone_is_named(group: Group) -> None:
    """Save, load and the hidden pass of sharded ranks, while the others begin an epoch."""
    folder = shared_folder(group)

    def at(call: Callable[[ds.Sampler], object]) -> Call:
        def prepared(group: Group) -> object:
            policy = ds.Kakurenbo(fraction=0.5)
            sampler = ds.Sampler(64, policy, 4, group=group, placement="sharded")
            for index in sampler:
                ones = np.ones(len(index), np.float32)
                sampler.observe(index, loss=ones, correct=ones, confidence=ones)
            sampler.save(folder)
            sampler.set_epoch(1)
            return call(sampler)

        return prepared

    def epoch(sampler: ds.Sampler) -> None:
        sampler.set_epoch(2)

    alone: dict[str, Callable[[ds.Sampler], object]] = {
        f"the save to {folder}": lambda sampler: sampler.save(folder),
        f"the load of {folder}": lambda sampler: sampler.load(folder),
        "the hidden samples of the plan of epoch 1": lambda sampler: list(sampler.hidden),
    }
    for name, call in alone.items():
        _out_of_step(group, at(call), at(epoch), r"set_epoch\(2\): the start of epoch 2", name)
    group.barrier("the last of them")
    if group.rank == 0:
        shutil.rmtree(folder)


def check_a_rank_that_leaves_tells_the_others(group: Group) -> None:
    if group.size == 1:
        return
    for error in (KeyboardInterrupt(), ValueError("a bug")):
        own = apart(group)

        def sequence(own: Group = own, error: BaseException = error) -> None:
            with own.whole("the start of epoch 1"):
                own.barrier("the first part")
                if _last(own):
                    raise error
                own.barrier("the second part")

        expected = (
            r"at the start of epoch 1: the second part \(.*; "
            rf"rank {own.size - 1} left the start of epoch 1 \({type(error).__name__}"
        )
        if _last(own):
            with pytest.raises(type(error)):
                sequence()
        else:
            with pytest.raises(GroupError, match=expected):
                sequence()
        with pytest.raises(GroupError, match=f"no call can be made for the next: .*{expected}"):
            own.barrier("the next")


def check_an_exception_of_all_ranks_leaves_the_group_as_it_is(group: Group) -> None:
    def fail_on(ranks: set[int]) -> None:
        with group.whole("a sequence"):
            group.barrier("its first part")
            group.agree(lambda: _fail(group.rank in ranks), "the write")

    for turn in range(3):
        for ranks in ({group.size - 1}, set(range(group.size))):
            with pytest.raises((OSError, GroupError), match="no disk"):
                fail_on(ranks)
        assert group.sum([turn], "a sum")[0] == turn * group.size


def _fail(fails: bool) -> None:
    if fails:
        raise OSError("no disk")


def check_a_group_of_one_is_never_broken(group: Group) -> None:
    if group.size > 1:
        return
    with pytest.raises(KeyboardInterrupt), group.whole("a sequence"):
        raise KeyboardInterrupt
    assert group.sum([3], "a sum")[0] == 3


def check_a_call_inside_a_call_is_refused(group: Group) -> None:
    if group.size == 1:
        return
    own = apart(group)
    own._standing.signals.busy = True
    own._standing.purposes.append("the first")
    with pytest.raises(RuntimeError, match="a call for the first is under way, and the second"):
        own.barrier("the second")
