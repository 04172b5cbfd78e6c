"""How far slow work is."""

from __future__ import annotations

import sys

import pytest

from dynsample.cli import progress as module
from dynsample.cli.progress import lasting, progress


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_fast_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("packing", "images", 3) as shown:
        for _ in range(3):
            shown.advance()
    assert capsys.readouterr() == ("", "")


def test_slow_work_says_how_long_it_still_takes(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("packing", "images", 1000) as shown:
        for _ in range(1000):
            clock.now += 0.5
            shown.advance()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert not out
    assert lines[0] == "packing: 8 of 1000 images, about 8 min left"
    assert lines[1] == "packing: 16 of 1000 images, about 8 min left"
    assert lines[-1].endswith(" s left")
    assert len(lines) < 50


def test_lines_come_ever_more_seldom(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("", "runs", 100_000) as shown:
        for _ in range(100_000):
            clock.now += 1
            shown.advance()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) < 100
    assert "28 h left" in lines[0]


def test_the_number_may_not_be_known(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("listing", "folders") as shown:
        clock.now += 5
        shown.advance(7)
        clock.now += 5
        shown.update(done=8, total=16, what="reading \x1b[31m")
    assert capsys.readouterr().err.splitlines() == [
        "listing: 7 folders so far, 5 s",
        "reading \\x1b[31m: 8 of 16 folders, about 10 s left",
    ]


def test_more_than_the_total_has_no_time_left(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("", "kills", 2) as shown:
        for _ in range(3):
            clock.now += 20
            shown.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "1 of 2 kills, about 20 s left"
    assert lines[-1] == "3 of 2 kills"


def test_a_terminal_has_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda self: True, raising=False)
    with progress("packing [b]", "images", 2) as shown:
        shown.advance()
        shown.update(what="packing [c]", done=2)
    said = capsys.readouterr().err
    assert "packing [c]" in said
    assert "2/2" in said


def test_times_are_as_people_say_them() -> None:
    assert [lasting(s) for s in (0.4, 99, 100, 5999, 6000, 90_000)] == [
        "0 s", "99 s", "2 min", "100 min", "2 h", "25 h"
    ]  # fmt: skip
