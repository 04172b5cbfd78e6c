"""Hiding the lowest 30 %, cold: mask from a float32 score column, beside numpy and torch.

Then the same in each of 1,000 groups, beside a sort by (group, score) and a loop over the groups.
The numpy peer is `scores <= np.partition(scores, k - 1)[k - 1]`, which hides too many on ties and
has no rule for NaN; torch.topk and torch.kthvalue are what users call today.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from common import Bench

import dynsample as ds
from dynsample import _core, ops
from dynsample.reference import select as reference

FRACTION = 0.3
GROUPS = 1000


def inputs(n: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    normal = random.standard_normal(n, dtype=np.float32)
    return {
        "normal": normal,
        "5 % ties": np.where(random.random(n) < 0.05, np.float32(-0.52), normal),
        "1 % NaN": np.where(random.random(n) < 0.01, np.float32(np.nan), normal),
    }


def by_partition(scores: np.ndarray, k: int) -> np.ndarray:
    return scores <= np.partition(scores, k - 1)[k - 1]


def by_topk(scores: torch.Tensor, k: int) -> torch.Tensor:
    hidden = torch.zeros(len(scores), dtype=torch.bool)
    hidden[torch.topk(scores, k, largest=False, sorted=False).indices] = True
    return hidden


def by_kthvalue(scores: torch.Tensor, k: int) -> torch.Tensor:
    return scores <= torch.kthvalue(scores, k).values


def by_lexsort(scores: np.ndarray, labels: np.ndarray, ks: np.ndarray) -> np.ndarray:
    order = np.lexsort((scores, labels))
    sizes = np.bincount(labels, minlength=len(ks))
    place = np.arange(len(scores)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    hidden = np.zeros(len(scores), np.bool_)
    hidden[order] = place < ks[labels[order]]
    return hidden


def by_loop(scores: np.ndarray, labels: np.ndarray, ks: np.ndarray) -> np.ndarray:
    hidden = np.zeros(len(scores), np.bool_)
    for group, k in enumerate(ks):
        rows = np.flatnonzero(labels == group)
        hidden[rows[np.argsort(scores[rows], kind="stable")[:k]]] = True
    return hidden


def compare_by_group(bench: Bench, n: int) -> None:
    """Hide the lowest of every group."""
    labels = np.random.default_rng(1).integers(0, GROUPS, n)
    fresh = Fresh(inputs(n)["normal"])
    ks = (FRACTION * np.bincount(labels, minlength=GROUPS)).astype(np.int64)
    table = ds.ScoreTable(n, {}, groups=labels)
    table.seen[:] = True
    num_groups = table.by_group.num_groups

    def ours() -> np.ndarray:
        return table.by_group.hide_lowest(fresh.scores, ks[:num_groups])

    for name, peer in (("np.lexsort", by_lexsort), ("a loop over the groups", by_loop)):
        assert np.array_equal(ours(), peer(fresh.scores, labels, ks))
        bench.compare(
            "by group", ours, name, lambda peer=peer: peer(fresh.scores, labels, ks),
            setup=fresh.renew,
        )  # fmt: skip


class Fresh:
    """A copy of the scores, made anew before every call: nothing can be known of it."""

    def __init__(self, scores: np.ndarray) -> None:
        self._original = scores
        self.renew()

    def renew(self) -> None:
        """Copy again."""
        self.scores = self._original.copy()
        self.tensor = torch.from_numpy(self.scores)


def main() -> int:
    bench = Bench("select", __doc__.splitlines()[0])
    args = bench.parse()
    torch.set_num_threads(_core.num_threads())
    print(f"instruction set {_core.isa()}, {_core.num_threads()} thread(s)")
    k = int(FRACTION * args.n)
    for name, scores in inputs(args.n).items():
        assert np.array_equal(ops.hide_lowest(scores, k), reference.hide_lowest(scores, k))
        print(f"{name}: equal to the oracle")
        fresh = Fresh(scores)
        ours = lambda fresh=fresh: ops.hide_lowest(fresh.scores, k)  # noqa: E731
        peers: dict[str, Callable[[], object]] = {
            "np.partition, compare": lambda fresh=fresh: by_partition(fresh.scores, k),
            "torch.topk to mask": lambda fresh=fresh: by_topk(fresh.tensor, k),
            "torch.kthvalue, compare": lambda fresh=fresh: by_kthvalue(fresh.tensor, k),
        }
        for peer_name, peer in peers.items() if name == "normal" else [*peers.items()][:1]:
            bench.compare(name, ours, peer_name, peer, setup=fresh.renew)
    compare_by_group(bench, args.n)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
