"""The page.s change to a stock DALI script."""

from __future__ import annotations

from pathlib import Path

import pytest
from images import write_tree
from scripts import HIDES, changed, run, stock_script

pytest.importorskip("nvidia.dali", reason="DALI is not installed")


def test_the_change_on_the_page_makes_a_stock_script_hide_samples(tmp_path: Path) -> None:
    stock = stock_script("stock_dali.py")
    ours = changed(stock, "docs/dali.md")
    for theirs, here in (
        ("batch_size=256", "batch_size=8"),
        ("num_threads=8, device_id=0", "num_threads=2, device_id=None"),
        ('"mixed"', '"cpu"'),
        ("1281167", "53"),
    ):
        ours = ours.replace(theirs, here)
    script = tmp_path / "ours.py"
    script.write_text(ours + HIDES)
    root = write_tree(tmp_path / "tree", 53).root
    assert run(script, root) == "loss is finite: True\n"
