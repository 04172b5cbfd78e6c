"""Hiding the lowest 30 %, cold: mask from a float32 score column, beside numpy and torch.

The numpy peer is `scores <= np.partition(scores, k - 1)[k - 1]`, which hides too many on ties and
has no rule for NaN; torch.topk and torch.kthvalue are what users call today.
"""

from __future__ import annotations

import sys

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


def main() -> int:
    bench = Bench("select", __doc__.splitlines()[0])
    args = bench.parse()
    torch.set_num_threads(_core.num_threads())
    print(f"instruction set {_core.isa()}, {_core.num_threads()} thread(s)")
    k = int(FRACTION * args.n)
    for name, scores in inputs(args.n).items():
        assert np.array_equal(ops.hide_lowest(scores, k), reference.hide_lowest(scores, k))
        print(f"{name}: equal to the oracle")
        tensor = torch.from_numpy(scores)
        ours = lambda scores=scores: ops.hide_lowest(scores, k)  # noqa: E731
        bench.compare(name, ours, "np.partition, compare", lambda s=scores: by_partition(s, k))
        if name == "normal":
            bench.compare(name, ours, "torch.topk to mask", lambda t=tensor: by_topk(t, k))
            bench.compare(name, ours, "torch.kthvalue, compare", lambda t=tensor: by_kthvalue(t, k))
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
