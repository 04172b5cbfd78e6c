"""The cases of bench_cuda.py: what is timed, beside what, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from common import Call
from gpu import Gpu
from peers import cub_topk

import dynsample as ds
from dynsample import _core, ops
from dynsample.kernels.cuda import order, select
from dynsample.kernels.cuda.backend import OnDevice
from dynsample.kernels.whole import counts_of
from dynsample.table.columns import Last
from dynsample.table.places import make_log

NAMES = ("confidence", "correct", "loss")
HIDDEN, DRAWN = 0.3, 0.7
SMALL = 20_000_000  # rows up to which results are compared with those of the CPU
MOST_CATEGORIES = 1 << 24  # of torch.multinomial
CALLS, CLASSES = 50, 1000  # a stream takes about 1000 kernels ahead
KEY = {"seed": 1, "epoch": 2}


@dataclass
class Case:
    """One call and its peers.

    Attributes
    ----------
    num_bytes : int
        What must at least be read and written by one operation.
    check : callable
        Raises when the answer is wrong.
    per : int
        Operations in a call.
    waits : bool
        Whether it may wait for the device.
    """

    name: str
    ours: Call
    peers: dict[str, Call]
    num_bytes: int
    check: Call
    per: int = 1
    setup: Call | None = None
    waits: bool = True
    left_out: dict[str, str] = field(default_factory=dict)


def assert_lowest(scores: torch.Tensor, k: int, hidden: torch.Tensor) -> None:
    """Make sure that the `k` lowest are hidden, of equal ones the first; there is no NaN."""
    assert int(hidden.count_nonzero()) == k
    highest = scores[hidden].max()
    assert highest <= scores[~hidden].min()
    tied = hidden[scores == highest]
    assert bool(tied[: int(tied.count_nonzero())].all()), "of equal scores, later ones are hidden"


def masks(gpu: Gpu, n: int) -> Iterator[Case]:
    scores = torch.randn(n, device=gpu.torch_device)
    k = int(HIDDEN * n)

    def by_topk() -> torch.Tensor:
        hidden = torch.zeros(n, dtype=torch.bool, device=scores.device)
        hidden[torch.topk(scores, k, largest=False, sorted=False).indices] = True
        return hidden

    def check() -> None:
        hidden = select.hide_lowest(scores, k)
        if n <= SMALL:
            assert np.array_equal(hidden.cpu().numpy(), ops.hide_lowest(scores.cpu().numpy(), k))
        assert_lowest(scores, k, hidden)

    peers: dict[str, Call] = {
        "torch.topk to mask": by_topk,
        "torch.sort, compare": lambda: scores <= torch.sort(scores).values[k - 1],
    }
    if n <= SMALL:
        peers["torch.kthvalue, compare"] = lambda: scores <= torch.kthvalue(scores, k).values
    found = cub_topk.load() if gpu.real else "needs a GPU"
    left_out = {}
    if isinstance(found, str):
        left_out["cub::DeviceTopK"] = found
    else:
        peers["cub::DeviceTopK to mask"] = lambda: found(scores, k)
    yield Case("mask of 30 %", lambda: select.hide_lowest(scores, k), peers, 5 * n, check,
               left_out=left_out)  # fmt: skip


def orders(gpu: Gpu, n: int) -> Iterator[Case]:
    kept = torch.rand(n, device=gpu.torch_device) >= HIDDEN
    ids = order.mask_ids(kept)
    size = len(ids)

    def check_ids() -> None:
        assert torch.equal(order.mask_ids(kept).long(), kept.nonzero().squeeze(1))

    yield Case("ids of the kept 70 %", lambda: order.mask_ids(kept),
               {"torch.nonzero": kept.nonzero}, n + 4 * size, check_ids)  # fmt: skip

    def ours() -> torch.Tensor:
        return order.order_slice(gpu.device, size, ids, **KEY)

    def check() -> None:
        found = ours()
        if n <= SMALL:
            expected = ops.order_slice(ids.cpu().numpy().view(np.uint32), **KEY)
            assert np.array_equal(found.cpu().numpy(), expected)
        assert torch.equal(found.sort().values, ids)

    there = ids.device
    yield Case("order of the kept 70 %", ours,
               {"torch.randperm, gather": lambda: ids[torch.randperm(size, device=there)]},
               8 * size, check)  # fmt: skip


def draws(gpu: Gpu, n: int) -> Iterator[Case]:
    p = torch.empty(n, device=gpu.torch_device).exponential_()
    k, arrays = int(DRAWN * n), OnDevice(gpu.device)
    for method in ("systematic", "multinomial"):

        def ours(method: str = method) -> torch.Tensor:
            return counts_of(arrays, p, n, multinomial=method == "multinomial", **KEY)

        def check(method: str = method, ours: Callable[[], torch.Tensor] = ours) -> None:
            found = ours()
            if n <= SMALL:
                expected = ops.draw_counts(p.cpu().numpy(), n, method=method, **KEY)
                assert np.array_equal(found.cpu().numpy().view(np.uint32), expected)
            assert int(found.sum()) == n

        peers: dict[str, Call] = {}
        if n <= MOST_CATEGORIES:
            peers["torch.multinomial"] = lambda: torch.multinomial(p, n, replacement=True)
        yield Case(f"N draws, {method}", ours, peers, 8 * n, check)

    def check_mask() -> None:
        mask = arrays.draw_mask(p, k, **KEY)
        if n <= SMALL:
            assert np.array_equal(mask.cpu().numpy(), ops.draw_mask(p.cpu().numpy(), k, **KEY))
        assert int(mask.count_nonzero()) == k

    peers = {"torch.multinomial": lambda: torch.multinomial(p, k)} if n <= MOST_CATEGORIES else {}
    yield Case("0.7 N without replacement", lambda: arrays.draw_mask(p, k, **KEY), peers, 5 * n,
               check_mask)  # fmt: skip


def means(gpu: Gpu, n: int) -> Iterator[Case]:
    values = torch.randn(n, device=gpu.torch_device)

    def mean() -> float:
        total, count = _core.rounded_sum(select.sum_parts(values))
        return total / count

    def check() -> None:
        found = mean()
        assert n > SMALL or found == ops.exact_mean(values.cpu().numpy())
        assert abs(found - float(values.double().mean())) < 1e-9

    yield Case("exact mean", mean,
               {"torch mean, float32": lambda: float(values.mean()),
                "torch mean, float64": lambda: float(values.mean(dtype=torch.float64))},
               4 * n, check)  # fmt: skip


def folds(gpu: Gpu, n: int) -> Iterator[Case]:
    there = gpu.torch_device
    arrays = OnDevice(gpu.device)
    ids = torch.randperm(n, device=there)
    values = {name: torch.rand(n, device=there) for name in NAMES}
    log = make_log(arrays, n, NAMES, max_bytes=1 << 40)
    log.reserve(n)

    def refill() -> None:  # a fold drops what it applies
        log.append(ids, values)
        log.close()

    table = ds.ScoreTable(n, {name: Last() for name in NAMES}, None, arrays)
    columns = {name: torch.empty(n, device=there) for name in NAMES}

    def scatters() -> None:
        for name in NAMES:
            columns[name].scatter_(0, ids, values[name])

    def check() -> None:
        refill()
        table.fold(log, epoch=0)
        scatters()
        for name in NAMES:
            assert torch.equal(table[name], columns[name])
        assert bool(table.seen.all())

    yield Case("fold of an epoch, 3 columns", lambda: table.fold(log, epoch=0),
               {"three torch scatters": scatters}, 29 * n, check, setup=refill)  # fmt: skip


def observations(gpu: Gpu, n: int) -> Iterator[Case]:
    there = gpu.torch_device
    for batch in (256, 1024):
        if n < batch:
            continue
        sampler = ds.Sampler(n, ds.Kakurenbo(), batch, device=gpu.device, group=None)
        sampler.set_epoch(0)
        calls = min(CALLS, n // batch)
        flat = torch.from_numpy(sampler.plan.slice(0, calls * batch)).to(there)
        ids = list(flat.reshape(calls, batch))
        signals = [{name: torch.rand(batch, device=there) for name in NAMES} for _ in ids]
        logits = torch.randn(batch, CLASSES, device=there).half()
        targets = torch.randint(CLASSES, (batch,), device=there)
        columns = {name: torch.zeros(n, device=there) for name in NAMES}

        def write(ids: torch.Tensor, values: dict, columns: dict = columns) -> None:
            for name in NAMES:
                columns[name].index_put_((ids,), values[name])

        def by_torch(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
            confidence, guess = logits.float().softmax(1).max(1)
            loss = F.cross_entropy(logits.float(), targets, reduction="none")
            return {"loss": loss, "correct": (guess == targets).float(), "confidence": confidence}

        output = {"logits": logits, "targets": targets}
        given: dict[str, tuple[Call, str, Call, int]] = {
            "three signals": (
                lambda s=sampler, i=ids, v=signals: [s.observe(a, **b) for a, b in zip(i, v)],  # noqa: B905
                "three torch index_put_",
                lambda i=ids, v=signals, w=write: [w(a, b) for a, b in zip(i, v)],  # noqa: B905
                (8 + 12 + 16) * batch,
            ),
            "logits": (
                lambda s=sampler, i=ids, o=output: [s.observe(a, **o) for a in i],
                "torch, three index_put_",
                lambda i=ids, w=write, o=output, f=by_torch: [w(a, f(**o)) for a in i],
                (2 * CLASSES + 8 + 8 + 16) * batch,
            ),
        }
        for kind, (ours, peer_name, peer, num_bytes) in given.items():

            def check(ours: Call = ours, peer: Call = peer, s: ds.Sampler = sampler,
                      columns: dict = columns, flat: torch.Tensor = flat) -> None:  # fmt: skip
                s.run.observations.log.clear()
                ours()
                s.run.observations.log.close()
                peer()
                for name in NAMES:
                    found, wanted = s.run.observations.log.values(name), columns[name][flat]
                    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)

            renew = sampler.run.observations.log.clear
            yield Case(f"observe, {kind}, B = {batch}", ours, {peer_name: peer}, num_bytes, check,
                       per=calls, setup=renew, waits=False)  # fmt: skip


TABLE_CASES = (masks, orders, draws, means, folds)
