"""`dynsample files` and `dynsample pack`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dynsample import files
from dynsample.cli import main
from dynsample.files import pack


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b/2.jpg", "b/10.jpg", "A/x y.png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


def test_files_writes_a_list_that_reads_back_to_the_same_samples(tree: Path) -> None:
    output = tree / "file_list.txt"
    for _ in range(2):  # the list itself is no sample
        assert main(["files", str(tree), "-o", str(output)]) == 0
        assert output.read_text() == "/A/x y.png 0\n/b/10.jpg 1\n/b/2.jpg 1\n"
    listed, scanned = files.from_list(output), files.from_folders(tree)
    assert listed.paths.tobytes() == scanned.paths.tobytes()
    assert listed.labels.tolist() == scanned.labels.tolist()


def test_files_replaces_another_file_only_by_force(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tree.parent / "mine.txt"
    mine.write_text("not a list of files\n")
    with pytest.raises(SystemExit):
        main(["files", str(tree), "-o", str(mine)])
    assert f"{mine} exists already; --force replaces it" in capsys.readouterr().err
    assert mine.read_text() == "not a list of files\n"
    assert main(["files", str(tree), "-o", str(mine), "--force"]) == 0
    assert len(files.from_list(mine, tree)) == 3


def test_files_tells_of_what_is_hidden_in_the_tree(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tree / ".ipynb_checkpoints").mkdir()
    (tree / "b" / "._2.jpg").touch()
    assert main(["files", str(tree), "-o", str(tree.parent / "list.txt")]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "dynsample files: 1 hidden folders are classes, and shift the labels of those behind: "
        ".ipynb_checkpoints",
        "dynsample files: 1 hidden files are in the list: b/._2.jpg",
    ]


def test_a_name_that_the_terminal_cannot_show_is_no_error(tree: Path) -> None:
    output = tree.parent / "l\u00e9.txt"
    command = [sys.executable, "-m", "dynsample", "files", str(tree), "-o", str(output)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert rb"l\xe9.txt: 3 files, 2 labels" in done.stdout


@pytest.mark.parametrize("source", ["tree", "list"])
def test_pack_packs_a_tree_or_a_list(
    tree: Path, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(tree)]
    if source == "list":
        (tmp_path / "list.txt").write_text("/b/2.jpg 5\n")
        arguments = [str(tmp_path / "list.txt"), "--root", str(tree)]
    assert main(["pack", *arguments, str(tmp_path / "out.pack")]) == 0
    opened = pack.open_pack(tmp_path / "out.pack")
    contents = [opened.read(i).tobytes() for i in range(len(opened))]
    expected = [b"A/x y.png", b"b/10.jpg", b"b/2.jpg"] if source == "tree" else [b"b/2.jpg"]
    assert contents == expected
    assert f"{len(expected)} images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["files", "{}/missing", "-o", "{}/list"], "file_root must be a folder of class folders"),
        (["files", "{}/tree", "-o", "{}"], "Is a directory"),
        (["files", "{}/tree"], "required: -o"),
        (["pack", "{}/missing", "{}/out"], "No such file"),
        (["pack", "{}/tree", "{}"], "is a folder, not a file"),
        (["pack", "{}/tree", "{}/missing/out"], "No such file"),
        (["pack", "{}/tree", "{}/out", "--root", "{}"], "--root belongs to a list"),
    ],
)
def test_a_wrong_argument_is_named(
    tree: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([argument.format(tree.parent) for argument in arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
