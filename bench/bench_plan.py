"""The epoch boundary: hide and order, and the whole of it with the fold, beside its peers.

`KAKURENBO boundary` is what its published training script does at an epoch's start on one process,
as a sequence of torch operations: a full sort of the float64 losses, the test of the candidates
(a Python loop over rows in the original, vectorised here in its favour), and the sampler's nonzero,
randperm and lists of Python integers. What the fold does for us, a scatter of the epoch's scores
into its table, comes before (a loop over rows in the original, here one call for each score). Its
all-reduces are left out here, as there is one process; bench_ranks.py has them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from common import Bench, keep_memory
from parts import moved, of_boundary, show, take_apart

import dynsample as ds
from dynsample import _core
from dynsample.reference.permute import permute as reference_permute
from dynsample.reference.select import hide_lowest as reference_hide_lowest
from dynsample.table.columns import Last
from dynsample.table.log import ObservationLog

FRACTION, TAU, BATCH = 0.3, 0.7, 256
SIGNALS = ("loss", "correct", "confidence")
SETTLED = 0.02  # seconds after which torch's threads no longer wait for work on a core of their own


def numpy_plan(loss: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    kept = np.argpartition(loss, k)[k:]
    return generator.permutation(kept)


def torch_plan(loss: torch.Tensor, k: int) -> torch.Tensor:
    kept = torch.argsort(loss)[k:]
    return kept[torch.randperm(len(kept))]


def our_plan(loss: np.ndarray, k: int, epoch: int) -> np.ndarray:
    hidden = ds.ops.hide_lowest(loss, k)
    return ds.ops.order_slice(ds.ops.mask_ids(hidden, invert=True), seed=1, epoch=epoch)


def kakurenbo_boundary(
    index: torch.Tensor,
    signals: list[torch.Tensor],
    columns: list[torch.Tensor],
    all_reduce: Callable[[torch.Tensor], object] = lambda column: None,
) -> tuple[list[int], list[int]]:
    for column, signal in zip(columns, signals, strict=True):
        column[index] = signal
        all_reduce(column)
    loss, correct, confidence = columns
    n = len(loss)
    _, by_loss = torch.sort(loss)
    candidates = by_loss[: int(FRACTION * n)]
    sure = (correct[candidates] != 0) & (confidence[candidates] >= TAU)
    sampling = torch.ones(n, dtype=torch.float64)
    sampling[candidates[sure]] = 0
    kept = torch.nonzero(sampling).squeeze().view(-1)
    hidden = torch.nonzero(sampling == 0).squeeze().view(-1)
    order = kept[torch.randperm(len(kept))].tolist()
    return order, hidden.tolist()


def epoch_log(
    n: int, generator: np.random.Generator
) -> tuple[np.ndarray, dict[str, np.ndarray], ObservationLog]:
    index = generator.permutation(n)
    signals = {name: generator.random(n, dtype=np.float32) for name in SIGNALS}
    log = ObservationLog(n, sorted(signals))
    for start in range(0, n, BATCH):
        stop = start + BATCH
        log.append(index[start:stop], {name: v[start:stop] for name, v in signals.items()})
    return index, signals, log


def boundary_parts(bench: Bench, n: int, turns: int) -> None:
    """Take `set_epoch` of a whole epoch of KAKURENBO apart, and the making of the order."""
    from bench_ranks import Ours

    ours = Ours(n, ds.groups.single())
    whole, parts = take_apart(ours.train, ours.boundary, of_boundary(ours.sampler), turns)
    show(bench, "boundary", whole, parts, moved(ours.sampler))


def main() -> int:
    keep_memory()
    bench = Bench("plan", __doc__.splitlines()[0])
    bench.parser.add_argument("--parts", action="store_true", help="where our boundary's time goes")
    args = bench.parse()
    if args.parts:
        boundary_parts(bench, args.n, args.pairs)
        return 0
    n, k = args.n, int(FRACTION * args.n)
    generator = np.random.default_rng(0)
    loss = generator.exponential(size=n).astype(np.float32)
    hidden = reference_hide_lowest(loss, k)
    order = our_plan(loss, k, 0)
    kept = np.flatnonzero(~hidden)
    assert np.array_equal(order, kept[reference_permute(len(kept), seed=1, epoch=0)])
    print("equal to the reference: hidden samples and order")

    fresh = loss.copy()

    def renew() -> None:
        time.sleep(SETTLED)
        fresh[:] = loss  # at an epoch's end the losses have just been written

    bench.compare("hide + order", lambda: our_plan(fresh, k, 1), "numpy argpartition, permutation",
                  lambda: numpy_plan(fresh, k, generator), setup=renew)  # fmt: skip
    bench.compare("hide + order", lambda: our_plan(fresh, k, 1), "torch argsort, randperm",
                  lambda: torch_plan(torch.from_numpy(fresh), k), setup=renew)  # fmt: skip

    index, signals, log = epoch_log(n, generator)
    columns = {name: Last() for name in signals}
    table = ds.ScoreTable(n, columns)
    policy = ds.Kakurenbo(fraction=FRACTION, tau=TAU)
    issued = index.astype(np.uint32)

    def refill() -> None:  # a fold drops what it applies
        log.restore(issued, signals)
        time.sleep(SETTLED)

    def fold() -> None:
        assert _core.all_issued(issued, log.native, 0, unique=True)
        table.fold(log, epoch=0)

    def plan_by(chosen: ds.Policy) -> np.ndarray:
        selection = chosen.select(table, 1, ds.EpochRandom(1, 1))
        return ds.build_plan(selection, n, seed=1, epoch=1).order

    def boundary() -> np.ndarray:
        fold()
        return plan_by(policy)

    theirs = [torch.from_numpy(signals[name]).double() for name in SIGNALS]
    empty = [torch.zeros(n, dtype=torch.float64) for _ in SIGNALS]
    bench.compare(
        "fold + select + order",
        boundary,
        "KAKURENBO boundary",
        lambda: kakurenbo_boundary(torch.from_numpy(index), theirs, empty),
        setup=refill,
    )

    info_batch = ds.InfoBatch(delta=1)
    bench.compare("InfoBatch: select + order", lambda: plan_by(info_batch), "KAKURENBO, by ours",
                  lambda: plan_by(policy), setup=lambda: time.sleep(SETTLED),
                  below="InfoBatch needs a mean, and a random part, of what it hides")  # fmt: skip

    targets = [np.zeros(n, np.float32) for _ in signals]

    def scatters() -> None:
        for target, values in zip(targets, signals.values(), strict=True):
            target[index] = values

    bench.compare("fold, three signals", fold, "three numpy scatters", scatters, setup=refill)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
