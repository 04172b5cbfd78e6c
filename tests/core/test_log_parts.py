"""The open and the closed part of a log: nothing accepted is lost, nothing is folded twice."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import dynsample as ds
from dynsample.table.columns import Last, Mean, Window
from dynsample.table.log import ObservationLog, fold

N = 6
COLUMNS = {"last": Last(signal="loss"), "window": Window(3, signal="loss")}
batches = st.lists(st.tuples(st.integers(0, N - 1), st.floats(width=32)), max_size=6)


class LogAgainstLists(RuleBasedStateMachine):
    """A log, and what Python lists would hold in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.log = ObservationLog(N, ["loss"])
        self.open: list[tuple[int, float]] = []
        self.closed: list[tuple[int, float]] = []
        self.table: list[list[float]] = [[] for _ in range(N)]
        self.folded = 0
        self.parts = {name: column.allocate(N) for name, column in COLUMNS.items()}
        self.seen = np.zeros(N, np.bool_)

    @staticmethod
    def arrays(batch: list[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
        rows, loss = [row for row, _ in batch], [loss for _, loss in batch]
        return np.array(rows, np.int64), np.array(loss, np.float32)

    @rule(batch=batches)
    def append(self, batch: list[tuple[int, float]]) -> None:
        ids, loss = self.arrays(batch)
        self.log.append(ids, {"loss": loss})
        self.open += batch

    @rule(batch=batches, bad=st.sampled_from([-1, N, 2**32]))
    def append_one_that_is_refused(self, batch: list[tuple[int, float]], bad: int) -> None:
        ids, loss = self.arrays([*batch, (bad, 0.0)])
        with pytest.raises(IndexError, match=rf"got id {bad} \(row {len(batch)} of the batch\)"):
            self.log.append(ids, {"loss": loss})

    @rule()
    def close(self) -> None:
        self.log.close()
        self.closed += self.open
        self.open = []

    @rule()
    def fold(self) -> None:
        fold(self.log, COLUMNS, self.parts, self.seen, epoch=0)
        self.folded += len(self.closed)
        for row, loss in self.closed:
            self.table[row].append(loss)
        self.closed = []

    @rule()
    def fold_with_tickets_of_another_size(self) -> None:
        tickets = np.zeros(len(self.closed) + 1, np.int64)
        with pytest.raises(ValueError, match="tickets must have"):
            fold(self.log, COLUMNS, self.parts, self.seen, epoch=0, tickets=tickets)

    @rule(folded=st.booleans())
    def drop_closed(self, folded: bool) -> None:
        self.log.drop_closed(folded=folded)
        self.folded += folded * len(self.closed)
        self.closed = []

    @rule()
    def clear(self) -> None:
        self.log.clear()
        self.open, self.closed, self.folded = [], [], 0

    @rule(batch=batches, folded=st.integers(0, 9))
    def restore(self, batch: list[tuple[int, float]], folded: int) -> None:
        ids, loss = self.arrays(batch)
        self.log.restore(ids.astype(np.uint32), {"loss": loss}, folded)
        self.open, self.closed, self.folded = [], list(batch), folded

    @rule(count=st.integers(0, 9000))
    def reserve(self, count: int) -> None:
        self.log.reserve(count)

    @invariant()
    def the_log_holds_what_the_lists_hold(self) -> None:
        assert len(self.log) == len(self.open) + len(self.closed)
        assert (self.log.num_closed, self.log.num_folded) == (len(self.closed), self.folded)
        rows, loss = self.arrays(self.closed)
        np.testing.assert_array_equal(self.log.index(), rows)
        np.testing.assert_array_equal(self.log.signal("loss"), loss)
        assert self.log.non_finite() == np.count_nonzero(~np.isfinite(loss))
        assert self.log.binary() == [set(loss.view(np.uint32)) <= {0, 0x3F800000}]

    @invariant()
    def the_table_holds_what_was_folded(self) -> None:
        for row, values in enumerate(self.table):
            assert self.seen[row] == bool(values)
            assert self.parts["window"]["count"][row] == len(values)
            if values:
                np.testing.assert_equal(self.parts["last"]["value"][row], np.float32(values[-1]))


TestLogAgainstLists = LogAgainstLists.TestCase
TestLogAgainstLists.settings = settings(stateful_step_count=30)


def test_a_log_keeps_to_its_bound_whichever_part_it_is_in() -> None:
    log = ObservationLog(10, ["loss"], max_bytes=80)
    six = {"loss": np.zeros(6, np.float32)}
    log.append(np.arange(6), six)
    log.close()
    with pytest.raises(ValueError, match="of 12 observations is beyond the 10 that max_log_bytes"):
        log.append(np.arange(6), six)
    log.append(np.arange(4), {"loss": np.zeros(4, np.float32)})
    log.close()
    assert log.num_closed == 10


def go_on(sampler: ds.Sampler, epoch: int) -> int:
    """Begin an epoch; give how many observations were said not to be in the table."""
    refused = 0
    while True:
        try:
            sampler.set_epoch(epoch)
        except ds.ObservationError:
            refused += int(sampler.stats["not_issued"])
        else:
            return refused


@pytest.mark.parametrize("refused_ones", [False, True])
def test_what_a_thread_observes_while_epochs_end_is_in_the_table_or_in_an_error(
    refused_ones: bool,
) -> None:
    columns = {"loss": Mean()}
    sampler = ds.Sampler(2000, ds.Uniform(), 100, columns=columns, group=None)
    batches: list[np.ndarray] = []
    handed, over = threading.Semaphore(0), object()
    accepted = 0

    def observe() -> None:
        nonlocal accepted
        at = 0
        while True:
            handed.acquire()
            ids: Any = batches[at]
            at += 1
            if ids is over:
                return
            for each in (ids, ids) if refused_ones else (ids,):
                sampler.observe(each, loss=np.ones(len(each), np.float32))
                accepted += len(each)

    thread = threading.Thread(target=observe)
    thread.start()
    refused = 0
    for epoch in range(50):
        refused += go_on(sampler, epoch)
        for ids in sampler:
            batches.append(ids)
            handed.release()
    batches.append(over)  # type: ignore[arg-type]
    handed.release()
    thread.join()
    refused += go_on(sampler, 50)
    assert len(sampler.run.observations.log) == 0
    in_table = int(sampler.table.part("loss", "count").sum())
    assert in_table + refused == accepted == 50 * 2000 * (2 if refused_ones else 1)


def test_a_late_observation_is_not_taken_for_one_of_the_next_epoch() -> None:
    sampler = ds.Sampler(4, ds.Uniform(), 4, columns={"loss": Last()}, group=None)
    ids = next(iter(sampler))
    sampler.set_epoch(1)
    sampler.observe(ids, loss=np.zeros(4, np.float32))  # late: of epoch 0
    sampler.observe(next(iter(sampler)), loss=np.arange(1, 5, dtype=np.float32))
    with pytest.raises(ds.ObservationError, match=r"^4 observations of epoch 1"):
        sampler.set_epoch(2)
    sampler.set_epoch(2)
    assert sorted(sampler.table["loss"]) == [1, 2, 3, 4]


def test_a_table_takes_observations_of_several_threads() -> None:
    table = ds.ScoreTable(1000, {"loss": Mean()})

    def observe() -> None:
        for _ in range(200):
            table.observe(np.arange(1000), loss=np.ones(1000, np.float32))

    threads = [threading.Thread(target=observe) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(table.part("loss", "count"), 600)
