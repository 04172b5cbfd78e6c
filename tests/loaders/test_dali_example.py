"""The training script for ImageNet, on a few images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nvidia.dali")

from images import write_tree

SCRIPT = Path(__file__).parents[2] / "examples" / "imagenet_dali.py"


@pytest.mark.whole  # on two ranks it is always run
@pytest.mark.parametrize("policy", ["kakurenbo", "infobatch"])
def test_the_script_trains_saves_and_resumes(tmp_path: Path, policy: str) -> None:
    write_tree(tmp_path / "data" / "train", 48)
    write_tree(tmp_path / "data" / "val", 9)
    options = ["--model", "imagenet_dali:small_cnn", "--batch-size", "8", "--size", "32"]
    options += ["--data", str(tmp_path / "data"), "--policy", policy, "--save", str(tmp_path)]

    def run(*more: str) -> list[str]:
        command = [sys.executable, "-W", "ignore", str(SCRIPT), *options, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return [line.split()[0] for line in done.stdout.splitlines()]

    assert run("--epochs", "2") == ["epoch", "0", "1"]
    if policy == "kakurenbo":  # InfoBatch is told the number of epochs, so another is another run
        assert run("--epochs", "4", "--resume") == ["epoch", "2", "3"]
    assert run("--epochs", "2", "--resume") == ["epoch"]
