"""Simulated ranks: large worlds, one at a time, and no hang whatever a body does."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import dynsample as ds
from dynsample.groups import Group, GroupError, simulate
from dynsample.groups.flat import Bytes


def test_results_come_by_rank() -> None:
    assert simulate(3, lambda group: (group.rank, group.size)) == [(0, 3), (1, 3), (2, 3)]


@pytest.mark.whole
def test_a_world_of_a_thousand() -> None:
    def body(group: Group) -> tuple[int, int, int]:
        one = np.array([group.rank])
        total = group.sum(one, "a sum")[0]
        below = group.exclusive_scan(one, "a scan")[0]
        first = group.all_to_all([one] * group.size, "parts")[group.size - 1][0]
        return int(total), int(below), int(first)

    ranks = range(1024)
    assert simulate(1024, body) == [(sum(ranks), r * (r - 1) // 2, 1023) for r in ranks]


def test_only_one_rank_runs_at_any_moment() -> None:
    course = []

    def body(group: Group) -> None:
        for _ in range(3):
            course.append(group.rank)
            group.barrier("a barrier")

    simulate(4, body)
    assert course == [0, 1, 2, 3] * 3


def test_an_exception_ends_all_ranks() -> None:
    ended = []

    def body(group: Group) -> None:
        try:
            group.barrier("the start")
            if group.rank == 1:
                raise ArithmeticError("rank 1")
            group.barrier("the end")
        finally:
            ended.append(group.rank)

    with pytest.raises(ArithmeticError, match="rank 1"):
        simulate(5, body)
    assert sorted(ended) == [0, 1, 2, 3, 4]


def test_the_cause_of_a_failed_agreement_is_raised() -> None:
    def body(group: Group) -> None:
        group.agree(lambda: 1 // (2 - group.rank), "dividing")

    with pytest.raises(ZeroDivisionError):
        simulate(4, body)


def test_a_rank_that_ends_early_is_an_error() -> None:
    def body(group: Group) -> None:
        if group.rank != 1:
            group.barrier("the end of the epoch")

    with pytest.raises(GroupError, match=r"rank \d of 3 \w+ .*the end of the epoch: only 1 ranks"):
        simulate(3, body)


def test_ranks_that_make_other_calls_are_an_error() -> None:
    def body(group: Group) -> None:
        if group.rank == 0:
            group.sum(np.zeros(1, np.int64), "the counts")
        else:
            group.all_gather(np.zeros(1), "the scores")

    expected = (
        r"out of step: rank 0 is at the counts \(call 1, sum of <i8 \(1,\)\); "
        r"rank 1 is at the scores \(call 1, gather of <f8\)$"
    )
    with pytest.raises(GroupError, match=expected):
        simulate(2, body)


def test_a_log_that_was_damaged_on_its_way_is_refused() -> None:
    def body(group: Group) -> None:
        sampler = ds.Sampler(100, ds.Kakurenbo(), 50, group=group)
        for index in sampler:
            ones = np.ones(len(index), np.float32)
            sampler.observe(index, loss=ones, correct=ones, confidence=ones)
        gather = group._all_gather

        def damaged(sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
            parts = gather(sent, lengths, what)
            parts[1][:] = 255
            return parts

        group._all_gather = damaged  # type: ignore[method-assign]
        sampler.set_epoch(1)

    expected = (
        "cannot use what it received in the exchange .*: the log of rank 1 has a record beyond"
    )
    with pytest.raises(GroupError, match=expected):
        simulate(2, body)


def test_a_scan_by_gathers_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["dynsample.groups.base"], "_SCAN_BYTES", 100)

    def body(group: Group) -> None:
        words = np.arange(50, dtype=np.uint64) * (group.rank + 1)
        below = sum(range(1, group.rank + 1))
        expected = np.arange(50, dtype=np.uint64) * below
        np.testing.assert_array_equal(Group._scan(group, words, "a scan"), expected)

    simulate(3, body)


def test_a_world_has_ranks() -> None:
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        simulate(0, lambda group: None)
    with pytest.raises(ValueError, match="time_limit must be positive, got 0"):
        simulate(1, lambda group: None, time_limit=0)
