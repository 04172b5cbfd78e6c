"""Every kernel at small sizes, for compute-sanitizer; results are compared with the CPU's.

Sizes around those of vectors, warps and blocks, and those from which a kernel is used; tensors
whose first element is not aligned. With PYTORCH_NO_CUDA_MEMORY_CACHING=1 every tensor is an
allocation of its own, as the tools want it. Fails when a kernel that there is did not run.
"""

from __future__ import annotations

import argparse
import itertools
import sys

import numpy as np
import torch
from gpu import Gpu, add_device, run
from ptxas_report import struct_name

import dynsample as ds
from dynsample import _core, ops
from dynsample.kernels.cuda import coins, draw, order, select
from dynsample.kernels.cuda.backend import OnDevice
from dynsample.kernels.whole import counts_of, rates_of
from dynsample.reference.fold import of_every_kind
from dynsample.signals import NAMES
from dynsample.table import cuda_fold as fold
from dynsample.table.columns import Transitions
from dynsample.table.places import make_log

SIZES = (1, 31, 257, 4099)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)  # of logits
CLASSES, MANY_CLASSES = (3, 1100), 8200  # of which a block holds a part at a time
KEY = {"seed": 3, "epoch": 1}
COLUMNS = {**of_every_kind("loss", 2), "events": Transitions(signal="correct")}


class Inputs:
    """Scores of `n` rows on both sides; there they begin `offset` elements into an allocation."""

    def __init__(self, gpu: Gpu, n: int, offset: int) -> None:
        random = np.random.default_rng(n)
        self.n, self.offset, self.device = n, offset, gpu.device
        self.scores = np.floor(random.standard_normal(n) * 64).astype(np.float32) / 64
        self.scores[::17] = np.nan
        self.p = random.exponential(size=n).astype(np.float32)
        self.where = random.random(n) < 0.8
        self.ids = random.permutation(n)

    def there(self, array: np.ndarray) -> torch.Tensor:
        """Copy to the device, unaligned when there is an offset."""
        return self.device.put(np.concatenate([array[:1]] * self.offset + [array]))[self.offset :]


def same(found: torch.Tensor, expected: np.ndarray, what: str) -> None:
    host = found.cpu().numpy()
    host = host.view(expected.dtype) if host.dtype.itemsize == expected.dtype.itemsize else host
    np.testing.assert_array_equal(host, expected, err_msg=what)


def selections(x: Inputs) -> None:
    scores, where, k = x.there(x.scores), x.there(x.where), x.n // 3
    for mask, rows in ((None, None), (where, x.where)):
        for finite in (False, True):
            expected = ops.hide_lowest(x.scores, k, rows, finite_only=finite)
            same(select.hide_lowest(scores, k, mask, finite_only=finite), expected, "hide_lowest")
            numbers = [
                (select.sum_parts(scores, mask, finite_only=finite).tolist(),
                 _core.sum_parts(x.scores, rows, finite).tolist()),
                (select.min_max(scores, mask, finite_only=finite),
                 ops.min_max(x.scores, rows, finite_only=finite)),
            ]  # fmt: skip
            for found, wanted in numbers:
                np.testing.assert_array_equal(found, wanted)
    candidates = select.Candidates(scores, where, True)
    assert int(candidates.histogram().sum()) >= candidates.count()
    candidates.histogram(0xBF00)
    below, equal = candidates.tally(1 << 31)
    assert int(candidates.mark(equal).count_nonzero()) == below + equal


def searches(gpu: Gpu) -> None:
    """Select by a sample: one that misleads, and with more candidates than there is room for."""
    random = np.random.default_rng(5)

    def check(values: np.ndarray, rows: np.ndarray | None = None, finite: bool = False) -> None:
        scores, where = gpu.device.put(values), None if rows is None else gpu.device.put(rows)
        for k in (len(values) // 10, 3 * len(values) // 10):
            expected = ops.hide_lowest(values, k, rows, finite_only=finite)
            same(select.hide_lowest(scores, k, where, finite_only=finite), expected, "a search")

    def normal(n: int) -> tuple[np.ndarray, np.ndarray]:
        sampled = gpu.device.call(gpu.device.kernels.sampled_rows, n)
        return random.standard_normal(n).astype(np.float32), np.array(sampled)

    values, sampled = normal(20_001)
    for scores in (values, np.floor(2 * values).clip(-2, 2)):
        check(scores)
        scores[::17] = np.inf
        check(scores, random.random(len(scores)) < 0.8, finite=True)
    for sign in (-1, 1):
        values, sampled = normal(40_000)
        values[sampled] = sign * (100 + np.arange(len(sampled), dtype=np.float32))
        check(values)
    values, sampled = normal(120_000)
    others = np.setdiff1d(np.arange(len(values)), sampled)
    values[random.choice(others, len(others) // 2, replace=False)] = np.quantile(values, 0.3)
    check(values)
    ours, theirs = (
        make(x, None, False)
        for make, x in ((select.Candidates, gpu.device.put(values)), (_core.Candidates, values))
    )
    key = int(np.quantile(values, 0.3).view(np.uint32)) ^ 0xFFFFFFFF
    assert ours.tally(key) == theirs.tally(key)
    ties = len(values) // 5
    same(ours.mark(ties), theirs.mark(ties), "mark")


def orders(x: Inputs) -> None:
    mask = x.there(x.where)
    for invert in (False, True):
        ids = order.mask_ids(mask, invert=invert)
        same(ids, ops.mask_ids(x.where, invert=invert).astype(np.uint32), "mask_ids")
    found = order.order_slice(x.device, len(ids), ids, **KEY)
    assert torch.equal(found.sort().values, ids)
    order.order_slice(x.device, x.n, None, **KEY)
    order.mark_slice(mask.clone(), start=0, stop=x.n // 2, stream=_core.Stream.WALK, **KEY)


def long_orders(gpu: Gpu) -> None:
    """Parts of permutations so long that their halves are not fitted."""
    n, part = 1 << 25, {"start": 12_345, "stop": 20_001}
    found = order.order_slice(gpu.device, n, None, **KEY, **part)
    same(found, ops.permute(n, **KEY, **part).astype(np.uint32), "order_slice")
    mask = gpu.device.zeros((1 << 24) + 1, torch.bool)
    order.mark_slice(mask, **KEY, **part, stream=_core.Stream.WALK)
    rows = ops.permute(len(mask), **KEY, **part, stream=_core.Stream.WALK)
    same(mask.nonzero().squeeze(1), np.sort(rows), "mark_slice")


def draws(x: Inputs) -> None:
    p, arrays = x.there(x.p), OnDevice(x.device)
    for method in ("systematic", "multinomial"):
        counts = counts_of(arrays, p, 2 * x.n, multinomial=method == "multinomial", **KEY)
        same(counts, ops.draw_counts(x.p, 2 * x.n, method=method, **KEY), method)
        assert len(order.repeat_rows(counts, 2 * x.n)) == 2 * x.n
    same(arrays.draw_mask(p, x.n // 2, **KEY), ops.draw_mask(x.p, x.n // 2, **KEY), "draw_mask")
    rates = rates_of(arrays, p, x.n)
    inverse = ops.inverse_probabilities(x.p, x.n)
    same(rates.inverse(rates.total, x.n), inverse, "inverse")
    points = draw.multinomial_points(x.device, rates.total, 3, 1, 0, x.n)
    rates.count(0, points.cpu().numpy().view(np.uint64))
    same(coins.power(p, 0.7), ops.power(x.p, 0.7), "power")
    same(coins.exp(p), _core.exp(x.p), "exp")
    low, high = select.min_max(p, finite_only=True)
    counts = coins.cdf_counts(p, None, low, high)
    kept = coins.cdf_keep(p, None, low, high, counts, 1.0, **KEY, first=0)
    same(kept, ops.bernoulli_cdf(x.p, 1.0, **KEY), "coins")


def folds(x: Inputs) -> None:
    """Observe every row, some twice."""
    ids = np.concatenate([x.ids, x.ids[: x.n // 2]])
    values = {"loss": x.p[ids], "correct": (x.p[ids] > 0.5).astype(np.float32)}
    tables = [
        ds.ScoreTable(x.n, COLUMNS),
        ds.ScoreTable(x.n, COLUMNS, None, OnDevice(x.device)),
    ]
    tables[0].observe(ids, **values)
    tables[1].observe(x.there(ids), **{name: x.there(value) for name, value in values.items()})
    for name in COLUMNS:
        same(tables[1][name], tables[0][name], name)


def late_folds(x: Inputs) -> None:
    """Sort by row and ticket: what came of several ranks."""
    rows, keys = x.ids % (x.n // 3 + 1), x.ids[::-1]
    there = [x.there(array.astype(np.int32)) for array in (rows, keys)]
    found, places = fold.sort(x.device, there[0], x.n, there[1])
    by_key = np.lexsort((keys, rows))
    same(places, by_key.astype(np.int32), "places")
    same(found, rows[by_key].astype(np.int32), "rows")


def logs(x: Inputs) -> None:
    """Signals out of logits of every type, wrong ids, rows that are not allowed."""
    log = make_log(OnDevice(x.device), x.n, sorted(set(NAMES)))
    ids = x.ids.copy()
    ids[:1] = x.n + 7
    cases = list(itertools.product(DTYPES, [*CLASSES, *([MANY_CLASSES] if x.n < 1000 else [])]))
    appends, odd = 2 * len(cases), len(log.signals) * int(np.isnan(x.scores[x.where]).sum())
    log.reserve(appends * x.n)
    for dtype, classes in cases:
        logits = torch.randn(x.n * classes + x.offset, device=x.device.torch_device)
        logits = logits.to(dtype)[x.offset :].reshape(x.n, classes)
        targets = x.there(x.ids % classes)
        log.append_logits(x.there(ids), logits, targets)
        log.append_logits(x.there(ids.astype(np.int32)), logits, targets, "target")
        log.set_allowed(x.where)
    counts = log.counts()
    assert counts.observed == appends * x.n
    assert counts.out_of_range == appends
    for more in (1, 2):  # changes places with the closed part, then goes behind it
        log.close()
        assert log.closed_counts.observed == (appends + more - 1) * x.n
        assert log.non_finite() == (more - 1) * odd
        log.reserve(x.n)
        log.append(x.there(x.ids), dict.fromkeys(log.signals, x.there(x.scores[x.ids])))
    log.clear()


def epochs(gpu: Gpu, n: int) -> None:
    """Match, and fold what was issued."""
    digests = []
    for where in ("cpu", gpu.device):
        sampler = ds.Sampler(n, ds.Kakurenbo(tau=0.4), 64, device=where, group=None)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            for batches in (sampler, sampler.hidden):
                for ids in batches:
                    value = (ids % 29 / 29).astype(np.float32)
                    sampler.observe(ids, loss=value, correct=value > 0.1, confidence=1 - value)
            sampler.weights(torch.from_numpy(ids).to(gpu.torch_device))
        digests.append(sampler.plan.digest)
    assert digests[0] == digests[1]


def left_out(gpu: Gpu) -> list[str]:
    """Name the kernels that did not run, after saying how many there are."""
    launched = gpu.device.kernels.launched()
    missing = sorted(struct_name(name) for name, yet in launched.items() if not yet)
    print(f"{len(launched) - len(missing)} of {len(launched)} kernels ran")
    return missing


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_device(parser)
    gpu = Gpu(parser.parse_args().device)
    for n in SIZES:
        for offset in (0, 1):
            for part in (selections, orders, draws, folds, late_folds, logs):
                part(Inputs(gpu, n, offset))
    for part in (searches, long_orders):
        part(gpu)
    epochs(gpu, SIZES[-1])
    gpu.wait()
    if missing := left_out(gpu):
        print(f"left out: {', '.join(missing)}")
        return 1
    print("every kernel: as on the CPU")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
