"""The Data Diet example: its runs, folders and tables."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

for package in ("sklearn", "rich", "matplotlib"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))
import data_diet  # noqa: E402

QUICK = ["--epochs", "3", "--window", "2", "--early", "2"]


def run(*arguments: object, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / "data_diet.py"), *QUICK, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.whole
def test_runs_one_by_one_are_those_of_the_whole_experiment(tmp_path: Path) -> None:
    out = run("--exp", "exp", "--seeds", 1, folder=tmp_path)
    for words in ("EL2N, early", "Dyn-Unc", "random 50%", "EL2N highest 50%", "wrong labels"):
        assert words in out
    assert (tmp_path / "data_diet.png").stat().st_size > 10_000
    exp = tmp_path / "exp"
    results = sorted(str(path.parent.relative_to(exp)) for path in exp.rglob("result.json"))
    assert results == [
        "run_0", "size_650.offset_390/run_0", "size_650.random/run_0", "size_650/run_0",
        "size_975.dyn_unc/run_0",
    ]  # fmt: skip
    files = ("error_l2_norm_scores/ckpt_42", "grad_norm_scores/ckpt_42", "forget_scores/ckpt_63")
    for file in files:
        scores = np.load(exp / "run_0" / f"{file}.npy")
        assert scores.shape == (1300,)
        np.testing.assert_array_equal(scores, np.load(exp / f"{file}.npy"))
    assert len(np.load(exp / "size_650" / "run_0" / "ids.npy")) == 650
    run("--exp", "alone", "--run", 0, folder=tmp_path)
    for name in ("aum.npy", "dyn_unc.npy", "error_l2_norm_scores/ckpt_42.npy"):
        alone = np.load(tmp_path / "alone" / "run_0" / name)
        np.testing.assert_array_equal(alone, np.load(exp / "run_0" / name))
    first = json.loads((exp / "run_0" / "result.json").read_text())
    run("--exp", "alone", "--run", 1, folder=tmp_path)
    second = json.loads((tmp_path / "alone" / "run_1" / "result.json").read_text())
    assert first["seed"] != second["seed"]


def test_flipped_labels_are_all_wrong_and_permuted_ones_are_the_same_labels() -> None:
    labels = np.arange(1000) % 10
    flipped = data_diet.noisy_labels(labels, 0.1, "flip", seed=0)
    assert np.count_nonzero(flipped != labels) == 100
    permuted = data_diet.noisy_labels(labels, 0.1, "permute", seed=0)
    assert 75 <= np.count_nonzero(permuted != labels) < 100
    np.testing.assert_array_equal(np.bincount(permuted), np.bincount(labels))
    np.testing.assert_array_equal(labels, np.arange(1000) % 10)


def test_a_tie_is_half_in_the_auroc_and_infinity_is_highest() -> None:
    scores = np.array([0.0, 1.0, 1.0, np.inf])
    assert data_diet.auroc(scores, np.array([False, False, True, True])) == (0.75 + 1) / 2
