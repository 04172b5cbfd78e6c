"""A KeyboardInterrupt at any line: nothing is counted twice, nothing is lost, no epoch is skipped."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

import dynsample as ds

N, B, EPOCHS = 24, 7, 3
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
    columns = {"count": ds.Mean(signal="loss")}
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), B, seed=5, columns=columns)


def values(index: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    loss = ((index * 7919 + epoch * 31) % 101).astype(np.float32)
    ones = np.ones(len(index), np.float32)
    return {"loss": loss, "correct": ones, "confidence": ones}


def observe(interrupter: Interrupter, sampler: ds.Sampler, index: np.ndarray) -> None:
    before = len(sampler._log)
    try:
        interrupter.call(lambda: sampler.observe(index, **values(index, sampler.epoch)))
    except KeyboardInterrupt:
        if len(sampler._log) == before:
            sampler.observe(index, **values(index, sampler.epoch))


def run(interrupter: Interrupter, folder: Path) -> list[tuple[int, str, list[int]]]:
    """Train, save and load, with one interrupt on the way; give what came of every epoch."""
    sampler, record = make(), []
    for epoch in range(EPOCHS):
        again(interrupter, lambda: sampler.set_epoch(epoch))  # noqa: B023
        received: list[int] = []
        for hidden in (False, True):
            going = True
            while going:  # after an interrupt the loop is begun anew
                try:
                    passes = sampler.hidden if hidden else sampler
                    batches = interrupter.call(lambda: iter(passes))  # noqa: B023
                    while (index := interrupter.call(lambda: next(batches, None))) is not None:  # noqa: B023
                        received += index.tolist()
                        observe(interrupter, sampler, index)
                    going = False
                except KeyboardInterrupt:
                    pass
                except RuntimeError as error:
                    assert "used up" in str(error) and interrupter.hit  # noqa: PT018
                    going = False
        record.append((sampler.epoch, sampler.plan.digest, received))
        if epoch == 1:
            again(interrupter, lambda: sampler.save(folder))
            sampler = make()
            again(interrupter, lambda: sampler.load(folder))
    again(interrupter, lambda: sampler.set_epoch(EPOCHS))
    counts = sampler.table.part("count", "count").tolist()
    return [*record, (sampler.epoch, sampler.plan.digest, counts)]


def lines() -> int:
    interrupter = Interrupter(None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(__import__("tempfile").mkdtemp())
        run(interrupter, folder)
    return interrupter.lines


def check(when: list[int], tmp_path: Path) -> None:
    expected = run(Interrupter(10**9), tmp_path / "undisturbed")
    assert expected[-1][2] == [EPOCHS] * N
    for line in when:
        interrupter = Interrupter(line)
        found = run(interrupter, tmp_path / str(line))
        assert interrupter.hit
        assert found == expected, f"interrupted at line {line}"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_interrupt_at_any_of_some_lines_changes_nothing(tmp_path: Path) -> None:
    total = lines()
    check(
        np.random.default_rng(0).choice(np.arange(1, total + 1), 60, replace=False).tolist(),
        tmp_path,
    )


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_an_interrupt_at_any_line_changes_nothing(tmp_path: Path) -> None:
    check(list(range(1, lines() + 1)), tmp_path)
