"""Text that holds what others named: shown as it is written, and never obeyed."""

from __future__ import annotations

import argparse
import sys
import unicodedata
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


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, and can be shown."""

    def error(self, message: str) -> NoReturn:
        """End the command with what is wrong with its arguments."""
        self.exit(2, f"{self.prog}: {printable(message)}; {self.prog} --help says more\n")
