"""Figures of matplotlib as SVG that lives in a page: its colours are those of the page."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dynsample.cli.printing import printable

# Stand-ins for colours that style.css sets for light and for dark.
INK, GRID = "#010203", "#040506"
SERIES = ("#070809", "#0a0b0c", "#0d0e0f", "#101112")
_COLOURS = {INK: "var(--ink)", GRID: "var(--grid)"} | {
    colour: f"var(--series-{place})" for place, colour in enumerate(SERIES)
}
_SETTINGS = {
    "svg.fonttype": "none",  # text stays text: it can be found, read aloud, and has the page's font
    "svg.hashsalt": "dynsample",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
}


def draw(
    name: str, title: str, description: str, plot: Callable[[Axes], None], *, height: float = 3.0
) -> str:
    """Draw one chart.

    Parameters
    ----------
    name : str
        What its ids in the page begin with.
    title, description : str
        What a reader who does not see it is told.
    plot : callable
        Draws on the axes.
    height : float
        Height in inches; the chart is 7.2 wide, and as wide as the page allows when shown.
    """
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(7.2, height), layout="constrained")
        plot(figure.subplots())
        out = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    return _embedded(out.getvalue(), name, title, description)


def _embedded(text: str, name: str, title: str, description: str) -> str:
    body = text[text.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)  # it is for all of a page
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r"url\(#", f"url(#{name}-", body)
    body = re.sub(r'href="#', f'href="#{name}-', body)
    for stand_in, colour in _COLOURS.items():
        body = body.replace(stand_in, colour)
    box = re.search(r'viewBox="[^"]*"', body)
    assert box is not None
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{box[0]} role="img" aria-labelledby="{name}-title {name}-text">'
        f'<title id="{name}-title">{html.escape(printable(title))}</title>'
        f'<desc id="{name}-text">{html.escape(printable(description))}</desc>'
    )
    return head + body[body.index(">") + 1 :]
