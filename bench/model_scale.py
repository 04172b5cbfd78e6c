"""The epoch boundary on more ranks than there are: a model of its time, and a simulation of it.

Without `--simulate`: what it would take on 8 to 1024 ranks. That is a model, fitted to what is
measured here on two ranks; what it takes for granted is printed with it.

`--simulate P` runs the boundary of P sharded ranks in turn in this process: scores made by the
owners of their rows, selection, plan, delivery of every rank's rows, digest. It checks that the
digest is that of one process, and measures what a rank allocates at most, by tracemalloc around its
own steps; scratch memory inside the native kernels is not seen by that.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import resource
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

import launch
import numpy as np
from bench_ranks import SEED, Ours, new_sampler
from numpy.typing import NDArray
from watched import Meter, Schedule, Watched

import dynsample as ds
from dynsample.cli.plan import set_random_scores

ASSUMPTIONS = """\
The model takes for granted:
* A collective takes a time linear in its bytes, fitted to messages between two ranks of this
  machine through shared memory, unless --latency and --bandwidth give those of a network.
* The steps of a sum, a scan and a gather are log2 P; an exchange of all with all is P - 1 messages.
  A gather moves what the others have, a sum its vector twice, an exchange what a rank sends.
* How many calls of each kind a boundary makes, and the bytes of all of them, is recorded on two
  ranks at two sizes, and taken as linear in the rows of a rank.
* The rest is a rank's own work: so much for each row of the data set, and for each of its own. A
  rank has a core to itself, and no other takes its memory's bandwidth.
"""
RANKS = (8, 16, 32, 64, 128, 256, 512, 1024)
SAMPLES = (1_281_167, 14_197_122, 100_000_000, 1_000_000_000)
SIZES = tuple(8 << shift for shift in range(0, 22, 3))  # bytes of the messages that are fitted
REPEATS = 15
PER_RANK, PER_ROW = 2048, 128  # bytes that a rank may allocate for each other rank and each row
_KILOBYTES = 1 if sys.platform == "darwin" else 1024  # in a unit of ru_maxrss


# The model


def fit(times: dict[int, float]) -> tuple[float, float]:
    """Seconds of a call, and of a byte: least squares of relative errors."""
    sizes, seconds = np.array(list(times)), np.array(list(times.values()))
    terms = np.stack([np.ones(len(sizes)), sizes], axis=1) / seconds[:, None]
    latency, byte = np.linalg.lstsq(terms, np.ones(len(sizes)), rcond=None)[0]
    return max(float(latency), 0.0), max(float(byte), 0.0)


def measure_calls(group: ds.groups.Group) -> dict[str, dict[int, float]]:
    """Median seconds of the collectives by the bytes that a rank gives to another."""

    def calls(size: int) -> dict[str, object]:
        words = np.zeros(size // 8, np.int64)
        return {
            "sum": lambda: group.sum(words, "a sum"),
            "gather": lambda: group.all_gather(words, "a gather"),
            "exchange": lambda: group.all_to_all([words] * group.size, "an exchange"),
        }

    found: dict[str, dict[int, float]] = {}
    for size in SIZES:
        for kind, call in calls(size).items():
            times = []
            for _ in range(REPEATS):
                group.barrier("a measurement")
                start = time.perf_counter()
                call()
                times.append(time.perf_counter() - start)
            found.setdefault(kind, {})[size] = float(np.median(times))
    return found


def measure_boundary(
    group: ds.groups.Group, n: int, placement: str
) -> tuple[list[tuple[str, int]], float, float]:
    """Record the calls of a boundary; time it without them, and then this rank's order."""
    schedule = Schedule()
    ours = Ours(n, Watched(group, schedule), placement)
    alone, order = [], []
    for _ in range(5):
        ours.train()
        schedule.calls, schedule.seconds = [], 0.0
        start = time.perf_counter()
        ours.sampler.set_epoch(ours.sampler.epoch + 1)
        middle = time.perf_counter()
        if placement == "replicated":
            ours.own_rows()
        order.append(time.perf_counter() - middle)
        alone.append(middle - start - schedule.seconds)
    return schedule.calls, float(np.median(alone)), float(np.median(order))


def measure_rank(args: argparse.Namespace) -> None:
    """Do what one of the two measured ranks does; rank 0 writes what was found."""
    group = ds.groups.mpi()
    found = {"calls": measure_calls(group)}
    for placement in ("replicated", "sharded"):
        found[placement] = [measure_boundary(group, n, placement) for n in (args.n // 4, args.n)]
    if group.rank == 0:
        args.rank.write_text(json.dumps(found))


class Model:
    """Seconds of a boundary, from what two ranks were found to take for `n` samples."""

    def __init__(self, found: dict, n: int, latency: float | None, byte: float | None) -> None:
        self.calls = {
            kind: fit({int(size): seconds for size, seconds in times.items()})
            for kind, times in found["calls"].items()
        }
        if latency is not None:
            self.calls = {kind: (latency, at) for kind, (_, at) in self.calls.items()}
        if byte is not None:
            self.calls = {kind: (start, byte) for kind, (start, _) in self.calls.items()}
        self.found, self.n = found, n

    def communication(self, placement: str, ranks: int, samples: float) -> float:
        """Seconds in collectives."""
        total, rows = 0.0, samples / ranks
        for kind, (latency, byte) in self.calls.items():
            calls, sent = self._grown(placement, kind, rows)
            if kind == "exchange":
                total += calls * (ranks - 1) * latency + sent * byte
            else:
                moved = 2 * sent if kind == "sum" else (ranks - 1) * sent
                total += calls * math.log2(ranks) * latency + moved * byte
        return total

    def _grown(self, placement: str, kind: str, rows: float) -> NDArray[np.float64]:
        """Return the calls of a kind, and their bytes, of a rank with so many rows."""
        less, more = (
            np.array([len(sent), sum(sent)], np.float64)
            for calls, *_ in self.found[placement]
            for sent in [[number for name, number in calls if name == kind]]
        )
        slope = (more - less) / (self.n / 2 - self.n // 4 / 2)
        start = np.maximum(more - slope * self.n / 2, [min(less[0], more[0]), 0])
        return np.maximum(start, more + slope * (rows - self.n / 2))

    def alone(self, placement: str, ranks: int, samples: float) -> float:
        """Seconds of a rank's own work."""
        _, (_, seconds, order) = self.found[placement]
        if placement == "sharded":
            return seconds / (self.n / 2) * samples / ranks
        return seconds / self.n * samples + order / (self.n / 2) * samples / ranks


def print_model(args: argparse.Namespace) -> int:
    if needs := launch.missing():
        print(f"the model needs {needs}")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found"
        status = launch.on_ranks(2, __file__, f"--n={args.n}", f"--rank={path}")
        if status:
            return status
        found = json.loads(path.read_text())
    latency = None if args.latency is None else args.latency * 1e-6
    byte = None if args.bandwidth is None else 1e-9 / args.bandwidth
    model = Model(found, args.n, latency, byte)
    print(f"Measured on 2 ranks here, n = {args.n}; the calls fitted, or as given:")
    for kind, (start, at) in model.calls.items():
        print(f"  {kind:<10} {start * 1e6:9.1f} us + bytes at {1e-9 / max(at, 1e-15):.2f} GB/s")
    for placement in ("replicated", "sharded"):
        calls, seconds, order = found[placement][1]
        print(f"  {placement:<10} {len(calls)} calls, own work {1e3 * (seconds + order):.1f} ms")
    for placement in ("replicated", "sharded"):
        print(f"\nA MODEL, not a measurement: seconds of the boundary, {placement}")
        print("(own work + collectives)".ljust(12) + "".join(f"{n:>20.3g}" for n in SAMPLES))
        for ranks in RANKS:
            cells = [
                f"{model.alone(placement, ranks, n):.3f} + "
                f"{model.communication(placement, ranks, n):.3f}"
                for n in SAMPLES
            ]
            print(f"{ranks:>6} ranks" + "            " + "".join(f"{cell:>20}" for cell in cells))
    print(f"\n{ASSUMPTIONS}", end="")
    return 0


# The simulation


def simulate(ranks: int, n: int) -> tuple[set[str], int, float]:
    """Digests of the plan, the most that a rank allocates, in bytes, and seconds."""

    def body(group: ds.groups.Group) -> tuple[str, int]:
        meter = Meter()
        meter.resume()
        sampler = new_sampler(n, Watched(group, meter), "sharded")
        set_random_scores(sampler.table, SEED)
        sampler.set_epoch(1)
        digest = sampler.plan.digest
        meter.pause()
        return digest, meter.peak

    gc.collect()
    start = time.perf_counter()
    tracemalloc.start()
    try:
        outcomes = ds.groups.simulate(ranks, body)
    finally:
        tracemalloc.stop()
    digests, peaks = zip(*outcomes, strict=True)
    return set(digests), max(peaks), time.perf_counter() - start


def one_process(n: int) -> tuple[str, int]:
    """Digest of the plan, and the most that one process allocates, in bytes."""
    tracemalloc.start()
    sampler = new_sampler(n, ds.groups.single())
    set_random_scores(sampler.table, SEED)
    sampler.set_epoch(1)
    digest = sampler.plan.digest
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return digest, peak


def run_simulation(args: argparse.Namespace) -> int:
    ranks, n = args.simulate, args.n
    status = 0
    print(f"{'ranks':>8}{'n':>14}{'rows of a rank':>16}{'MB of a rank':>14}{'bytes a row':>13}"
          f"{'of one process':>16}{'seconds':>9}")  # fmt: skip
    peaks = {}
    cases = [(ranks, n)] if ranks < 8 else [(ranks // 4, n // 4), (ranks, n // 4), (ranks, n)]
    for size, samples in cases:
        digest, whole = one_process(samples)
        digests, peak, seconds = simulate(size, samples)
        peaks[size, samples] = peak
        rows = samples / size
        print(f"{size:>8}{samples:>14}{rows:>16.0f}{peak / 1e6:>14.2f}{peak / rows:>13.1f}"
              f"{peak / whole:>15.2%}{seconds:>10.1f}", flush=True)  # fmt: skip
        if digests != {digest}:
            print(f"the digest of one process is {digest}, the ranks have {sorted(digests)}")
            status = 1
    if len(cases) > 1:
        small, part, whole = peaks.values()
        of_rank = (whole - small) / (ranks - ranks // 4)
        of_row = (whole - part) / ((n - n // 4) / ranks)
        print(f"for each further rank {of_rank:.0f} bytes, for each further row {of_row:.0f}")
        if of_rank > PER_RANK or of_row > PER_ROW:
            print(f"more than {PER_RANK} for a rank, or {PER_ROW} for a row: not O(ranks + rows)")
            status = 1
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTES
    print(
        f"peak memory of this process with all ranks in it, kernels included: {most / 1e9:.2f} GB"
    )
    if not status:
        print(f"the plan's digest is that of one process: {digest}")
    return status


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=ASSUMPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--n", type=int, default=1_281_167, help="samples (%(default)s)")
    parser.add_argument("--simulate", type=int, metavar="RANKS")
    parser.add_argument("--latency", type=float, metavar="US", help="of a message in a network")
    parser.add_argument("--bandwidth", type=float, metavar="GB/S", help="of a rank in a network")
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.n < 8 or (args.simulate is not None and args.simulate < 1):
        parser.error("--n must be at least 8, --simulate at least 1")
    if args.rank:
        measure_rank(args)
        return 0
    return run_simulation(args) if args.simulate else print_model(args)


if __name__ == "__main__":
    sys.exit(main())
