"""Write the tables of docs/which-method.md from the runs in bench/results/study.

`make study STUDY="--out bench/results/study ..."` adds runs there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from embedded import put

from dynsample.cli.experiment.rows import CONTROLS, METHODS
from dynsample.cli.experiment.summary import accuracy, with_error
from dynsample.cli.study import runs
from dynsample.cli.study.balance import Balance, Beside, balances

ROOT = Path(__file__).parents[1]
FOLDER, PAGE = ROOT / "bench" / "results" / "study", ROOT / "docs" / "which-method.md"
OVER = {
    "baseline": "baseline",
    "short": "shorter run",
    "random": "RS2",
    "random_same_cost": "scaled RS2",
    "hide_hardest": "hide hardest",
}
assert OVER.keys() == {"baseline", *CONTROLS}


def tables(found: list[Balance]) -> Iterator[str]:
    """Yield a heading and the lines of a table for every task and variant."""
    for balance in found:
        yield f"### {balance.title}\n"
        mean, error = accuracy(balance.baseline.runs, "baseline")
        seeds = len(balance.baseline.runs["baseline"])
        yield f"The baseline: {with_error(f'{mean:.2f}', error)} %, {seeds} seeds.\n"
        headings = ["method", "cost", "time", "accuracy %"]
        headings += [*(f"over {each}" for each in OVER.values()), "verdict"]
        yield f"| {' | '.join(headings)} |"
        yield "|---" * len(headings) + "|"
        yield from map(_row, balance.methods)
        yield ""
        missing = [name for name in METHODS if name not in {each.name for each in balance.methods}]
        if missing:
            yield f"Not run here: {', '.join(missing)}.\n"


def _row(method: Beside) -> str:
    figures, (mean, error) = method.figures[method.name], accuracy(method.runs, method.name)
    cells = [method.name, f"{figures.cost:.2f}", f"{figures.wall_ratio:.2f}"]
    cells.append(with_error(f"{mean:.2f}", error))
    cells += [_over(method, other) for other in OVER]
    said = method.judgement().removeprefix(f"{method.name} ").rstrip(".")
    return f"| {' | '.join([*cells, said])} |"


def _over(method: Beside, other: str) -> str:
    if other not in {"baseline", *method.controls}:
        return ""
    delta, error = method.against(other)
    return with_error(f"{delta:+.2f}", error)


def page() -> str:
    """Text of the page as it is to be."""
    records, _ = runs.latest(runs.read(FOLDER)[0])
    places = {f"{each.place['machine']}, commit {each.place['commit']}" for each in records}
    dates = sorted({each.place["date"] for each in records})
    found = list(balances(records))
    said = f"{len(records)} runs; {'; '.join(sorted(places))}; {' to '.join(dates)}.\n"
    return put(PAGE, "study", "\n".join([said, *tables(found), ""]))


if __name__ == "__main__":
    PAGE.write_text(page())
