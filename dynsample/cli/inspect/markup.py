"""Parts of a page that needs nothing beside it: no network, no script."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

from dynsample.cli.inspect.style import STYLE
from dynsample.cli.printing import printable

# A browser that is told so refuses whatever would come from elsewhere.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" '
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)


def text(content: object) -> str:
    """Return text as a page shows it."""
    return html.escape(printable(content))


def document(title: str, parts: Iterable[str]) -> str:
    """Return the page of a title and what its body has."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'{POLICY}\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n" + "\n".join(parts) + "\n</main>\n"
        "</body>\n</html>\n"
    )


def figure(chart: str, caption: str) -> str:
    """Return a chart, which is SVG, above its caption."""
    return f"<figure>{chart}<figcaption>{text(caption)}</figcaption></figure>"


def definitions(facts: Mapping[str, object]) -> str:
    """Return a few figures by their names, as cards."""
    items = "".join(f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in facts.items())
    return f'<dl class="facts">{items}</dl>'


def table(label: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, which scrolls where the page is narrower."""
    head = "".join(f'<th scope="col">{text(heading)}</th>' for heading in headings)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{text(label)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def details(summary: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table that is shown when its name is clicked on."""
    return f"<details><summary>{text(summary)}</summary>{table(summary, headings, rows)}</details>"
