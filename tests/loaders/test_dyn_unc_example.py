"""The script that records, produces and evaluates a coreset by dynamic uncertainty."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nvidia.dali")
pytest.importorskip("rich")

from images import write_tree

from dynsample.cli import main
from dynsample.reference import scores as reference

SCRIPT = Path(__file__).parents[2] / "examples" / "dyn_unc.py"


@pytest.mark.whole
@pytest.mark.parametrize("record", ["eval-copy", "train"])
def test_it_keeps_the_lines_of_the_published_rule_and_trains_on_them(
    tmp_path: Path, record: str
) -> None:
    data, output = tmp_path / "data", tmp_path / "output"
    write_tree(data / "train", 30)
    write_tree(data / "val", 6)
    options = ["--data", str(data), "--output", str(output), "--model", "imagenet_dali:small_cnn"]
    options += ["--batch-size", "8", "--size", "32", "--epochs", "4", "--window", "2"]

    def run(part: str, *more: str) -> str:
        command = [sys.executable, "-W", "ignore", str(SCRIPT), part, *options, *more]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    table = run("record", "--record", record)
    assert f"record: {record}" in table
    assert "30 lines" in run("produce", "--fraction", "0.5")
    file_list, history = data / "train" / "file_list.txt", output / "pred_prob_history"
    expected = reference.dyn_unc_lines(history, file_list, 2, 0.5)
    assert (output / "coreset.txt").read_bytes() == expected
    arguments = ["--input", output, "--dataset_file_list", file_list, "--fraction", "0.5"]
    arguments += ["--window", "2", "--output", tmp_path / "own.txt"]
    assert main(["coreset", *map(str, arguments)]) == 0
    assert (tmp_path / "own.txt").read_bytes() == expected
    assert "random" in run("evaluate")
