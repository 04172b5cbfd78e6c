"""`dynsample chaos`: what is sent to the ranks, and what the loop makes of a signal."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from dynsample import groups
from dynsample.cli.chaos import driver, launch, training
from dynsample.cli.chaos.compare import Life, differences, gaps
from dynsample.cli.chaos.hooks import Hooks
from dynsample.cli.chaos.page import OwnPage, Page
from dynsample.cli.chaos.report import Tally
from dynsample.cli.chaos.scenario import KINDS, Kill, Orders, Scenario
from dynsample.cli.chaos.strikes import CAUGHT, Signals, strike

SCENARIO = Scenario(7, "kakurenbo", 110, 48, epochs=3)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in CAUGHT}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def orders_in(folder: Path, life: int = 0, **given: Any) -> Orders:
    for name in ("pages", "records"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Orders(SCENARIO, str(folder), life, **given)


def page_of(orders: Orders, rank: int, pid: int, **given: bool) -> None:
    numbers = [pid, False, given.get("stopped", False)]
    rest = Page._LAYOUT.size // 8 - len(numbers)
    orders.page(rank).write_bytes(Page._LAYOUT.pack(*numbers, *[0] * rest))


@pytest.mark.parametrize(
    ("kind", "ended"),
    [("one", [None, -9, None]), ("all", [-9, -9, -9]), ("SIGTERM", [None, -15, None])],
)
def test_a_strike_reaches_the_ranks_that_it_is_for(
    kind: str, ended: list[int | None], tmp_path: Path
) -> None:
    orders = orders_in(tmp_path, size=3, kill=Kill(1, "step", 1, kind=kind))
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    ranks = [subprocess.Popen(wait, stdin=subprocess.PIPE) for _ in range(3)]
    try:
        for rank, process in enumerate(ranks):
            page_of(orders, rank, process.pid)
        assert strike(orders)
        for process, status in zip(ranks, ended, strict=True):
            if status is None:
                assert process.poll() is None
            else:
                assert process.wait(60) == status
    finally:
        for process in ranks:
            process.kill()
            process.communicate()
    assert not strike(orders)


def test_a_signal_waits_for_the_end_of_what_is_held_and_acts_once(tmp_path: Path) -> None:
    acted = []
    signals = Signals(OwnPage(orders_in(tmp_path).page(0)))
    signals.catch()
    signals.at_once = lambda: acted.append(True)
    with signals.held():
        signal.raise_signal(signal.SIGTERM)
        assert signals.came
        assert not acted
    assert acted == [True]
    signal.raise_signal(signal.SIGINT)
    with signals.held():
        pass
    assert acted == [True]


def test_a_signal_after_the_run_ends_nothing(tmp_path: Path) -> None:
    signals = Signals(OwnPage(orders_in(tmp_path).page(0)))
    signals.catch()
    signals.ignore()
    for number in CAUGHT:
        signal.raise_signal(number)
    assert not signals.came


def run_life(folder: Path, number: int, line: int | None, *, group: str | None = "torch") -> int:
    """Run one life on this process; a signal comes before a line of the loop, by their count."""
    orders = orders_in(folder, number, group=group)
    page = OwnPage(orders.page(0))
    signals = Signals(page)
    signals.catch()
    page.show()
    loop = training.Training(orders, groups.single(), Hooks(page, None, lambda: False), signals)
    lines = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != training.__file__:
            return None
        if event == "line" and not signals.acted:
            lines += 1
            if lines == line:
                signal.raise_signal(signal.SIGINT)
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        loop.run()
    except training.StoppedError:
        page.stop()
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.parametrize("share", [0.02, 0.13, 0.29, 0.3, 0.45, 0.61, 0.615, 0.78, 0.9, 0.99])
def test_a_save_in_a_handler_loses_nothing_wherever_the_loop_is(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hooks, "watch_selections", lambda *_: None)
    calm = tmp_path / "calm"
    total = run_life(calm, 0, None, group=None)
    reference = Life.read(orders_in(calm))
    run_life(tmp_path, 0, int(share * total))
    lives = [Life.read(orders_in(tmp_path, 0))]
    assert not lives[0].ends
    assert lives[0].saved
    run_life(tmp_path, 1, None)
    lives.append(Life.read(orders_in(tmp_path, 1)))
    assert lives[1].loaded == lives[0].saved
    assert [line for life in lives for line in differences(life, reference)] == []
    assert list(gaps(lives, reference)) == []


def outcome(orders: Orders, statuses: list[int], stopped: list[bool]) -> launch.Outcome:
    for rank, told in enumerate(stopped):
        page_of(orders, rank, 1, stopped=told)
    return launch._judge(orders, statuses, struck=True, output="the log")


def test_a_signal_counts_when_every_rank_saved_and_ended(tmp_path: Path) -> None:
    orders = orders_in(tmp_path, size=2, group="torch", kill=Kill(0, "step", 1, kind="SIGINT"))
    assert outcome(orders, [0, 0], [True, True]).killed == "start"
    assert outcome(orders, [0, 0], [False, False]).finished  # it came too late
    for statuses, stopped in (
        ([0, 0], [True, False]), ([0, 1], [True, True]), ([-2, 0], [False, False]),
        ([0, 3], [True, False]),
    ):  # fmt: skip
        problem = outcome(orders, statuses, stopped).problem
        assert problem is not None
        assert "SIGINT was sent to rank 0, the ranks that saved and ended are" in problem


def test_of_ranks_that_were_killed_at_once_none_may_end_otherwise(tmp_path: Path) -> None:
    orders = orders_in(tmp_path, size=2, group="torch", kill=Kill(0, "step", 1, kind="all"))
    assert outcome(orders, [-9, -9], [False, False]).killed == "start"
    problem = outcome(orders, [-9, launch.LOST_A_RANK], [False, False]).problem
    assert problem is not None
    assert "rank 1 ended with status 3 and not -9" in problem


def test_a_run_goes_on_until_a_tenth_of_its_kills_are_of_each_kind() -> None:
    tally = Tally(100, ())
    tally.kills["step"], tally.kinds["one"] = 100, 100
    assert tally.scarce == ["all", "SIGINT", "SIGTERM"]
    assert tally.wanting == 30
    for kind in tally.scarce:
        tally.kinds[kind] = 10
    assert not tally.wanting


def test_every_kind_has_a_share_of_the_kills() -> None:
    assert tuple(driver.KIND_SHARES) == KINDS
    assert sum(driver.KIND_SHARES.values()) == pytest.approx(1)
    assert min(driver.KIND_SHARES.values()) > 0.1
