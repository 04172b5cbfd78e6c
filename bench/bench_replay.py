"""Prioritised replay, one step: update B priorities, draw B samples.

The peer is TorchRL's segment tree where torchrl can be imported. Elsewhere a binary sum tree in C++
(bench/peers/sum_tree.cpp), compiled here with the system's compiler, stands for it; it does the
same work without any Python object in between.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import Bench

import dynsample as ds

BATCH, STEPS = 256, 2000
SOURCE = Path(__file__).parent / "peers" / "sum_tree.cpp"

Step = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def torchrl_tree(priorities: np.ndarray) -> tuple[str, Step] | None:
    """TorchRL's own tree, if this environment has it."""
    try:
        from torchrl._torchrl import SumSegmentTreeFp32
    except ImportError as error:
        print(f"TorchRL's tree cannot be imported: {error}")
        return None
    tree = SumSegmentTreeFp32(len(priorities))
    tree[np.arange(len(priorities))] = priorities

    def step(index: np.ndarray, values: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        tree[index] = values
        total = tree.query(0, len(priorities))
        drawn = tree.scan_lower_bound(uniform * total)
        _ = tree[drawn]
        return drawn

    return "TorchRL SumSegmentTreeFp32", step


def sum_tree(priorities: np.ndarray) -> tuple[str, Step]:
    """Our stand-in."""
    folder = tempfile.mkdtemp()
    library = f"{folder}/sum_tree.so"
    subprocess.run(
        ["g++", "-O3", "-march=native", "-shared", "-fPIC", "-o", library, str(SOURCE)], check=True
    )
    native = ctypes.CDLL(library)
    native.sum_tree_new.restype = ctypes.c_void_p
    handle = ctypes.c_void_p(native.sum_tree_new(ctypes.c_int64(len(priorities))))

    def pointer(array: np.ndarray) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def update(index: np.ndarray, values: np.ndarray) -> None:
        count = ctypes.c_int64(len(index))
        native.sum_tree_update(handle, pointer(index), pointer(values), count)

    update(np.arange(len(priorities)), priorities)
    drawn, found = np.empty(BATCH, np.int64), np.empty(BATCH, np.float32)

    def step(index: np.ndarray, values: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        update(index, values)
        native.sum_tree_draw(
            handle, pointer(uniform), pointer(drawn), pointer(found), ctypes.c_int64(BATCH)
        )
        return drawn

    return "C++ binary sum tree (stand-in)", step


def main() -> int:
    bench = Bench("replay", __doc__.splitlines()[0])
    n = bench.parse().n
    generator = np.random.default_rng(0)
    priorities = generator.random(n, dtype=np.float32)
    updates = [
        (
            generator.integers(0, n, BATCH),
            generator.random(BATCH, dtype=np.float32),
            generator.random(BATCH, dtype=np.float32),
        )
        for _ in range(STEPS)
    ]
    tree = ds.PriorityTree(n)
    tree.update(np.arange(n), priorities)
    name, peer_step = torchrl_tree(priorities) or sum_tree(priorities)

    def ours() -> None:
        for step, (index, values, _) in enumerate(updates):
            tree.update(index, values)
            tree.draw(BATCH, seed=0, step=step)

    def peer() -> None:
        for index, values, uniform in updates:
            peer_step(index, values, uniform)

    ours()
    for index, values, _ in updates:
        priorities[index] = values  # of a repeated id the last counts, here as in the tree
    drawn, probability = tree.draw(BATCH, seed=0, step=0)
    np.testing.assert_allclose(probability, priorities[drawn] / priorities.sum(), rtol=1e-4)
    print("the tree holds the last priority of every sample")
    bench.compare(f"update + draw, B = {BATCH}", ours, name, peer, unit="us", per=STEPS)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
