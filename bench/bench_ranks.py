"""The epoch boundary on several ranks: logs exchanged and folded, samples hidden, order planned.

Starts itself on `--ranks` ranks of this machine under MPICH. Every rank has observed its share of
an epoch; what is timed is all that it needs to start the next one, with its rows of the new order.
A time is that of the slowest rank. The bytes are those that the kernel counts on the loopback link
while one call of each runs, in a second, untimed run that may not use shared memory.

`KAKURENBO boundary` is as in bench_plan.py, with the all-reduces of its published script: a dense
float64 vector of length n for each of the three signals. `gathered logs` sends every observation,
16 bytes, to all ranks, scatters them into float32 tables and plans with numpy.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import launch
import numpy as np
from common import Bench, keep_memory
from parts import moved, of_boundary, show, take_apart

import dynsample as ds

FRACTION, TAU, BATCH, SEED = 0.3, 0.7, 256, 1
SIGNALS = ("loss", "correct", "confidence")
BYTE_CALLS = 3
Side = tuple[str, Callable[[], object], Callable[[], object]]  # name, what comes before, call


def scores(n: int) -> dict[str, np.ndarray]:
    """Scores of an epoch, the same on every rank."""
    generator = np.random.default_rng(0)
    return {
        "loss": generator.exponential(size=n).astype(np.float32),
        "correct": (generator.random(n) < 0.9).astype(np.float32),
        "confidence": generator.random(n, dtype=np.float32),
    }


def new_sampler(n: int, group: ds.groups.Group, placement: str = "replicated") -> ds.Sampler:
    policy = ds.Kakurenbo(fraction=FRACTION, tau=TAU)
    return ds.Sampler(n, policy, BATCH, seed=SEED, group=group, placement=placement)


class Ours:
    """The sampler, as a training loop uses it."""

    def __init__(self, n: int, group: ds.groups.Group, placement: str = "replicated") -> None:
        self.scores = scores(n)
        self.sampler = new_sampler(n, group, placement)
        self.sampler.set_epoch(0)

    def train(self) -> None:
        """Observe every batch of the epoch, those of the hidden samples too."""
        for batches in (self.sampler, self.sampler.hidden):
            for index in batches:
                self.sampler.observe(index, **{k: v[index] for k, v in self.scores.items()})

    def boundary(self) -> object:
        """Fold, plan the next epoch, and have the rows of this rank."""
        self.sampler.set_epoch(self.sampler.epoch + 1)
        return self.own_rows()

    def own_rows(self) -> np.ndarray:
        """As many rows as this rank will train on; batch by batch in training, here in one go."""
        group, plan = self.sampler.group, self.sampler.plan
        length = plan.num_positions
        return plan.rows(group.rank * length // group.size, (group.rank + 1) * length // group.size)

    def check(self) -> None:
        """Raise when the plan is another than that of one process with the same scores."""
        alone = new_sampler(self.sampler.num_samples, ds.groups.single())
        for name, values in self.scores.items():
            alone.table.set_column(name, values)
        alone.set_epoch(self.sampler.epoch)
        if alone.plan.digest != self.sampler.plan.digest:
            raise SystemExit(f"rank {self.sampler.group.rank}: not the plan of one process")


def kakurenbo(comm: object, index: np.ndarray, observed: dict[str, np.ndarray], n: int) -> Side:
    import torch
    from bench_plan import kakurenbo_boundary
    from mpi4py import MPI

    torch.set_num_threads(ds._core.num_threads())
    columns = [torch.zeros(n, dtype=torch.float64) for _ in SIGNALS]
    signals = [torch.from_numpy(observed[name]).double() for name in SIGNALS]
    rows = torch.from_numpy(index)

    def clear() -> None:
        for column in columns:
            column.zero_()

    def all_reduce(column: torch.Tensor) -> None:
        comm.Allreduce(MPI.IN_PLACE, column.numpy(), MPI.SUM)

    return (
        "KAKURENBO boundary",
        clear,
        lambda: kakurenbo_boundary(rows, signals, columns, all_reduce),
    )


def gathered(comm: object, index: np.ndarray, observed: dict[str, np.ndarray], n: int) -> Side:
    generator = np.random.default_rng(SEED)
    ids = index.astype(np.int32)
    tables = {name: np.zeros(n, np.float32) for name in SIGNALS}
    counts = comm.allgather(len(index))

    def gather(values: np.ndarray) -> np.ndarray:
        everything = np.empty(sum(counts), values.dtype)
        comm.Allgatherv(values, [everything, counts])
        return everything

    def boundary() -> object:
        rows = gather(ids)
        for name, table in tables.items():
            table[rows] = gather(observed[name])
        candidates = np.argpartition(tables["loss"], int(FRACTION * n))[: int(FRACTION * n)]
        sure = (tables["correct"][candidates] > 0) & (tables["confidence"][candidates] >= TAU)
        kept = np.ones(n, np.bool_)
        kept[candidates[sure]] = False
        return generator.permutation(np.flatnonzero(kept))

    return "gathered logs, argpartition", lambda: None, boundary


def run_rank(bench: Bench, args: argparse.Namespace) -> None:
    """Do what one of the ranks does."""
    from mpi4py import MPI

    comm = MPI.COMM_WORLD
    ours = Ours(args.n, ds.groups.mpi(comm))
    if args.parts:
        name = f"boundary, {comm.size} ranks"
        called = of_boundary(ours.sampler)
        whole, parts = take_apart(ours.train, ours.boundary, called, args.pairs, comm.Barrier)
        comm.Barrier()
        show(bench, name, whole, parts, moved(ours.sampler))
        return
    index = np.random.default_rng(SEED).permutation(args.n)[comm.rank :: comm.size]
    observed = {name: values[index] for name, values in ours.scores.items()}
    peers = [make(comm, index, observed, args.n) for make in (kakurenbo, gathered)]

    def seconds(call: Callable[[], object]) -> float:
        comm.Barrier()
        start = MPI.Wtime()
        call()
        return comm.allreduce(MPI.Wtime() - start, MPI.MAX)

    def bytes_(call: Callable[[], object]) -> float:
        comm.Barrier()
        start = launch.sent_bytes()
        comm.Barrier()
        call()
        comm.Barrier()
        return comm.bcast(launch.sent_bytes() - start) / comm.size

    if args.rank == "bytes":
        check_counter(comm, bytes_)
    measure, unit = (seconds, "ms") if args.rank == "time" else (bytes_, "MB")
    case = f"boundary, {comm.size} ranks" + (", sent by one" if unit == "MB" else "")
    for name, prepare, boundary in peers:
        mine, theirs = [], []
        for turn in range((args.pairs if unit == "ms" else BYTE_CALLS) + 1):
            ours.train()
            mine.append(measure(ours.boundary))
            prepare()
            theirs.append(measure(boundary))
            if not turn:
                mine, theirs = [], []
        bench.record(case, mine, name, theirs, unit=unit)
    ours.check()


def check_counter(comm: object, measured: Callable[[Callable[[], object]], float]) -> None:
    """Raise when the link's counter does not follow what is sent, as over shared memory."""
    sent = np.zeros(comm.size << 22, np.uint8)  # 4 MB to each rank
    away = sent.nbytes * (comm.size - 1) // comm.size
    found = measured(lambda: comm.Alltoall(sent, np.empty_like(sent)))
    if not away <= found <= 1.2 * away:
        raise SystemExit(f"each rank sent {away} bytes, and the link counted {found:.0f}")


def main() -> int:
    bench = Bench("ranks", __doc__.splitlines()[0])
    bench.parser.add_argument("--ranks", type=int, default=2, help="(%(default)s)")
    bench.parser.add_argument("--parts", action="store_true", help="where our boundary's time goes")
    bench.parser.add_argument("--rank", choices=("time", "bytes"), help=argparse.SUPPRESS)
    args = bench.parser.parse_args()
    if args.rank:
        if int(os.environ["PMI_RANK"]):
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        keep_memory()
        bench.parse()
        run_rank(bench, args)
        if not int(os.environ["PMI_RANK"]):
            bench.finish()
        return 0
    if needs := launch.missing():
        print(f"ranks is left out: it needs {needs}")
        return 0
    options = [f"--ranks={args.ranks}", f"--n={args.n}", f"--pairs={args.pairs}"]
    options += ["--parts"] * args.parts
    status, lines = 0, ""
    with tempfile.TemporaryDirectory() as folder:
        for what in ("time",) if args.parts else ("time", "bytes"):
            part = Path(folder) / what
            own = [f"--rank={what}", f"--json={part}"]
            status |= launch.on_ranks(
                args.ranks, __file__, *options, *own, over_loopback=what == "bytes"
            )
            lines += part.read_text() if part.exists() else ""
    if args.json:
        args.json.write_text(lines)
    if args.ranks > (os.cpu_count() or 1):
        print(f"{args.ranks} ranks on {os.cpu_count()} cores wait for each other's processor time")
    return int(bool(status))


if __name__ == "__main__":
    sys.exit(main())
