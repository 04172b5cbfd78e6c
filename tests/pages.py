"""The code in README and docs, for tests to run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def names() -> list[str]:
    """Return the pages: README, CONTRIBUTING, and those of docs."""
    docs = sorted((ROOT / "docs").rglob("*.md"))
    return ["README.md", "CONTRIBUTING.md", *(path.relative_to(ROOT).as_posix() for path in docs)]


def is_named_in(page: str, test: str) -> bool:
    """Whether a file below tests speaks of a page, as one that runs what is on it does."""
    text = (ROOT / "tests" / test).read_text()
    return page in text or page.removeprefix("docs/") in text or Path(page).name in text


def blocks(page: str, language: str = "python") -> list[str]:
    """Return the blocks of a page in one language, in order."""
    fenced = re.compile(rf"^```{language}\n(.+?)^```", re.DOTALL | re.MULTILINE)
    return fenced.findall((ROOT / page).read_text())


def commands(page: str) -> list[str]:
    """Return the commands of a page's blocks, each with what goes on below it, without comments."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    said = (re.sub(r"(^|\s+)#.*", "", line) for line in lines)
    return [re.sub(r" {2,}", " ", line) for line in said if line]


def after(diff: str) -> str:
    """Return what a diff leads to."""
    kept = [line for line in diff.splitlines() if not line.startswith(("-", "@@"))]
    return "\n".join(line[1:] for line in kept)


def run(page: str, blocks: list[str], given: dict[str, Any]) -> dict[str, Any]:
    """Execute blocks as one file, with some names given; return all names at the end."""
    names = dict(given)
    exec(compile("\n".join(blocks), page, "exec"), names)
    return names
