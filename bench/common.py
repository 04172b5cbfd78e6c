"""Timing of ours against a peer: alternating in one process, one JSON line per case."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

Call = Callable[[], object]
Timer = Callable[[Call, Call | None], float]  # seconds of one call after an untimed set-up

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
SCALES = {"ms": 1e3, "us": 1e6, "MB": 1e-6}  # of seconds, and of bytes


@dataclass(frozen=True)
class Result:
    """One case. `ours` and `peer` are medians in `unit`, of time or bytes; ratio = peer / ours."""

    bench: str
    case: str
    n: int
    ours: float
    peer_name: str
    peer: float
    unit: str
    ratio: float
    ratio_low: float
    ratio_high: float


def wall_seconds(call: Call, setup: Call | None = None) -> float:
    """Time one call by the clock on the wall."""
    if setup:
        setup()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def keep_memory() -> None:
    """Let freed memory stay with the process.

    Else it hangs on what was allocated before whether a side gets fresh pages, and waits for the
    system to clear them, at every call.
    """
    with contextlib.suppress(AttributeError, OSError):  # glibc's own
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


class Bench:
    """Collects the cases of one script, prints them as they come, and writes `--json`.

    Attributes
    ----------
    n : int
        Samples of the present case.
    timer : Timer
        What `compare` times with.
    show : bool
        False where times mean nothing: cases are run, and neither printed nor written.
    """

    timer: Timer = staticmethod(wall_seconds)
    show = True

    def __init__(self, name: str, description: str, default_n: int | list[int] = 1281167) -> None:
        self.name = name
        self._lines = self._case = ""
        self.parser = argparse.ArgumentParser(description=description)
        many = {"nargs": "+"} if isinstance(default_n, list) else {}
        self.parser.add_argument(
            "--n", type=int, default=default_n, help="samples (%(default)s)", **many
        )
        self.parser.add_argument("--pairs", type=int, default=15, help="timed pairs (%(default)s)")
        self.parser.add_argument("--json", type=Path, metavar="FILE", help="one line per case")

    def parse(self, argv: list[str] | None = None) -> argparse.Namespace:
        """Read the command line and start the table."""
        self.args = self.parser.parse_args(argv)
        sizes = self.args.n if isinstance(self.args.n, list) else [self.args.n]
        self.n: int = sizes[0]
        print(
            f"{self.name}: median of {self.args.pairs} alternating pairs, "
            f"n = {', '.join(map(str, sizes))}"
        )
        print(f"  {'beside':<33}{'ours':>9}{'peer':>10}     {'ratio':>7}  middle half")
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
        return self.args

    def compare(
        self,
        case: str,
        ours: Call,
        peer_name: str,
        peer: Call,
        *,
        unit: str = "ms",
        per: int = 1,
        pairs: int | None = None,
        setup: Call | None = None,
        below: str = "",
    ) -> Result:
        """Time both in turn; `per` is the number of operations inside one call.

        `setup` runs untimed before every call of either; `below` says why the peer may be faster.
        """
        self.timer(ours, setup)
        self.timer(peer, setup)
        mine, theirs = [], []
        for _ in range(pairs or self.args.pairs):
            mine.append(self.timer(ours, setup))
            theirs.append(self.timer(peer, setup))
        return self.record(case, mine, peer_name, theirs, unit=unit, per=per, below=below)

    def record(
        self,
        case: str,
        mine: list[float],
        peer_name: str,
        theirs: list[float],
        *,
        unit: str,
        per: int = 1,
        below: str = "",
    ) -> Result:
        """Add a case by what was measured, in seconds or bytes, of both in turn."""
        ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        scale = SCALES[unit] / per
        result = Result(
            bench=self.name,
            case=case,
            n=self.n,
            ours=statistics.median(mine) * scale,
            peer_name=peer_name,
            peer=statistics.median(theirs) * scale,
            unit=unit,
            ratio=statistics.median(ratios),
            ratio_low=low,
            ratio_high=high,
        )
        if self.show and case != self._case:
            print(case)
            self._case = case
        self._print(
            f"  {peer_name:<33}{result.ours:>9.3f}{result.peer:>10.3f} {unit:<4}"
            f"{result.ratio:>7.2f}x  {low:.2f} to {high:.2f}",
            asdict(result),
        )
        if self.show and result.ratio < 1:
            print(f"    below 1x the peer is faster{below and f': {below}'}", flush=True)
        return result

    def note(self, case: str, text: str, **figures: object) -> None:
        """Print and write further figures of a case."""
        line = {"bench": self.name, "case": case, "n": self.n, **figures}
        self._print(f"{case:<29} {text}", line)

    def _print(self, text: str, line: dict[str, object]) -> None:
        if not self.show:
            return
        print(text, flush=True)
        self._lines += json.dumps(line) + "\n"
        self.finish()

    def finish(self) -> None:
        """Write the JSON lines so far when asked to."""
        if self.args.json:
            self.args.json.write_text(self._lines)
