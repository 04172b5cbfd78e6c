"""The epoch boundary: hide and order, and the whole of it with the fold, beside its peers.

`KAKURENBO boundary` is what its published training script does at an epoch's start on one process,
as a sequence of torch operations: a full sort of the float64 losses, the test of the candidates
(a Python loop over rows in the original, vectorised here in its favour), and the sampler's nonzero,
randperm and lists of Python integers. Its all-reduces are left out, as there is one process.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from common import Bench

import dynsample as ds
from dynsample.columns import Last
from dynsample.log import ObservationLog
from dynsample.reference.permute import permute as reference_permute
from dynsample.reference.select import hide_lowest as reference_hide_lowest

FRACTION, TAU, BATCH = 0.3, 0.7, 256


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
    loss: torch.Tensor, correct: torch.Tensor, confidence: torch.Tensor
) -> tuple[list[int], list[int]]:
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
    signals = {
        name: generator.random(n, dtype=np.float32) for name in ("loss", "correct", "confidence")
    }
    log = ObservationLog(n, sorted(signals))
    for start in range(0, n, BATCH):
        stop = start + BATCH
        log.append(index[start:stop], {name: v[start:stop] for name, v in signals.items()})
    return index, signals, log


def main() -> int:
    bench = Bench("plan", __doc__.splitlines()[0])
    args = bench.parse()
    n, k = args.n, int(FRACTION * args.n)
    generator = np.random.default_rng(0)
    loss = generator.exponential(size=n).astype(np.float32)
    hidden = reference_hide_lowest(loss, k)
    order = our_plan(loss, k, 0)
    kept = np.flatnonzero(~hidden)
    assert np.array_equal(order, kept[reference_permute(len(kept), seed=1, epoch=0)])
    print("equal to the reference: hidden samples and order")

    torch_loss = torch.from_numpy(loss)
    bench.compare("hide + order", lambda: our_plan(loss, k, 1), "numpy argpartition, permutation",
                  lambda: numpy_plan(loss, k, generator))  # fmt: skip
    bench.compare("hide + order", lambda: our_plan(loss, k, 1), "torch argsort, randperm",
                  lambda: torch_plan(torch_loss, k))  # fmt: skip

    index, signals, log = epoch_log(n, generator)
    columns = {name: Last() for name in signals}
    table = ds.ScoreTable(n, columns)
    policy = ds.Kakurenbo(fraction=FRACTION, tau=TAU)
    quota = np.ones(n, np.uint8)

    def boundary() -> np.ndarray:
        table.fold(log, epoch=0, quota=quota.copy())
        selection = policy.select(table, 1, ds.EpochRandom(1, 1))
        return ds.build_plan(selection, n, seed=1, epoch=1).order

    theirs = {name: torch.from_numpy(v).double() for name, v in signals.items()}
    bench.compare("fold + select + order", boundary, "KAKURENBO boundary",
                  lambda: kakurenbo_boundary(**theirs))  # fmt: skip

    targets = [np.zeros(n, np.float32) for _ in signals]

    def scatters() -> None:
        for target, values in zip(targets, signals.values(), strict=True):
            target[index] = values

    bench.compare("fold, three signals", lambda: table.fold(log, epoch=0, quota=quota.copy()),
                  "three numpy scatters", scatters)  # fmt: skip
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
