"""Commands where rich is not installed: the same words, plain."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import dynsample as ds
from dynsample import cli, groups
from dynsample.cli import printing
from dynsample.cli.chaos import report
from dynsample.cli.chaos.report import Tally


@pytest.fixture(autouse=True)
def _no_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert not printing.has_rich()


def test_a_table_is_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("a", "1"), ("long\x1b[31m", "23"), ("all", "24")]
    printing.show_table(("name", "of\nall"), rows, left=[0], alarming=[0], totals=1)
    assert capsys.readouterr().out.splitlines() == [
        "               of",
        "name          all",
        "------------  ---",
        "a               1",
        "long\\x1b[31m   23",
        "------------  ---",
        "all            24",
    ]


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sampler = ds.Sampler(
        50, ds.RandomSubset(0.3), 10, columns={"loss": ds.Last()}, group=groups.single(),
        report=tmp_path / "run",
    )  # fmt: skip
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index in sampler:
            sampler.observe(index, loss=index.astype(np.float32))
    assert cli.main(["inspect", str(tmp_path / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "RandomSubset on 50 samples, 3 epochs, seed 0"
    assert lines[2].split() == ["epoch", "in", "epoch", "hidden", "came", "back", "loss",
                                "lr", "scale", "s", "saved", "s", "spent"]  # fmt: skip
    assert [line.split()[:3] for line in lines[4:7]] == [
        ["0", "35", "30.0%"], ["1", "35", "30.0%"], ["2", "35", "30.0%"]
    ]  # fmt: skip


def test_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree" / "a").mkdir(parents=True)
    for i in range(3):
        (tmp_path / "tree" / "a" / f"{i}.png").write_bytes(b"image")
    assert cli.main(["pack", str(tmp_path / "tree"), str(tmp_path / "pack")]) == 0
    said = capsys.readouterr()
    assert "pack: 3 images" in said.out
    assert not said.err


def test_the_words_of_chaos(capsys: pytest.CaptureFixture[str]) -> None:
    class Given:
        policy, seed, issue, late, group = ["kakurenbo"], 0, "sampler", 0, "mpi"

    tally = Tally(20, ("step", "save"))
    tally.kills["step"], tally.outside["step"] = 3, 1
    tally.mismatches.append("scenario 1: step 3 differs")
    report.print_tally(Given(), tally)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "phase  kills  by itself  from outside",
        "-----  -----  ---------  ------------",
        "step       3          2             1",
        "save       0          0             0",
        "-----  -----  ---------  ------------",
        "all        3          2             1",
    ]
    assert "  scenario 1: step 3 differs" in lines
    assert "No rank died in: save" in lines
