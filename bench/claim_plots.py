"""Pictures of the measured claims, for docs/performance.md: a ratio and its spread in every row.

Written as SVG by hand, so that the same results give the same file everywhere. Each has a ground of
its own, for light and dark pages, and can be read where it is 400 pixels wide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from claims import Claim, Found

DOCS = Path(__file__).parents[1] / "docs"
# File -> what it is of, and the benches that are in it.
PLOTS = {
    "performance-planning.svg": (
        "Between two epochs: selecting, ordering, folding",
        ("bench_select.py", "bench_plan.py", "bench_ranks.py"),
    ),
    "performance-drawing.svg": (
        "Drawing and permuting",
        ("bench_draw.py", "bench_permute.py", "bench_replay.py"),
    ),
    "performance-loading.svg": (
        "Loaders, training steps, files",
        (
            "bench_boundary.py",
            "bench_loader.py",
            "bench_observe.py",
            "bench_payload.py",
            "bench_coreset.py",
        ),
    ),
}
WIDTH, LEFT, RIGHT = 400, 14, 266  # of the picture; ends of the axis
ROW, COMMAND = 46, 18  # heights
TICKS = (0.5, 1, 2, 5, 10, 20, 50)
LOW, HIGH = 0.45, 65.0  # ends of the axis, as ratios
DARK, GREY, PALE, TEAL, AMBER = "#134e4a", "#57606a", "#d0d7de", "#0f766e", "#b45309"


def plots(listed: list[Claim], found: Found) -> dict[Path, str]:
    """All pictures, as they are to be."""
    drawn = {script for _, scripts in PLOTS.values() for script in scripts}
    assert drawn == {claim.command.split()[0] for claim in listed}, "every bench is in one picture"
    return {
        DOCS / file: _plot(title, [c for c in listed if c.command.split()[0] in scripts], found)
        for file, (title, scripts) in PLOTS.items()
    }


def _plot(title: str, claims: list[Claim], found: Found) -> str:
    body, y = [], 66.0
    for command, rows in groupby(claims, lambda claim: claim.command):
        body.append(_text(LEFT, y + 10, f"python bench/{command}", 10, GREY, "monospace"))
        y += COMMAND
        for claim in rows:
            body += _row(claim, claim.of(found), y)
            y += ROW
    runs = dict.fromkeys(found[claim.command]["of"] for claim in claims if claim.command in found)
    head = [
        _text(LEFT, 24, title, 13, DARK),
        _text(LEFT, 41, "the peer's time over ours:", 10, GREY),
        *_mark(158, 37.5, 150, 172),
        _text(178, 41, "median, and middle half of the pairs", 10, GREY),
        f'<path d="M158 46v9" stroke="{AMBER}" stroke-width="2"/>',
        _text(178, 55, "the bound that it is held to", 10, GREY),
        *_axis(62, y),
    ]
    foot = [_text(LEFT, y + 30 + 13 * i, run, 9, GREY) for i, run in enumerate(runs)]
    height = y + 28 + 13 * len(runs)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height:g}" '
            f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-labelledby="t" '
            'font-family="system-ui, sans-serif">',
            f'<title id="t">{escape(title)}: how many times as fast as peers</title>',
            f'<rect width="{WIDTH}" height="{height:g}" rx="10" fill="#ffffff"/>',
            *head,
            *body,
            *foot,
            "</svg>\n",
        ]
    )


def _x(ratio: float) -> float:
    """Place of a ratio on the axis, which is logarithmic."""
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return LEFT + share * (RIGHT - LEFT)


def _axis(top: float, bottom: float) -> Iterator[str]:
    for tick in TICKS:
        width = 1.5 if tick == 1 else 0.75  # as fast as the peer
        yield (
            f'<path d="M{_x(tick):.1f} {top:g}V{bottom:g}" stroke="{PALE}" stroke-width="{width}"/>'
        )
        yield _text(_x(tick), bottom + 12, f"{tick:g}", 10, GREY, anchor="middle")


def _row(claim: Claim, line: dict[str, Any] | None, y: float) -> Iterator[str]:
    yield _text(LEFT, y + 10, claim.says, 11, DARK)
    yield _text(LEFT, y + 23, f"beside {claim.beside}", 10, GREY)
    if line is None:
        yield _text(RIGHT + 10, y + 37, "not measured", 10, GREY)
        return
    # A claim that has a most is of ours over theirs: the other way round on the axis.
    turned = claim.at_most is not None
    value = line[claim.figure]
    ends = [line.get(f"{claim.figure}_{end}", value) for end in ("low", "high")]
    at, low, high = (_x(1 / each if turned else each) for each in (value, *ends))
    bound = _x(1 / claim.at_most if claim.at_most is not None else claim.at_least or LOW)
    yield f'<path d="M{bound:.1f} {y + 28:g}v11" stroke="{AMBER}" stroke-width="2"/>'
    yield from _mark(at, y + 33.5, *sorted((low, high)))
    shown = f"{claim.shown(line)} of theirs" if turned else claim.shown(line)
    yield _text(RIGHT + 10, y + 37, shown, 10, DARK)


def _mark(at: float, y: float, low: float, high: float) -> Iterator[str]:
    yield f'<path d="M{low:.1f} {y:g}H{high:.1f}" stroke="{TEAL}" stroke-width="3" opacity="0.5"/>'
    yield f'<circle cx="{at:.1f}" cy="{y:g}" r="4" fill="{TEAL}"/>'


def _text(
    x: float, y: float, said: str, size: int, fill: str, family: str = "", anchor: str = ""
) -> str:
    more = f' font-family="{family}"' if family else ""
    more += f' text-anchor="{anchor}"' if anchor else ""
    return (
        f'<text x="{x:.5g}" y="{y:g}" font-size="{size}" fill="{fill}"{more}>{escape(said)}</text>'
    )
