"""One page that needs nothing beside it: no network, no script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dynsample.cli.inspect import charts
from dynsample.cli.inspect.classes import Classes, class_name, without_counts
from dynsample.cli.inspect.markup import definitions, details, document, figure, text
from dynsample.cli.inspect.pictures import Pictures
from dynsample.cli.inspect.terminal import median, verdict
from dynsample.disk.files import open_regular
from dynsample.report import Cost, Run

ABOUT = {
    "loss": "low where the model is right and sure",
    "correct": "share of the samples that the model predicted correctly when it last saw them",
    "confidence": "probability that the model gave when it last saw the sample",
}
_MOST_CLASSES = 24  # rows of their chart
_SHOWN = 14  # samples of a kind
_SAYS = "What dynsample did in epochs"  # on every page
_PIXELATED = "data:image/png"


@dataclass(frozen=True)
class Known:
    """What is known of the samples beside the report.

    Attributes
    ----------
    labels : int[N] or None
    names : sequence of str
        Of the classes; empty where only their numbers are known.
    pictures : Pictures or None
    """

    labels: NDArray[np.integer] | None
    names: Sequence[str]
    pictures: Pictures | None

    def name(self, i: int) -> str:
        """Return what a sample is called: its id, and its class where that is known."""
        if self.labels is None or i >= len(self.labels):
            return f"sample {i}"
        return f"sample {i}, class {class_name(int(self.labels[i]), self.names)}"


def build(run: Run, balance: Sequence[Cost], classes: Classes | None, samples: Known) -> str:
    """Return the page of a report that has at least one epoch."""
    about = run.epochs[-1]["run"]
    title = f"{about['policy']} on {about['num_samples']:,} samples"
    parts = [
        f"<h1>{text(title)}</h1>",
        f'<p class="quiet">{_SAYS} {run.epochs[0]["epoch"]} to '
        f"{run.epochs[-1]['epoch']}; seed {text(about['seed'])}, "
        f"{text(_ranks(about['ranks']))}.</p>",
        _facts(run, balance),
        *_balance(balance),
        *_hidden(run),
        *_scores(run),
        *_classes(classes, samples.labels),
        *_samples(run, samples),
        *_table(run, balance),
    ]
    return document(title, parts)


def is_ours(path: Path) -> bool:
    """Whether a file is such a page."""
    try:
        with open_regular(path) as file:
            return _SAYS.encode() in file.read()
    except OSError:
        return False


def _ranks(count: int) -> str:
    return "one process" if count == 1 else f"{count} ranks"


def _facts(run: Run, balance: Sequence[Cost]) -> str:
    timed = [cost for cost in balance if cost.saved is not None]
    net = sum((cost.saved or 0.0) - cost.spent for cost in timed)
    shares = [line["stats"]["fraction"] for line in run.epochs]
    facts = {
        "epochs": len(run.epochs),
        "hidden, mean": f"{sum(shares) / len(shares):.1%}",
        "hidden, last epoch": f"{shares[-1]:.1%}",
        "seconds saved, net": f"{net:+.3g}" if timed else "not timed yet",
    }
    return definitions(facts)


def _balance(balance: Sequence[Cost]) -> Iterable[str]:
    yield "<h2>Does it pay?</h2>"
    yield f"<p>{text(verdict(balance))}</p>"
    chart = charts.balance(balance)
    if chart:
        yield figure(
            chart,
            "Saved: rows that an epoch has fewer than there are samples, at what a row of the same "
            "epoch took. Spent: the fold of the observations and the plan before the epoch, the "
            "forward pass over hidden samples after it (refresh), and this report. Of rank 0; the "
            "last epoch is not timed, and what selection does to accuracy is not in this.",
        )


def _hidden(run: Run) -> Iterable[str]:
    yield "<h2>Hidden samples</h2>"
    yield figure(
        charts.hidden(run.epochs),
        "Samples that an epoch leaves out, and those that the epoch before left out and this one "
        "takes in again. Samples that never come back are as good as pruned.",
    )


def _scores(run: Run) -> Iterable[str]:
    yield "<h2>Scores</h2>"
    yield (
        "<p>What the plan of each epoch knew of the samples seen until then. In a heat map the "
        "fullest cell of every epoch has the strongest colour, and the line is the median. Counts "
        "are exact; there are two cells to every power of two of a loss. Before anything was "
        "observed there is nothing to draw.</p>"
    )
    for name in dict.fromkeys(name for line in run.epochs for name in line["columns"]):
        if chart := charts.scores(name, run.epochs):
            yield figure(
                chart,
                f"{name}: {ABOUT.get(name, 'a column of the table')}.",
            )


def _classes(classes: Classes | None, labels: NDArray[np.integer] | None) -> Iterable[str]:
    yield "<h2>Classes</h2>"
    if classes is None or not classes.samples.any():
        yield f"<p>{text(without_counts(labels))}</p>"
        return
    places = [place for place, count in enumerate(classes.samples) if count]
    places.sort(key=lambda place: classes.share[-1][place])
    chosen = places
    what = "Every class"
    if len(places) > _MOST_CLASSES:
        half = _MOST_CLASSES // 2
        chosen = places[:half] + places[-half:]
        what = f"The {half} classes hidden least and the {half} hidden most, of {len(places)}"
    yield figure(
        charts.classes(classes, chosen),
        f"{what}, ordered by the last epoch, whose hidden share stands on the right; the strongest "
        f"colour is {classes.share.max():.0%}. A class that is hidden far more than others is "
        "learned early, or easy by accident.",
    )
    rows = [
        (classes.name(place), f"{classes.samples[place]:,}", f"{classes.hidden[-1][place]:,}",
         f"{classes.share[-1][place]:.1%}", f"{classes.share.mean(axis=0)[place]:.1%}")
        for place in sorted(places)
    ]  # fmt: skip
    headings = ("class", "samples", "hidden, last epoch", "share", "share, mean of epochs")
    yield details("The classes as a table", headings, rows)


def _samples(run: Run, samples: Known) -> Iterable[str]:
    yield "<h2>Samples</h2>"
    last = run.epochs[-1]
    hardest, easiest = (
        [line["hardest"] for line in run.epochs],
        [line["easiest"] for line in run.epochs],
    )
    for kind, every, caption in (
        ("hardest", hardest, "What is mislabelled often stays here for many epochs."),
        ("easiest", easiest, "The lowest scores that are known."),
    ):
        named = every[-1]
        if not named or not named["ids"]:
            continue
        times = Counter(i for each in every if each for i in each["ids"])
        score = last["score"]
        pairs = list(zip(named["ids"], named["scores"], strict=True))[:_SHOWN]
        notes = {
            i: f"{score} {value:.3g}; here in {times[i]} of {len(run.epochs)} epochs"
            for i, value in pairs
        }
        yield f"<h3>{kind.capitalize()}, by {text(score)}</h3>"
        yield f'<p class="quiet">Of epoch {last["epoch"]}. {caption}</p>'
        yield _cards(kind, notes, samples)
    back = [(line["came_back"], line["epoch"]) for line in run.epochs if line["came_back"]]
    back = [(came, epoch) for came, epoch in back if came["count"]]
    yield "<h3>Came back</h3>"
    if not back:
        yield '<p class="quiet">No sample was hidden in one epoch and kept in the next.</p>'
        return
    came, epoch = back[-1]
    yield (
        f'<p class="quiet">{came["count"]:,} samples were hidden before epoch {epoch} and are in '
        f"it{'; some of them, drawn at random' if came['count'] > _SHOWN else ''}.</p>"
    )
    yield _cards("came back", dict.fromkeys(came["ids"][:_SHOWN], ""), samples)


def _cards(kind: str, notes: dict[int, str], samples: Known) -> str:
    cards = []
    for i, note in notes.items():
        name, picture, path = samples.name(i), "", ""
        if samples.pictures is not None:
            uri, path = samples.pictures.uri(i), samples.pictures.path(i)
            small = ' class="small"' if uri.startswith(_PIXELATED) else ""
            alt = ", ".join(filter(None, (f"{kind}: {name}", note, path)))
            title = f' title="{text(path)}"' if path else ""
            picture = f'<img{small} src="{uri}" alt="{text(alt)}"{title}>'
        lines = "<br>".join(text(line) for line in (name, note, path) if line)
        cards.append(f"<li>{picture}{lines}</li>")
    return f'<ul class="samples">{"".join(cards)}</ul>'


def _table(run: Run, balance: Sequence[Cost]) -> Iterable[str]:
    yield "<h2>Figures</h2>"
    rows = []
    for line, cost in zip(run.epochs, balance, strict=True):
        stats, back, middle = line["stats"], line["came_back"], median(line)
        rows.append(
            (
                line["epoch"],
                f"{stats['num_positions']:,}",
                f"{stats['num_hidden']:,}",
                "" if back is None else f"{back['count']:,}",
                f"{stats['unseen']:,}",
                "" if middle is None else f"{middle:.3g}",
                f"{stats['lr_scale']:.3f}",
                *(f"{seconds:.4f}" for seconds in (cost.fold, cost.plan, cost.refresh)),
                "" if cost.saved is None else f"{cost.saved:.4f}",
            )
        )
    headings = (
        "epoch", "in epoch", "hidden", "came back", "unseen",
        f"median {run.epochs[-1]['score'] or 'score'}", "lr scale",
        "fold s", "plan s", "refresh s", "saved s",
    )  # fmt: skip
    yield details("Every epoch as a table", headings, rows)
