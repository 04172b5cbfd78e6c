"""Draws with and without replacement beside torch.multinomial and numpy's race.

The chi-square p-values at 14,197,122 show that torch.multinomial is wrong there: its cumulative
sum is float32. Skip them with `--no-chi-square`.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import torch
from common import Bench

import dynsample as ds
from dynsample.reference import draw as reference

LARGE = 14_197_122


def numpy_race(p: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    keys = -np.log1p(-generator.random(len(p), dtype=np.float32)) / p
    mask = np.zeros(len(p), np.bool_)
    mask[np.argpartition(keys, k)[:k]] = True
    return mask


def p_value(counts: np.ndarray, p: np.ndarray) -> float:
    """Chi-square over 1000 blocks of rows, Wilson and Hilferty's approximation."""
    edges = np.linspace(0, len(p), 1001).astype(int)[:-1]
    expected = np.add.reduceat(p.astype(np.float64), edges)
    expected *= counts.sum() / expected.sum()
    chi = ((np.add.reduceat(counts.astype(np.float64), edges) - expected) ** 2 / expected).sum()
    z = ((chi / 999) ** (1 / 3) - (1 - 2 / 8991)) / math.sqrt(2 / 8991)
    return 0.5 * math.erfc(z / math.sqrt(2))


def chi_squares() -> None:
    p = np.random.default_rng(0).exponential(size=LARGE).astype(np.float32)
    for method in ("systematic", "multinomial"):
        counts = ds.ops.draw_counts(p, LARGE, seed=1, epoch=0, method=method)
        print(f"chi-square at {LARGE}, {method:<18} p = {p_value(counts, p):.3g}", flush=True)
    drawn = torch.multinomial(torch.from_numpy(p), LARGE, replacement=True)
    counts = np.bincount(drawn.numpy(), minlength=LARGE)
    print(f"chi-square at {LARGE}, torch.multinomial  p = {p_value(counts, p):.3g}")


def main() -> int:
    bench = Bench("draw", __doc__.splitlines()[0])
    bench.parser.add_argument("--no-chi-square", action="store_true", help="skip the large run")
    args = bench.parse()
    torch.set_num_threads(1)
    n, k = args.n, int(0.7 * args.n)
    generator = np.random.default_rng(0)
    p = generator.exponential(size=n).astype(np.float32) + np.float32(1e-6)
    few = p[:2000]
    for method in ("systematic", "multinomial"):
        ours = ds.ops.draw_counts(few, 3000, seed=1, epoch=0, method=method)
        theirs = reference.draw_counts(few, 3000, seed=1, epoch=0, method=method)
        assert np.array_equal(ours, theirs)
    for some in (k, 512):
        mask = ds.ops.draw_mask(p, some, seed=1, epoch=0)
        assert np.array_equal(mask, reference.draw_mask(p, some, seed=1, epoch=0))
    print(f"equal to the reference; instruction set {ds._core.isa()}")

    q = torch.from_numpy(p)
    for method in ("systematic", "multinomial"):
        bench.compare(
            f"N draws, {method}",
            lambda m=method: ds.ops.draw(p, n, replacement=True, seed=1, epoch=1, method=m),
            "torch.multinomial",
            lambda: torch.multinomial(q, n, replacement=True),
        )
    for name, some in (("0.7 N", k), ("512", 512)):
        peers = {
            "torch.multinomial": lambda m=some: torch.multinomial(q, m),
            "numpy race": lambda m=some: numpy_race(p, m, generator),
        }
        for peer, call in peers.items():
            bench.compare(
                f"{name} without replacement",
                lambda m=some: ds.ops.draw_mask(p, m, seed=1, epoch=1),
                peer,
                call,
            )
    if not args.no_chi_square:
        chi_squares()
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
