"""A CSV file as columns of text, of which every row is whole."""

from __future__ import annotations

import codecs
import csv
import os
from dataclasses import dataclass
from io import TextIOWrapper

from dynsample.disk.files import open_regular

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_OTHER_SEPARATORS = {";": "';'", "\t": "tabs"}
_SHOWN = 60  # characters of a heading in a message


@dataclass(frozen=True, eq=False)
class CsvFile:
    """Headings and rows of a CSV file.

    Attributes
    ----------
    path : path
    headings : list of str
        No two are the same; that of an unnamed column is empty.
    rows : list of list of str
        A cell for each heading; text that is not UTF-8 is escaped by surrogates.
    lines : list of int
        Where each row begins in the file.
    blank : int or None
        The first blank line that is followed by a row.
    """

    path: str | os.PathLike[str]
    headings: list[str]
    rows: list[list[str]]
    lines: list[int]
    blank: int | None

    def column(self, heading: str) -> list[str]:
        """Return the cells below a heading."""
        place = self.headings.index(heading)
        return [row[place] for row in self.rows]

    def place(self, row: int, heading: str) -> str:
        """Say where a cell is, for a message."""
        return f"{self.path}, line {self.lines[row]}, column {heading!r}"

    @property
    def listed(self) -> str:
        """The headings, for a message."""
        return ", ".join(repr(heading[:_SHOWN]) for heading in self.headings)


def read(path: str | os.PathLike[str]) -> CsvFile:
    """Read a CSV file in UTF-8, with or without a byte order mark, that begins with headings.

    Raises
    ------
    ValueError
        With the number of the line, for a row with more or fewer cells than there are headings;
        for a file that does not end with a line break, as one that was cut short does.
    """
    _check_ends(path)
    with TextIOWrapper(
        open_regular(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
    ) as text:
        reader = csv.reader(text, strict=True)
        try:
            headings = _headings(path, next(reader, []))
            found = CsvFile(path, headings, [], [], None)
            blank, begin = None, reader.line_num + 1
            for row in reader:
                if not row:
                    blank = blank or begin
                elif len(row) != len(headings):
                    raise ValueError(
                        f"{path}, line {begin}: has {len(row)} cells, and there are "
                        f"{len(headings)} headings: {found.listed}"
                    )
                else:
                    found.rows.append(row)
                    found.lines.append(begin)
                begin = reader.line_num + 1
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not found.rows:
        raise ValueError(f"{path} must have a row for each sample below its headings, has none")
    followed = blank is not None and blank < found.lines[-1]
    return CsvFile(path, headings, found.rows, found.lines, blank if followed else None)


def _check_ends(path: str | os.PathLike[str]) -> None:
    with open_regular(path) as file:
        begin = file.read(2)
        if begin in _UTF16:
            raise ValueError(f"{path} is in UTF-16; save it as CSV in UTF-8")
        if not begin:
            raise ValueError(f"{path} is empty: expected a line of headings")
        file.seek(-1, os.SEEK_END)
        if file.read(1) not in b"\r\n":
            raise ValueError(
                f"{path}, last line: has no line break, as if the file were cut short; if it is "
                "whole, end it with one"
            )


def _headings(path: str | os.PathLike[str], cells: list[str]) -> list[str]:
    headings = [cell.strip() for cell in cells]
    if not any(headings):
        raise ValueError(f"{path}, line 1: expected headings, found none")
    if len(headings) == 1:
        for separator, named in _OTHER_SEPARATORS.items():
            if separator in headings[0]:
                raise ValueError(
                    f"{path}, line 1: columns must be separated by commas, found {named}: "
                    f"{headings[0][:_SHOWN]!r}"
                )
    twice = [heading for place, heading in enumerate(headings) if heading in headings[:place]]
    if twice:
        raise ValueError(f"{path}, line 1: the heading {twice[0]!r} is there more than once")
    return headings
