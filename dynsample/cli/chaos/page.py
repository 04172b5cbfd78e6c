"""What a rank says of itself while it runs, readable after it was killed."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from dynsample.cli.chaos.scenario import OTHERS, PHASES

_ALL = (*OTHERS, *PHASES)


class Page:
    """Shared memory of a rank that outlives it: process, phase, points passed.

    Attributes
    ----------
    pid : int
    dying : bool
        It was about to be killed, by its own hand.
    stopped : bool
        It ended because it was told to, having saved.
    phase : str
    caught : str
        Phase in which a signal was caught; "start" when none was.
    passed : dict of str to int
        Points passed, by phase; "" counts all.
    """

    _LAYOUT = struct.Struct(f"{6 + len(_ALL)}q")

    def __init__(self, content: bytes) -> None:
        self.pid, dying, stopped, phase, caught, *passed = self._LAYOUT.unpack(content)
        self.dying, self.stopped = bool(dying), bool(stopped)
        self.phase, self.caught = _ALL[phase], _ALL[caught]
        self.passed = dict(zip(("", *_ALL), passed, strict=True))

    @classmethod
    def look(cls, path: Path) -> Page | None:
        """Read a page; None before its rank has begun."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        return cls(content) if len(content) == cls._LAYOUT.size else None


class OwnPage:
    """The page that this process writes."""

    def __init__(self, path: Path) -> None:
        temporary = path.with_suffix(".new")
        temporary.write_bytes(bytes(Page._LAYOUT.size))
        with temporary.open("r+b") as file:
            self._numbers = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self._numbers[0] = os.getpid()
        self._path, self._temporary = path, temporary

    def show(self) -> None:
        """Let others see the page, and strike from then on."""
        self._temporary.replace(self._path)

    def enter(self, phase: str) -> None:
        """Say which phase this process is in."""
        self._numbers[3] = _ALL.index(phase)

    def count(self) -> tuple[str, int]:
        """Count a point of the present phase; return the phase and its points so far."""
        phase = self._numbers[3]
        self._numbers[5] += 1
        self._numbers[6 + phase] += 1
        return _ALL[phase], self._numbers[6 + phase]

    def die(self) -> None:
        """Say that the kill comes from here."""
        self._numbers[1] = True

    def catch(self) -> None:
        """Say that a signal was caught, in the present phase."""
        self._numbers[4] = self._numbers[3]

    def stop(self) -> None:
        """Say that this process ends as it was told to."""
        self._numbers[2] = True
