"""Whole FFCV scripts: the page.s change to a stock one, and the example."""

from __future__ import annotations

from pathlib import Path

import pytest
from images import write_tree
from scripts import HIDES, ROOT, changed, run, stock_script

pytest.importorskip("ffcv", reason="FFCV is not installed", exc_type=ImportError)

from adapters.ffcv import write


def test_the_change_on_the_page_makes_a_stock_script_hide_samples(tmp_path: Path) -> None:
    stock = stock_script("stock_ffcv.py")
    ours = changed(stock, "docs/ffcv.md")
    ours = ours.replace("size=256, num_workers=8", "size=8, num_workers=2")
    script = tmp_path / "ours.py"
    script.write_text(ours + "sampler = loader.sampler" + HIDES)
    assert run(script, write(write_tree(tmp_path / "tree", 53))) == "loss is finite: True\n"


@pytest.mark.whole
def test_the_example_trains_and_goes_on_from_its_state(tmp_path: Path) -> None:
    example = ROOT / "examples" / "imagenet_ffcv.py"
    options = ("--samples", "400", "--save", tmp_path, "--workers", "2")
    first = run(example, *options, "--epochs", "2")
    assert [line.split(":")[0] for line in first.splitlines()] == ["epoch 0", "epoch 1"]
    rest = run(example, *options, "--epochs", "3", "--resume")
    assert "epoch 2: " in rest
    assert "epoch 0: " not in rest


@pytest.mark.whole
def test_the_example_trains_with_info_batch() -> None:
    printed = run(
        ROOT / "examples" / "imagenet_ffcv.py",
        *("--policy", "infobatch", "--samples", "400", "--epochs", "2", "--workers", "2"),
    )
    hidden = [float(line.split("hidden")[1].split("%")[0]) for line in printed.splitlines()]
    assert len(hidden) == 2
