"""The code in README and docs, for tests to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in one language, in order; of a diff, what it leads to."""
    fenced = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    found = fenced.findall((ROOT / page).read_text())
    return [_after(block) for block in found] if language == "diff" else found


def _after(diff: str) -> str:
    kept = [line for line in diff.splitlines() if not line.startswith(("-", "@@"))]
    return "\n".join(line[1:] for line in kept)


def run(page: str, blocks: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """Execute blocks as one file, with some names given; return all names at the end."""
    names = dict(given)
    exec(compile("\n".join(blocks), page, "exec"), names)
    return names
