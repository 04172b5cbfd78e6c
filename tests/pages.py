"""The code in README and docs, for tests to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in one language, in order."""
    fenced = re.compile(rf"^```{language}\n(.+?)^```", re.DOTALL | re.MULTILINE)
    return fenced.findall((ROOT / page).read_text())


def after(diff: str) -> str:
    """Return what a diff leads to."""
    kept = [line for line in diff.splitlines() if not line.startswith(("-", "@@"))]
    return "\n".join(line[1:] for line in kept)


def run(page: str, blocks: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """Execute blocks as one file, with some names given; return all names at the end."""
    names = dict(given)
    exec(compile("\n".join(blocks), page, "exec"), names)
    return names
