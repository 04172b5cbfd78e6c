"""The keyed permutation beside torch.randperm and numpy's."""

from __future__ import annotations

import sys

import numpy as np
import torch
from common import Bench

import dynsample as ds
from dynsample.reference.permute import permute as reference_permute


def main() -> int:
    bench = Bench("permute", __doc__, default_n=900_000)
    n = bench.parse().n
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    ids = generator.integers(0, 2**32 - 1, n, dtype=np.uint32)
    order = ds.ops.permute(n, seed=1, epoch=2)
    assert np.array_equal(order, reference_permute(n, seed=1, epoch=2))
    assert np.array_equal(ds.ops.order_slice(ids, seed=1, epoch=2), ids[order])
    print(f"equal to the reference; instruction set {ds._core.isa()}")
    bench.compare("permutation", lambda: ds.ops.permute(n, seed=1, epoch=1),
                  "torch.randperm", lambda: torch.randperm(n))  # fmt: skip
    bench.compare("permutation", lambda: ds.ops.permute(n, seed=1, epoch=1),
                  "numpy permutation", lambda: generator.permutation(n))  # fmt: skip
    bench.compare("permuted ids", lambda: ds.ops.order_slice(ids, seed=1, epoch=1),
                  "numpy permutation", lambda: generator.permutation(ids))  # fmt: skip
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
