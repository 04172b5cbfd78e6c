"""A KeyboardInterrupt at any line: nothing is counted twice or lost, and no epoch is skipped."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import dynsample as ds

N, B, EPOCHS = 24, 7, 3
SHARES = 16  # of all lines: one test of them would take a quarter of an hour
PACKAGE = str(Path(ds.__file__).parent)


class Interrupter:
    """Raises KeyboardInterrupt at the n-th line of dynsample that is executed inside of `at`."""

    def __init__(self, when: int | None) -> None:
        self.when, self.lines, self.hit = when, 0, False

    def _trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.when:
                self.hit = True
                raise KeyboardInterrupt
        return self._trace

    def call(self, call: Callable[[], Any]) -> Any:
        if self.hit:
            return call()
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return call()
        finally:
            sys.settrace(before)


def again(interrupter: Interrupter, call: Callable[[], Any]) -> Any:
    """Make a call as people do in a notebook: once more after an interrupt."""
    try:
        return interrupter.call(call)
    except KeyboardInterrupt:
        return call()


def make() -> ds.Sampler:
    columns = {"count": ds.Mean(signal="loss"), "issued": ds.Issued()}
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), B, seed=5, columns=columns)


def values(index: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    loss = ((index * 7919 + epoch * 31) % 101).astype(np.float32)
    ones = np.ones(len(index), np.float32)
    return {"loss": loss, "correct": ones, "confidence": ones}


def observe(interrupter: Interrupter, sampler: ds.Sampler, index: np.ndarray) -> None:
    before = len(sampler.run.observations.log)
    try:
        interrupter.call(lambda: sampler.observe(index, **values(index, sampler.epoch)))
    except KeyboardInterrupt:
        if len(sampler.run.observations.log) == before:
            sampler.observe(index, **values(index, sampler.epoch))


def iterate(interrupter: Interrupter, sampler: ds.Sampler, hidden: bool) -> list[int]:
    """Go over a pass, and begin the loop anew after an interrupt."""
    received: list[int] = []
    while True:
        passes = sampler.hidden if hidden else sampler
        if passes and sampler.run.current.passes[hidden].used_up:  # it was at the very end
            return received
        try:
            batches = interrupter.call(lambda: iter(passes))  # noqa: B023
            while (index := interrupter.call(lambda: next(batches, None))) is not None:  # noqa: B023
                received += index.tolist()
                observe(interrupter, sampler, index)
        except KeyboardInterrupt:
            continue
        return received


def run(interrupter: Interrupter, folder: Path) -> list[tuple[int, str, list[int]]]:
    """Train, save and load, with one interrupt on the way; give what came of every epoch."""
    sampler, record = make(), []
    for epoch in range(EPOCHS):
        again(interrupter, partial(sampler.set_epoch, epoch))
        received = [i for hidden in (False, True) for i in iterate(interrupter, sampler, hidden)]
        record.append((sampler.epoch, sampler.plan.digest, received))
        if epoch == 1:
            again(interrupter, partial(sampler.save, folder))
            sampler = make()
            again(interrupter, partial(sampler.load, folder))
    again(interrupter, partial(sampler.set_epoch, EPOCHS))
    counts = sampler.table.part("count", "count").tolist()
    issued = sampler.table.issued.count.tolist()
    last = (sampler.epoch, sampler.plan.digest, counts)
    return [*record, last, (sampler.epoch, "issued", issued)]


@pytest.fixture(autouse=True)
def collector_between_runs() -> Iterator[None]:
    """Keep the collector from running lines of dynsample wherever it happens to come."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def num_lines(folder: Path) -> int:
    """Count the lines that an undisturbed run executes, but for imports of the first one."""
    run(Interrupter(None), folder / "first")
    interrupter = Interrupter(None)
    run(interrupter, folder)
    return interrupter.lines


def check(lines: Iterable[int], folder: Path) -> None:
    expected = run(Interrupter(None), folder / "undisturbed")
    assert expected[-2][2] == [EPOCHS] * N
    for line in lines:
        interrupter = Interrupter(line)
        found = run(interrupter, folder / str(line))
        assert interrupter.hit
        assert found == expected, f"interrupted at line {line}"
        gc.collect()  # files that were open when the interrupt came


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_an_interrupt_at_any_of_some_lines_changes_nothing(tmp_path: Path) -> None:
    count = num_lines(tmp_path)
    check(np.random.default_rng(0).integers(1, count, 60).tolist(), tmp_path)


@pytest.mark.whole
@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_an_interrupt_at_any_line_changes_nothing(share: int, tmp_path: Path) -> None:
    check(range(1 + share, num_lines(tmp_path) + 1, SHARES), tmp_path)
