"""Each example with tiny arguments ends well and prints its table."""

from __future__ import annotations

import argparse
import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.ranks import launchers

METHODS = ("baseline", "kakurenbo", "iswr", "forget-static", "forget-lag", "sb")
TINY = ("--epochs", 2, "--static-epochs", 1)


def whole(*case: Any) -> Any:
    return pytest.param(*case, marks=pytest.mark.whole)


def rows(output: str) -> dict[str, list[str]]:
    """Cells of the table's rows, by their first word."""
    return {line.split()[0]: line.split() for line in output.splitlines() if line.split()}


def write_tree(root: Path, images: int) -> None:
    random = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("a", "b"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(images):
                pixels = random.integers(256, size=(20, 24, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.jpg")


def test_kakurenbo_compares_all_methods(run_example) -> None:
    table = rows(run_example("kakurenbo.py", *TINY))
    assert set(METHODS) <= set(table)
    assert table["baseline"][-7:-1] == ["100", "%", "0", "%", "100", "%"]


@pytest.mark.parametrize(
    ("loader", "methods"),
    [
        whole("ffcv", ["kakurenbo"]),
        whole("ffcv", ["forget-static"]),
        whole("dali", ["kakurenbo", "forget-static"]),
    ],
)
def test_kakurenbo_through_other_loaders(run_example, loader: str, methods: list[str]) -> None:
    pytest.importorskip({"dali": "nvidia.dali", "ffcv": "ffcv"}[loader], exc_type=ImportError)
    output = run_example("kakurenbo.py", *TINY, "--loader", loader, "--method", *methods)
    assert set(methods) <= set(rows(output))


@pytest.mark.parametrize("loader", [whole("torch"), "dali"])
def test_kakurenbo_on_class_folders_with_settings_of_the_paper(
    run_example, tmp_path: Path, loader: str
) -> None:
    if loader == "dali":
        pytest.importorskip("nvidia.dali")
    write_tree(tmp_path / "data", 6)
    (tmp_path / "tiny.py").write_text(
        "import models\ndef net(num_classes, drop_path_rate): return models.small(num_classes)\n"
    )
    np.savetxt(tmp_path / "mapping_dict.txt", [0, 1])
    output = run_example(
        "kakurenbo.py", *TINY, "--config", "fractal3k-deit-tiny", "--data", tmp_path / "data",
        "--loader", loader, "--size", 16, "--batch-size", 4, "--method", "kakurenbo",
        "--model", "tiny.net", "--class-map", tmp_path / "mapping_dict.txt",
    )  # fmt: skip
    assert "leaves out RandAugment" in output
    assert "kakurenbo" in rows(output)


@pytest.mark.whole
def test_kakurenbo_goes_on_from_a_checkpoint(run_example, tmp_path: Path) -> None:
    options = ("--method", "forget-static", "--static-epochs", 1, "--save", tmp_path, "--verbose")
    first = run_example("kakurenbo.py", *options, "--epochs", 2)
    assert re.findall(r"epoch (\d):", first) == ["0", "0", "1"]  # recorded, then a fresh network
    second = run_example("kakurenbo.py", *options, "--epochs", 3, "--resume")
    assert re.findall(r"epoch (\d):", second) == ["2"]


@pytest.mark.whole
@pytest.mark.parametrize("launcher", ["torchrun", "mpich"])
def test_kakurenbo_on_two_ranks(tmp_path: Path, launcher: str) -> None:
    launchers.require("gloo" if launcher == "torchrun" else launcher)
    script = str(launchers.ROOT / "examples" / "kakurenbo.py")
    options = [*map(str, TINY), "--method", "kakurenbo", "forget-static"]
    with launchers.world(launcher, 2, tmp_path, script, *options) as world:
        assert not any(world.wait()), world.output()
    assert "2 ranks" in world.output()
    assert set(rows(world.output())) >= {"kakurenbo", "forget-static"}


@pytest.mark.parametrize(
    ("script", "needs"),
    [("kakurenbo", "torch"), ("imagenet_dali", "nvidia.dali"), ("imagenet_ffcv", "ffcv")],
)
def test_the_policy_has_the_warm_up_of_the_learning_rate(script: str, needs: str) -> None:
    pytest.importorskip(needs, exc_type=ImportError)
    given = {"fraction": 0.3, "tau": 0.7, "refresh_every": 1, "fraction_epochs": 90}
    args = argparse.Namespace(**given, warmup_epochs=1.5)
    policy = importlib.import_module(script).POLICIES["kakurenbo"](args)
    assert policy.warmup_epochs == 1.5


def test_batch_reweighting_compares_and_writes_scores(run_example, tmp_path: Path) -> None:
    options = ("--epochs", 2, "--seeds", 2, "--scores", tmp_path)
    output = run_example("batch_reweighting.py", *options)
    for name in ("ERM", "class frequency", "gram, published", "gram, inverse"):
        assert name in output
    scores = np.load(tmp_path / "inverse-seed-1" / "score.npy")
    assert scores.shape[1] == 3
    assert (np.diff(scores[:, 0]) > 0).all()
    assert (scores[:, 1] >= 1).all()
    assert set(scores[:, 2]) == set(range(10))


@pytest.mark.whole
@pytest.mark.parametrize("params", ["last_layer", "all"])
def test_batch_reweighting_of_other_gradients_on_data_of_the_users(
    run_example, tmp_path: Path, params: str
) -> None:
    random = np.random.default_rng(0)
    images, labels = random.random((24, 8, 8)), np.arange(24) % 3
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    options = ("--br", 1, "--form", "inverse", "--params", params, "--epochs", 1, "--seeds", 1)
    output = run_example(
        "batch_reweighting.py", *options, "--data", tmp_path / "data.npz", "--ratio", 4
    )
    assert "3 classes of 8 to 2" in output
    assert "ERM" not in rows(output)


def test_prompts_are_neither_lost_nor_repeated(run_example) -> None:
    arguments = ("--prompts", 400, "--batch", 30, "--steps", 24, "--kills", "[7, 17]")
    table = {line[:12].strip(): line[12:].split() for line in
             run_example("prompts.py", *arguments).splitlines()}  # fmt: skip
    assert table["pass rate"][2:4] == ["720", "2"]
    assert table["pass rate"][-2:] == table["chance"][-2:] == ["0", "0"]
    assert int(table["pass rate"][4]) > 0
