"""A signal handler that saves, wherever the run is, and calls that may not begin inside another."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.run.turn import Inside, alone, running

N, B = 24, 7
PACKAGE = str(Path(ds.__file__).parent)


def make(**options: Any) -> ds.Sampler:
    columns = {"count": ds.Mean(signal="loss")}
    policy = ds.Kakurenbo(fraction=0.4, tau=0.0)
    return ds.Sampler(N, policy, B, seed=5, columns=columns, **options)


def observe(sampler: ds.Sampler, index: np.ndarray) -> None:
    ones = np.ones(len(index), np.float32)
    loss = ((index * 7919 + sampler.epoch * 31) % 101).astype(np.float32)
    sampler.observe(index, loss=loss, correct=ones, confidence=ones)


def train(sampler: ds.Sampler, first: int = 0) -> list[int]:
    for epoch in range(first, 3):
        sampler.set_epoch(epoch)
        for batches in (sampler.batches(prefetching=True), None):
            source = sampler.hidden.batches(prefetching=True) if batches is None else batches
            for index in source:
                observe(sampler, source.received(index))
    sampler.set_epoch(3)
    return sampler.table.part("count", "count").tolist()


def with_signal(line: int, call: Callable[[], Any]) -> int:
    """Make a call in which SIGUSR1 comes at the n-th line of dynsample; give how many there are."""
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            count += 1
            if count == line:
                sys.settrace(None)
                signal.raise_signal(signal.SIGUSR1)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("part", range(4))
def test_a_save_in_a_handler_at_any_moment_is_a_state_that_goes_on(
    part: int, tmp_path: Path
) -> None:
    first = make()
    total = with_signal(0, lambda: train(first))
    lines = np.random.default_rng(part).integers(1, total, 12).tolist()
    before = signal.getsignal(signal.SIGUSR1)
    try:
        for line in lines:
            sampler, folder = make(), tmp_path / str(line)
            saved: list[int] = []

            def handler(*_: Any, sampler: ds.Sampler = sampler, folder: Path = folder) -> None:
                sampler.save(folder)
                saved.append(1)  # noqa: B023

            signal.signal(signal.SIGUSR1, handler)
            with_signal(line, lambda: train(sampler))  # noqa: B023
            assert saved
            resumed = make()
            resumed.load(folder)
            over = resumed.run.current.over
            counts = train(resumed, resumed.epoch + over)
            # What had been received and was not observed when the handler came is not observed.
            assert max(counts) == 3
            assert sum(counts) >= 3 * N - B
    finally:
        signal.signal(signal.SIGUSR1, before)


class Calls(ds.Policy):
    """Makes a call in the middle of set_epoch."""

    call: Callable[[], None] | None = None

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        if Calls.call is not None:
            Calls.call()
        return ds.Selection()


@pytest.fixture
def calling() -> Any:
    def prepare(sampler: ds.Sampler, call: Callable[[], None]) -> None:
        Calls.call = call

    yield prepare
    Calls.call = None


def test_a_save_inside_of_set_epoch_comes_directly_after_it(calling: Any, tmp_path: Path) -> None:
    sampler = ds.Sampler(N, Calls(), B)
    seen: list[bool] = []

    def save() -> None:
        Calls.call = None
        sampler.save(tmp_path / "state")
        seen.append((tmp_path / "state").exists())

    calling(sampler, save)
    sampler.set_epoch(1)
    assert seen == [False]
    resumed = ds.Sampler(N, Calls(), B)
    resumed.load(tmp_path / "state")
    assert resumed.epoch == 1


@pytest.mark.parametrize("what", ["set_epoch", "load"])
def test_other_calls_inside_of_set_epoch_are_refused(
    what: str, calling: Any, tmp_path: Path
) -> None:
    sampler = ds.Sampler(N, Calls(), B)
    inner = {"set_epoch": lambda: sampler.set_epoch(2), "load": lambda: sampler.load(tmp_path)}
    calling(sampler, inner[what])
    with pytest.raises(RuntimeError, match=r"was called while set_epoch\(1\) runs around it"):
        sampler.set_epoch(1)
    assert running(sampler.run) is None


def test_a_call_from_another_thread_is_refused(calling: Any, tmp_path: Path) -> None:
    sampler = ds.Sampler(N, Calls(), B)
    errors: list[str] = []

    def save() -> None:
        try:
            sampler.save(tmp_path)
        except RuntimeError as error:
            errors.append(str(error))

    def in_thread() -> None:
        thread = threading.Thread(target=save)
        thread.start()
        thread.join()

    calling(sampler, in_thread)
    sampler.set_epoch(1)
    assert len(errors) == 1
    assert "runs in another thread" in errors[0]


def test_on_several_ranks_a_save_inside_of_set_epoch_is_refused(
    calling: Any, tmp_path: Path
) -> None:
    def body(group: Group) -> str:
        sampler = ds.Sampler(N, Calls(), B, group=group)
        Calls.call = lambda: sampler.save(tmp_path)
        with warnings.catch_warnings():
            try:
                sampler.set_epoch(1)
            except RuntimeError as error:
                return str(error)
        return ""

    assert all("was called while set_epoch(1) runs" in error for error in simulate(2, body))


def test_a_call_holds_nothing_of_its_callers_when_it_has_ended() -> None:
    class Tensor:
        """What a caller holds."""

    def plan() -> weakref.ref[Tensor]:
        batch = Tensor()
        ds.Sampler(8).set_epoch(0)
        return weakref.ref(batch)

    gc.disable()  # which would find it, later
    try:
        assert plan()() is None
    finally:
        gc.enable()


def test_an_interrupt_at_the_end_of_a_call_leaves_it_ended() -> None:
    sampler = ds.Sampler(N, batch_size=B)
    sampler.set_epoch(0)
    run = sampler.run
    inside: list[Inside | None] = []

    def end() -> None:
        inside.append(run.inside)
        assert running(run) == ("set_epoch(9)", True)

    alone(run, "set_epoch(9)", end)
    (run.inside,) = inside  # as an interrupt leaves it that comes just before it is taken back
    assert running(run) is None
    sampler.set_epoch(1)
    assert sampler.epoch == 1
