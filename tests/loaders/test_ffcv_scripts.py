"""Whole FFCV scripts: the README's change to a stock one, and the example."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from images import write_tree

pytest.importorskip("ffcv", reason="FFCV is not installed", exc_type=ImportError)

from adapters.ffcv import write

ROOT = Path(__file__).parents[2]
STOCK = Path(__file__).with_name("stock_ffcv.py")
CHECK = """
assert epoch == loader.sampler.epoch == 3
assert loader.sampler.plan.num_hidden > 0
assert loader.sampler.lr_scale > 1
"""


def run(*command: str | Path) -> str:
    """Run a script; give what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def patched(script: str, diff: str) -> str:
    """Apply hunks that are separated by @@ and give no line numbers."""
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert script.count(before) == 1, before
        script = script.replace(before, after)
    return script


def test_the_change_in_the_readme_makes_a_stock_script_hide_samples(tmp_path: Path) -> None:
    (diff,) = re.findall(r"```diff\n(-from ffcv.+?)```", (ROOT / "README.md").read_text(), re.S)
    stock = STOCK.read_text().replace("  # noqa: B007", "")
    beton = write(write_tree(tmp_path / "tree", 53))
    for name, text in (("stock", stock), ("ours", patched(stock, diff) + CHECK)):
        script = tmp_path / f"{name}.py"
        script.write_text(text.replace("size=256, num_workers=8", "size=8, num_workers=2"))
        assert run(script, beton) == "loss is finite: True\n"


def test_the_example_trains_and_goes_on_from_its_state(tmp_path: Path) -> None:
    example = ROOT / "examples" / "imagenet_ffcv.py"
    options = ("--samples", "400", "--state", tmp_path, "--workers", "2")
    first = run(example, *options, "--epochs", "2")
    assert [line.split(":")[0] for line in first.splitlines()] == ["epoch 0", "epoch 1"]
    rest = run(example, *options, "--epochs", "3")
    assert "epoch 2: " in rest
    assert "epoch 0: " not in rest


def test_the_example_trains_with_info_batch() -> None:
    printed = run(
        ROOT / "examples" / "imagenet_ffcv.py",
        *("--policy", "infobatch", "--samples", "400", "--epochs", "2", "--workers", "2"),
    )
    hidden = [float(line.split("hidden")[1].split("%")[0]) for line in printed.splitlines()]
    assert len(hidden) == 2
