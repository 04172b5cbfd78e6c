"""What commands print: text that others named is shown as it is written, and never obeyed.

Tables have the looks of rich where that is installed, and are plain elsewhere.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from itertools import zip_longest
from typing import NoReturn, TextIO

_ESCAPED = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, directions, bytes that are no text, line ends


def printable(text: object) -> str:
    """Return text with whatever a terminal or page would obey written out; lines stay lines."""
    return "".join(map(_shown, str(text)))


def _shown(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in _ESCAPED:
        return letter
    if "\udc80" <= letter <= "\udcff":  # a byte of a file's name that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def say(text: object, file: TextIO | None = None) -> None:
    """Print a line."""
    print(printable(text), file=file or sys.stdout)


def reason(error: Exception) -> str:
    """Return what went wrong, of a file with its name first and without the system's number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}"
    if isinstance(error, KeyError):  # which prints its message in quotes
        return str(error.args[0])
    return str(error)


def has_rich() -> bool:
    """Whether rich is installed."""
    return importlib.util.find_spec("rich") is not None


def cry(text: object) -> None:
    """Print a line that must be seen, in red where that can be done."""
    if not has_rich():
        say(text)
        return
    from rich.console import Console

    Console().print(printable(text), style="red", highlight=False, markup=False, soft_wrap=True)


def show_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Collection[int] = (),
    alarming: Collection[int] = (),
    totals: int = 0,
) -> None:
    """Print a table.

    Parameters
    ----------
    headings : sequence of str
        May have more than one line.
    rows : iterable of sequence of str
    left : collection of int
        Columns that begin at one place; others end at one.
    alarming : collection of int
        Rows in red, where that can be done.
    totals : int
        Rows at the end that a line parts from those above.
    """
    headings = [printable(heading) for heading in headings]
    cells = [[printable(cell) for cell in row] for row in rows]
    body = len(cells) - totals
    if not has_rich():
        print("\n".join(_plain(headings, cells, left, body)))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        justify = "left" if place in left else "right"
        table.add_column(Text(heading), justify=justify, no_wrap="\n" not in heading)
    for number, row in enumerate(cells):
        if number == body and totals:
            table.add_section()
        style = "bold red" if number in alarming else None
        table.add_row(*map(Text, row), style=style)
    Console().print(table)


def _plain(
    headings: Sequence[str], cells: list[list[str]], left: Collection[int], body: int
) -> list[str]:
    """Lines of a table in columns."""
    above = [heading.split("\n") for heading in headings]
    height = max(map(len, above))
    head = [list(row) for row in zip_longest(*([""] * (height - len(c)) + c for c in above))]
    every = [*head, *cells]
    widths = [max(len(row[place]) for row in every) for place in range(len(headings))]

    def line(row: Sequence[str]) -> str:
        places = enumerate(zip(row, widths, strict=True))
        parts = (c.ljust(w) if place in left else c.rjust(w) for place, (c, w) in places)
        return "  ".join(parts).rstrip()

    rule = "  ".join("-" * width for width in widths)
    lines = [*map(line, head), rule, *map(line, cells[:body])]
    return lines if body == len(cells) else [*lines, rule, *map(line, cells[body:])]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and can be shown."""

    def error(self, message: str) -> NoReturn:
        """End the command with what is wrong with its arguments."""
        self.exit(2, f"{self.prog}: {printable(message)}; {self.prog} --help says more\n")
