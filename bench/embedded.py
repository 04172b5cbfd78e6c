"""What a command writes into a page: between `<!-- NAME -->` and `<!-- end of NAME -->`."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, name: str, text: str) -> str:
    """Text of a page with what belongs between its two lines put in."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before, _, rest = page.read_text().partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise SystemExit(f"{page} must have a line {begin.strip()} and, below it, one {end}")
    return f"{before}{begin}{text}{end}{after}"
