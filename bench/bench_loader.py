"""Loaders that follow a sampler beside the same loaders without one: throughput and CPU time.

The two take turns in one process. A turn is an epoch, and lasts until the process is idle again, so
that what a loader prefetches beyond it counts for its own turn. `ratio` is ours / stock throughput
with the 95 % interval of the median of the pairs, `cpu_ratio` ours / stock CPU seconds; case `aa`
has the stock loader on both sides.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loaders import LOADERS, Case

QUIET_SECONDS, QUIET_SHARE = 0.004, 0.1


def cpu_seconds() -> float:
    """CPU time of this process and of all its children, those that ended and those that live."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + ended.ru_utime + ended.ru_stime
    for thread in Path("/proc/self/task").iterdir():
        for child in (thread / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def turn(epoch: Callable[[], int]) -> tuple[float, float]:
    """Wall and CPU seconds of an image."""
    cpu, start = cpu_seconds(), time.perf_counter()
    images = epoch()
    while True:
        before, stop = time.process_time(), time.perf_counter()
        time.sleep(QUIET_SECONDS)
        if time.process_time() - before < QUIET_SHARE * QUIET_SECONDS:
            break
    return (stop - start) / images, (cpu_seconds() - cpu) / images


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the median, by the order of the values alone."""
    ordered, n = sorted(values), len(values)
    below, cut = 0.0, 0
    while (below := below + math.comb(n, cut) / 2**n) <= 0.025:
        cut += 1
    cut = max(cut - 1, 0)
    return ordered[cut], ordered[n - 1 - cut]


def measure(case: Case, pairs: int) -> dict[str, Any]:
    turn(case.ours)
    turn(case.peer)
    ours, peer = [], []
    for pair in range(pairs):
        sides = [(case.ours, ours), (case.peer, peer)]
        for epoch, times in sides if pair % 2 else sides[::-1]:
            times.append(turn(epoch))
    ratios = [theirs[0] / mine[0] for mine, theirs in zip(ours, peer, strict=True)]
    low, high = interval(ratios)
    return {
        "bench": "loader",
        "case": case.name,
        "ours": 1 / statistics.median(wall for wall, _ in ours),
        "peer": 1 / statistics.median(wall for wall, _ in peer),
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "cpu_ratio": statistics.median(m[1] / p[1] for m, p in zip(ours, peer, strict=True)),
        "pairs": pairs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loader", choices=[*LOADERS, "all"], default="all")
    parser.add_argument("--n", type=int, default=768, help="images on disk (%(default)s)")
    parser.add_argument("--pairs", type=int, default=20, help="timed pairs (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="one line per case")
    args = parser.parse_args()
    print(f"loader: median of {args.pairs} alternating pairs, {args.n} images, in images/s")
    print(f"{'case':<20}{'ours':>9}{'stock':>9}{'ratio':>8}  {'95 % interval':<16}{'CPU':>6}")
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for name in LOADERS if args.loader == "all" else [args.loader]:
            try:
                module = importlib.import_module(f"loaders.{name}")
            except ImportError as error:
                print(f"{name} is left out: {error}")
                continue
            for case in module.cases(Path(folder), args.n):
                result = measure(case, args.pairs)
                lines.append(json.dumps(result) + "\n")
                print(
                    f"{case.name:<20}{result['ours']:>9.0f}{result['peer']:>9.0f}"
                    f"{result['ratio']:>8.3f}  {result['ratio_low']:.3f} to "
                    f"{result['ratio_high']:.3f}  {result['cpu_ratio']:>6.3f}",
                    flush=True,
                )
    if args.json:
        args.json.write_text("".join(lines))
    return int(not lines)


if __name__ == "__main__":
    sys.exit(main())
