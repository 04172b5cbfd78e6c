"""The pages for users of Dyn-Unc's and Data Diet's code, against their published rules."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import dynsample as ds
from dynsample.cli import main
from dynsample.coreset import scoring
from tests import pages
from tests.docs.given import file_list

DYN_UNC, DATA_DIET = "docs/migrate/dyn-unc.md", "docs/migrate/data-diet.md"
N, CLASSES, EPOCHS, WINDOW = 60, 4, 14, 10


def run(command: str) -> None:
    """Run a command of a page."""
    name, *arguments = shlex.split(command)
    assert name == "dynsample"
    assert main(arguments) == 0


def published(epochs: np.ndarray, fraction: float) -> set[int]:
    """Keep the highest mean of 10 * std over all windows of the run but the last."""
    spreads = [
        10 * epochs[e - WINDOW + 1 : e + 1].std(0, ddof=1)
        for e in range(WINDOW - 1, len(epochs) - 1)
    ]
    return set(np.argsort(np.mean(spreads, 0))[-int(fraction * N) :].tolist())


def kept() -> set[int]:
    lines = Path("coreset.txt").read_text().splitlines()
    return {int(re.findall(r"/(\d+)\.jpeg", line)[0]) for line in lines}


def test_dyn_unc_keeps_what_the_published_rule_keeps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file_list(N, CLASSES)
    from_files, from_table = pages.commands(DYN_UNC)
    images, labels = torch.randn(N, 6), torch.arange(N) % CLASSES
    model, recorded = torch.nn.Linear(6, CLASSES), np.zeros((EPOCHS, N), np.float32)

    def train(logits: torch.Tensor, labels: torch.Tensor) -> None:
        step = train.step = getattr(train, "step", -1) + 1
        rows = [images.tolist().index(row) for row in seen.pop()]
        found = logits.detach().softmax(1)[torch.arange(len(labels)), labels]
        recorded[step, rows] = found.numpy()
        torch.nn.init.normal_(model.weight)

    seen: list[list[list[float]]] = []

    def forward(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.tolist())
        return model(images)

    dataset = torch.utils.data.TensorDataset(images, labels)
    given = {"train_set": dataset, "model": forward, "train": train, "epochs": EPOCHS}
    pages.run(DYN_UNC, pages.blocks(DYN_UNC), given)  # one batch an epoch
    for epoch, values in enumerate(recorded):
        ds.coreset.write_probabilities("out", epoch, values, np.ones(N, bool))
    expected = published(recorded.astype(np.float64), 0.75)
    run(from_files)
    assert kept() == expected
    run(from_table)
    assert kept() == expected


def test_dyn_unc_keeps_what_is_0_in_all_epochs_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file_list(N, CLASSES)
    random, zero = np.random.default_rng(0), 50  # more than the 45 that are asked for
    (tmp_path / "out" / "pred_prob_history").mkdir(parents=True)
    for epoch in range(EPOCHS):
        values = random.random(N)
        values[:zero] = 0
        np.savetxt(tmp_path / "out" / "pred_prob_history" / f"prob_{epoch}.txt", values)
    run(pages.commands(DYN_UNC)[0])
    said = capsys.readouterr()
    assert kept() == set(range(zero))
    assert "50 samples have probability 0 in all epochs: not seen, or rounded to 0" in said.out
    assert "kept before all others, more than the 45 that were asked for" in said.err


def test_data_diet_finds_class_sorted_scores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    labels = random.integers(10, size=50_000)
    order, scores = np.argsort(labels), random.random(50_000).astype(np.float32)
    np.save("labels.npy", labels)
    np.save("ckpt_7800.npy", scores)
    (command,) = pages.commands(DATA_DIET)
    run(command)
    expected = np.sort(order[np.argsort(scores, kind="stable")[-25_000:]])
    np.testing.assert_array_equal(np.load("kept.npy"), expected)


def test_data_diet_names_scores_that_there_are() -> None:
    text = (pages.ROOT / DATA_DIET).read_text()
    calls = re.findall(r'ds\.score\(model, loader, \("(\w+)",\)\)', text)
    assert {"el2n", "grand"} <= set(calls)
    also: Any = re.search(r'`("l1", .*?)` *\|', text.replace("`, `", ", "))
    named = [*calls, *re.findall(r'"(\w+)"', also[1]), "grand_last"]
    assert set(named) <= set(scoring.NAMES)
