"""A whole taken apart: the time of named calls inside it, beside the bytes that each moves."""

from __future__ import annotations

import contextlib
import functools
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

import numpy as np
from common import Bench

import dynsample as ds
from dynsample import _core
from dynsample.plan.plan import WholePlan
from dynsample.run import planning
from dynsample.run.ledger import Ledger
from dynsample.table import fold as exchange

Named = Sequence[tuple[str, Any, str]]  # part, where its function is looked up, and its name
CACHE = 1 << 28  # bytes that push out of the caches what was there


def of_boundary(sampler: ds.Sampler) -> Named:
    """List what happens between two epochs of KAKURENBO, on one process or on ranks."""
    collective = (
        "sum",
        "exclusive_scan",
        "all_gather",
        "all_to_all",
        "exchange",
        "barrier",
        "agree",
    )
    group, table = type(sampler.group), type(sampler.table)
    return [
        ("match", Ledger, "settle"),
        ("pack", exchange, "pack"),
        ("fold", table, "fold_portions" if sampler.group.size == 1 else "fold_packed"),
        ("hide", table, "hide_lowest"),
        ("compare", ds.Kakurenbo, "select"),
        ("plan", planning, "build_plan"),
        ("order", WholePlan, "rows"),
        *(("exchange", group, name) for name in collective),
    ]


def moved(sampler: ds.Sampler) -> dict[str, float]:
    """Bytes that each part reads and writes at least, when every sample was observed."""
    n, ranks, kept = sampler.num_samples, sampler.group.size, sampler.plan.num_positions
    row, byte, log = 4, 1, 16  # of a sample: its row, a flag, and its row with three signals
    record, columns = 12, 13  # a row with a bit of it and two signals; three columns and `seen`
    pack, apply = (log + record) * n / ranks, (record + columns) * n
    return {
        "match": 2 * row * n / ranks,
        **({"fold": pack + apply} if ranks == 1 else {"pack": pack, "fold": apply}),
        "hide": (row + byte) * n,
        "compare": (2 * row + 3 * byte) * n,
        "plan": (2 * byte + row) * n,
        "order": (row + 8) * kept / ranks,
        **({} if ranks == 1 else {"exchange": record * n}),
    }


class Parts:
    """Times named functions wherever they are called, each without the named ones inside of it."""

    def __init__(self, named: Named) -> None:
        self.seconds = dict.fromkeys((part for part, _, _ in named), 0.0)
        self._inner = [0.0]
        self._named = named

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Have the functions timed inside of the block."""
        with contextlib.ExitStack() as stack:
            for part, owner, name in self._named:
                function = self._timed(part, getattr(owner, name))
                stack.enter_context(mock.patch.object(owner, name, function))
            yield

    def _timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **options: Any) -> Any:
            self._inner.append(0.0)
            start = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                whole = time.perf_counter() - start
                self.seconds[part] += whole - self._inner.pop()
                self._inner[-1] += whole

        return call


def forget(scratch: np.ndarray = np.zeros(CACHE // 8)) -> None:  # noqa: B008 - made once
    """Leave nothing of ours in the caches, as a training step does."""
    scratch += 1


def take_apart(
    prepare: Callable[[], object],
    whole: Callable[[], object],
    named: Named,
    turns: int,
    together: Callable[[], object] = lambda: None,
) -> tuple[float, dict[str, float]]:
    """Median seconds of a whole and of its parts, cold; `rest` is what no part has.

    `together` is called when a rank is ready, and returns when all are.
    """
    wholes, found = [], []
    for _ in range(turns + 1):
        prepare()
        forget()
        together()
        parts = Parts(named)
        with parts.timed():
            start = time.perf_counter()
            whole()
            wholes.append(time.perf_counter() - start)
        found.append({**parts.seconds, "rest": wholes[-1] - sum(parts.seconds.values())})
    typical = statistics.median(wholes[1:])
    return typical, {part: statistics.median(each[part] for each in found[1:]) for part in found[0]}


def bandwidth() -> float:
    """Bytes a second that a copy reads and writes, on as many threads as the kernels use."""
    threads, size = _core.num_threads(), CACHE // 8
    source, target = np.ones(size), np.empty(size)
    cuts = [size * i // threads for i in range(threads + 1)]

    def copy() -> float:
        workers = [
            threading.Thread(target=np.copyto, args=(target[a:b], source[a:b]))
            for a, b in itertools.pairwise(cuts)
        ]
        start = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return time.perf_counter() - start

    return 2 * source.nbytes / min(copy() for _ in range(7))


def show(
    bench: Bench, name: str, whole: float, parts: dict[str, float], moved: Mapping[str, float]
) -> None:
    """Print every part beside its bytes at the bandwidth of a copy."""
    speed = bandwidth()
    print(f"{name}: {whole * 1e3:.2f} ms; a copy moves {speed / 1e9:.1f} GB/s")
    print(f"{'part':<16}{'ms':>8}{'share':>8}{'MB':>8}{'at a copy':>11}{'times that':>12}")
    for part, seconds in parts.items():
        share, size = seconds / whole, moved.get(part)
        line = f"{part:<16}{seconds * 1e3:>8.2f}{share:>8.1%}"
        figures: dict[str, float] = {"ms": seconds * 1e3, "share": share}
        if size:
            floor = size / speed
            figures |= {"MB": size / 1e6, "times": seconds / floor}
            line += f"{size / 1e6:>8.1f}{floor * 1e3:>8.2f} ms{seconds / floor:>11.1f}x"
        bench.note(f"{name}, {part}", line[16:], **figures)
    together = sum(parts.values()) - parts["rest"]
    bench.note(f"{name}, parts together", f"{together / whole:.1%} of it", share=together / whole)
