"""Names that hold markup and escapes are shown by every page and command, and obeyed by none."""

from __future__ import annotations

import contextlib
import html.parser
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample import cli, groups, report
from dynsample.cli.printing import printable

pytest.importorskip("rich")
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

ESCAPES = "\x1b]0;owned\x07\x1b[31mred\u202e"
MARKUP = '<script>alert(1)</script><img src=x onerror="alert(2)">'
HOSTILE = [ESCAPES, MARKUP, "[/foo]", "[link=https://evil.example]x[/link]", "$\\frac{", "a$b$c"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report")
    settings = report.Report(path, labels=np.arange(20) % 3, hidden=True)
    sampler = ds.Sampler(20, ds.Kakurenbo(fraction=0.3), 5, group=groups.single(), report=settings)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index in sampler:
            loss = ((index * 7 + epoch) % 20 / 5).astype(np.float32)
            sampler.observe(index, loss=loss, correct=loss % 2, confidence=loss / 5)
    return path


def altered(folder: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    to.mkdir()
    lines = [json.loads(line) for line in (folder / "epochs.jsonl").read_text().splitlines()]
    for line in lines:
        change(line)
    (to / "epochs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return to


def assert_harmless(text: str) -> None:
    assert not set(text) & {"\x1b", "\x07", "\u202e"}


class Tags(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize("name", HOSTILE)
def test_names_in_a_report_are_shown_and_not_obeyed(
    folder: Path, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(line: dict[str, Any]) -> None:
        line["run"]["policy"] = name
        line["score"] = name
        line["columns"][name] = line["columns"]["loss"]

    path = altered(folder, tmp_path / "run", change)
    assert cli.main(["inspect", str(path), "--html", str(tmp_path / "page.html")]) == 0
    out = capsys.readouterr().out
    assert_harmless(out)
    assert printable(name) in out
    page = (tmp_path / "page.html").read_text()
    assert_harmless(page)
    tags = Tags(page)
    assert not tags.found & {"script", "img", "b"}
    assert not any(attribute.startswith("on") for attribute in tags.attributes)


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line["run"].update(seed=MARKUP),
        lambda line: line["run"].update(ranks=MARKUP),
        lambda line: line.update(epoch=MARKUP),
        lambda line: line["hardest"].update(ids=[MARKUP]),
        lambda line: line["hardest"].update(ids=[1]),
        lambda line: line["columns"]["loss"].update(edges=[MARKUP] * 65),
        lambda line: line["columns"]["loss"].update(counts=[-1] * 64),
        lambda line: line["columns"]["loss"].update(quantiles=[1]),
        lambda line: line["classes"].update(samples=[10**30, 1, 1]),
        lambda line: line["classes"].update(hidden=[1]),
        lambda line: line["stats"].update(fraction=None),
        lambda line: line["stats"].pop("num_samples"),
        lambda line: line.update(came_back=7),
        lambda line: line.update(columns=[]),
        lambda line: line.update(previous={"epoch": 0}),
    ],
)
def test_a_line_of_other_fields_is_an_error_that_names_line_and_field(
    folder: Path, change: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = altered(folder, tmp_path / "run", change)
    assert cli.main(["inspect", str(path), "--html", str(tmp_path / "page.html")]) == 1
    error = capsys.readouterr().err
    assert "epochs.jsonl, line 1: it is damaged: the line." in error
    assert not (tmp_path / "page.html").exists()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / f"data{ESCAPES}"
    (root / "c\x1b[31m").mkdir(parents=True)
    for name in (f"{ESCAPES}.jpg", "b\udcff.jpg"):
        Image.new("RGB", (8, 8)).save(root / "c\x1b[31m" / name, "JPEG")
    return root


def outputs_of(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> str:
    with contextlib.suppress(SystemExit):
        cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_commands_show_the_names_of_files(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    near = tree.parent
    names = [near / f"{ESCAPES}{suffix}" for suffix in (".txt", ".pack", ".npy", "")]
    listed, packed, scores, missing = names
    np.save(scores, np.arange(2.0))
    for arguments in (
        ["files", tree, "-o", listed],
        ["pack", tree, packed],
        ["pack", missing, packed],
        ["coreset", "--from", scores, "--fraction", 0.5, "-o", near / f"k{ESCAPES}.npy"],
        ["coreset", "--from", missing, "--fraction", 0.5, "-o", near / f"k{ESCAPES}.npy"],
        ["score", "mean", missing, "--step", 1],
        ["inspect", missing],
        ["inspect", tree, "--html", missing],
    ):
        said = outputs_of(arguments, capsys)
        assert said, arguments
        assert_harmless(said)
    for file in tree.rglob("*.jpg"):
        file.write_bytes(file.read_bytes()[:-9])
    said = outputs_of(["pack", tree, packed], capsys)
    assert "2 of 2 samples cannot be packed" in said
    assert_harmless(said)


def test_a_page_takes_the_place_of_a_page_only(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    page.write_text("my own page")
    assert cli.main(["inspect", str(folder), "--html", str(page)]) == 1
    assert "is there and is no page of a report" in capsys.readouterr().err
    assert page.read_text() == "my own page"
    page.unlink()
    for _ in range(2):
        assert cli.main(["inspect", str(folder), "--html", str(page)]) == 0
