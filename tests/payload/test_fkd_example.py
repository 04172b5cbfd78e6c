"""The whole example: teacher, relabel phase, student, and the proof that both saw the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

SCRIPT = Path(__file__).parents[2] / "examples" / "fkd.py"


def run(*options: str) -> str:
    command = [sys.executable, "-W", "ignore", str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["cutmix", "none", "mixup"])
def test_no_input_of_the_student_differs_from_the_teachers(kind: str, tmp_path: Path) -> None:
    options = ["--width", "4", "--mix-type", kind, "--fkd-path", str(tmp_path)]
    output = run(*options, "--epochs", "2", "--verify", "--gradient-accumulation-steps", "3")
    found = re.findall(r"^(.+?) {2,}2 +(\d+) +(\d+)$", output, re.MULTILINE)
    assert len(found) == 6, output
    for name, compared, mismatches in found:
        assert mismatches == "0", output
        assert int(compared) == (780 if "subset" in name else 2600), name


@pytest.mark.whole
def test_what_is_relabelled_already_is_not_again(tmp_path: Path) -> None:
    options = ["--width", "4", "--fkd-path", str(tmp_path)]
    assert "teacher, labels" in run(*options, "--epochs", "2")
    assert "teacher, labels" not in run(*options, "--epochs", "1")


def test_class_folders_need_no_more_than_their_paths(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(5):
                pixels = random.integers(0, 255, (20, 30, 3), np.uint8)
                image.fromarray(pixels).save(folder / f"{i}.jpg")
    folders = ["--train-dir", str(tmp_path / "train"), "--val-dir", str(tmp_path / "val")]
    output = run(*folders, "--size", "16", "--epochs", "1", "--labels", "top1", "--width", "4")
    assert "student, teacher's logits" in output
