"""The notebooks of the docs run, and give the outputs that they were committed with."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import pages

sys.path.insert(0, str(pages.ROOT / "bench"))

import notebook_page

NUMBER = re.compile(r"\d+\.?\d*")
# What a cell with this tag prints comes from sums of floats, which are another machine's otherwise.
MEASURED, WITHIN = "measured", 0.1


def text(cell: dict[str, Any]) -> str:
    parts = [output.get("text", "") for output in cell["outputs"]]
    return "".join("".join(part) for part in parts)


def kinds(cell: dict[str, Any]) -> list[list[str]]:
    return [sorted(output.get("data", {})) for output in cell["outputs"]]


@pytest.mark.parametrize("path", notebook_page.notebooks(), ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(path: Path) -> None:
    for module in ("nbclient", "ipykernel", "sklearn", "matplotlib", "torch"):
        pytest.importorskip(module)
    shown, found = json.loads(path.read_text())["cells"], notebook_page.executed(path)["cells"]
    for before, now in zip(shown, found, strict=True):
        if before["cell_type"] != "code":
            continue
        assert kinds(now) == kinds(before)
        if MEASURED not in before["metadata"].get("tags", []):
            assert text(now) == text(before)
            continue
        assert NUMBER.sub("#", text(now)).split() == NUMBER.sub("#", text(before)).split()
        numbers = [[float(n) for n in NUMBER.findall(text(each))] for each in (now, before)]
        np.testing.assert_allclose(*numbers, rtol=WITHIN)


@pytest.mark.parametrize("path", notebook_page.notebooks(), ids=lambda path: path.stem)
def test_a_notebook_is_whole_and_in_order(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    page, pictures = notebook_page.markdown(notebook, path.stem)
    assert all(f"]({name})" in page for name in pictures)
    assert {bytes(picture[:4]) for picture in pictures.values()} == {b"\x89PNG"}
    assert f"notebooks/{path.stem}.md" in (pages.ROOT / "mkdocs.yml").read_text()
