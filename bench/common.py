"""Timing of ours against a peer: alternating in one process, one JSON line per case."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

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


def _seconds(call: Callable[[], object], setup: Callable[[], object] | None) -> float:
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
    """Collects the cases of one script, prints them as they come, and writes `--json`."""

    def __init__(self, name: str, description: str, default_n: int = 1281167) -> None:
        self.name = name
        self.results: list[Result] = []
        self.parser = argparse.ArgumentParser(description=description)
        self.parser.add_argument("--n", type=int, default=default_n, help="samples (%(default)s)")
        self.parser.add_argument("--pairs", type=int, default=15, help="timed pairs (%(default)s)")
        self.parser.add_argument("--json", type=Path, metavar="FILE", help="one line per case")

    def parse(self, argv: list[str] | None = None) -> argparse.Namespace:
        """Read the command line and start the table."""
        self.args = self.parser.parse_args(argv)
        print(f"{self.name}: median of {self.args.pairs} alternating pairs, n = {self.args.n}")
        print(f"{'case':<34}{'ours':>12}  {'peer':<34}{'time':>12}{'ratio':>8}  middle half")
        return self.args

    def compare(
        self,
        case: str,
        ours: Callable[[], object],
        peer_name: str,
        peer: Callable[[], object],
        *,
        unit: str = "ms",
        per: int = 1,
        pairs: int | None = None,
        setup: Callable[[], object] | None = None,
    ) -> Result:
        """Time both in turn; `per` is the number of operations inside one call.

        `setup` runs untimed before every call of either.
        """
        _seconds(ours, setup)
        _seconds(peer, setup)
        mine, theirs = [], []
        for _ in range(pairs or self.args.pairs):
            mine.append(_seconds(ours, setup))
            theirs.append(_seconds(peer, setup))
        return self.record(case, mine, peer_name, theirs, unit=unit, per=per)

    def record(
        self,
        case: str,
        mine: list[float],
        peer_name: str,
        theirs: list[float],
        *,
        unit: str,
        per: int = 1,
    ) -> Result:
        """Add a case by what was measured, in seconds or bytes, of both in turn."""
        ratios = [b / a for a, b in zip(mine, theirs, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
        scale = SCALES[unit] / per
        result = Result(
            bench=self.name,
            case=case,
            n=self.args.n,
            ours=statistics.median(mine) * scale,
            peer_name=peer_name,
            peer=statistics.median(theirs) * scale,
            unit=unit,
            ratio=statistics.median(ratios),
            ratio_low=low,
            ratio_high=high,
        )
        self.results.append(result)
        print(
            f"{case:<34}{result.ours:>9.3f} {unit}  {peer_name:<34}{result.peer:>9.3f} {unit}"
            f"{result.ratio:>7.2f}x  {low:.2f} to {high:.2f}",
            flush=True,
        )
        return result

    def finish(self) -> None:
        """Write the JSON lines when asked to."""
        if self.args.json:
            self.args.json.write_text("".join(json.dumps(asdict(r)) + "\n" for r in self.results))
