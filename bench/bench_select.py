"""Hiding the lowest 30 %, cold: mask from a float32 score column, beside numpy and torch.

The numpy peer is `scores <= np.partition(scores, k - 1)[k - 1]`, which hides too many on ties and
has no rule for NaN; torch.topk and torch.kthvalue are what users call today.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import torch
from common import Bench

from dynsample import _core, ops
from dynsample.reference import select as reference

FRACTION = 0.3


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
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
