"""The page of a study, with everything in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dynsample.cli.inspect.markup import document, figure, table, text
from dynsample.cli.study import charts
from dynsample.cli.study.balance import Balance
from dynsample.cli.study.cells import HEADINGS, cells, legend
from dynsample.cli.study.runs import Record

_TITLE = "Dynamic pruning beside controls of the same cost"


def build(balances: Sequence[Balance], records: Sequence[Record]) -> str:
    """Return the page of at least one balance, and of the runs that it was made of."""
    parts = [
        f"<h1>{text(_TITLE)}</h1>",
        '<p class="quiet">Each method beside runs that cost as much and need no scores: a shorter '
        "run whose learning rate decays within it, random subsets, with the same scaling of the "
        "learning rate where the method has one, and the hardest samples hidden. A method pays "
        "where it is better than all of these but the last, by more than two standard errors of "
        "the differences between runs of the same seed.</p>",
    ]
    for place, balance in enumerate(balances):
        parts += _part(balance, f"balance-{place}")
    return document(_TITLE, [*parts, *_made(records)])


def _part(balance: Balance, name: str) -> Iterator[str]:
    yield f"<h2>{text(balance.title)}</h2>"
    if balance.methods:
        sentences = (
            f"<li><strong>{text(each.judgement())}</strong> {text(each.verdict())}</li>"
            for each in balance.methods
        )
        yield f"<ul>{''.join(sentences)}</ul>"
        for chart, what in zip(charts.of_page(balance, name), charts.X, strict=True):
            yield figure(
                chart,
                f"Accuracy at the end against {what}. Means over seeds; "
                "hiding the hardest is in the table.",
            )
    yield table(balance.title, HEADINGS, cells(balance))
    yield f'<p class="quiet">{text(legend())}</p>'


def _made(records: Iterable[Record]) -> Iterator[str]:
    """Say when and with what the runs were made."""
    yield "<h2>How it was made</h2>"
    places = [record.place for record in records]
    facts = {
        "dates": sorted({str(place["date"]) for place in places}),
        "commits": sorted({str(place["commit"]) for place in places}),
        "machines": sorted({str(place["machine"]) for place in places}),
        "versions": sorted({_versions(place["versions"]) for place in places}),
    }
    yield f"<p>{len(places):,} runs.</p>"
    for name, values in facts.items():
        yield f"<p>{text(name.capitalize())}: {text('; '.join(values))}.</p>"


def _versions(found: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found.items())
