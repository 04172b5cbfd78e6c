"""What a study found: tables, sentences, a picture and a page, all from the lines of its runs."""

from __future__ import annotations

import sys
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from dynsample.cli.printing import printable, say
from dynsample.cli.study import charts, page, runs
from dynsample.cli.study.balance import Balance, balances
from dynsample.cli.study.cells import HEADINGS, cells, legend
from dynsample.disk.files import whole

PICTURE, PAGE = "study.png", "study.html"


def show(folder: Path) -> int:
    """Print the tables of a folder, and write picture and page into it; 1 when there is nothing."""
    records, torn = runs.read(folder)
    kept, others = runs.latest(records)
    if torn:
        say(f"{folder / runs.FILE}: the last line is torn, and left out")
    if others:
        say(f"{folder / runs.FILE}: {others} runs are left out: the same were done again, or "
            "their policy has been given other settings since")  # fmt: skip
    found = list(balances(kept))
    if not found:
        say(f"{folder} has no finished baseline in {runs.FILE}", sys.stderr)
        return 1
    console = Console()
    for balance in found:
        console.print(_table(balance))
        for beside in balance.methods:
            console.print(f"[bold]{beside.judgement()}[/bold] {beside.verdict()}", highlight=False)
        console.print()
    with whole(folder / PICTURE) as file:
        charts.picture(file, found)
    with whole(folder / PAGE) as file:
        file.write(page.build(found, kept).encode())
    for name in (PICTURE, PAGE):
        console.print(printable(folder / name), soft_wrap=True, markup=False, highlight=False)
    return 0


def _table(balance: Balance) -> Table:
    table = Table(
        title=balance.title, caption=legend(), caption_justify="left", box=box.SIMPLE_HEAD,
        pad_edge=False,
    )  # fmt: skip
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in cells(balance):
        table.add_row(*row)
    return table
