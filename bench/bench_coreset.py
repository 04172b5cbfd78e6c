"""A coreset by Dyn-Unc from text files, cold start to ids, beside pandas reading the same files.

Peers only read: `pandas.read_csv` (its fast parser, one column) and, for one pair of the smallest
case, the published `np.loadtxt`. Ours reads, keeps windows, scores and selects. Peak memory is that
of a process of its own for each side, less what its imports take.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Bench

from dynsample import coreset
from dynsample.cli.coreset import peak_bytes
from dynsample.coreset import dyn_unc as history
from dynsample.reference import scores as reference

WINDOW, FRACTION = 10, 0.75


def write(folder: Path, epochs: int, n: int) -> list[Path]:
    """Probabilities of a run: each sample rises to its own level, with noise, as text."""
    random = np.random.default_rng(0)
    level, speed = random.random(n), random.random(n) * 4 + 0.2
    for epoch in range(epochs):
        mean = level * (1 - np.exp(-speed * (epoch + 1) / epochs))
        values = np.clip(mean + random.normal(0, 0.05, n), 1e-6, 1).astype(np.float32)
        text = ("%.18e\n" * n) % tuple(values.tolist())
        (folder / f"prob_{epoch}.txt").write_text(text)
    return history.find(folder)


def ours(files: list[Path], n: int) -> np.ndarray:
    return coreset.keep_highest(history.dyn_unc(files, n, WINDOW).score(), int(FRACTION * n))


def by_pandas(files: list[Path]) -> list[np.ndarray]:
    import pandas

    return [pandas.read_csv(path, header=None)[0].to_numpy() for path in files]


def published(files: list[Path], n: int) -> np.ndarray:
    """Whole history, windows of zeros at first, numpy and torch as the published code uses them."""
    import torch

    windows, all_u = torch.zeros(n, WINDOW).double(), []
    for number, path in enumerate(files):
        values = torch.from_numpy(np.loadtxt(path))
        seen = values != 0
        windows[seen] = torch.cat([windows[seen, 1:], values[seen, None]], 1)
        if WINDOW - 1 <= number < len(files) - 1:
            all_u.append(10 * windows.std(1).numpy())
    order = np.argsort(np.mean(all_u, 0), kind="stable")
    return np.sort(order[n - int(FRACTION * n) :])


def peak(side: str, folder: Path, n: int) -> int:
    """MiB that a side adds to what a process with its imports has."""
    command = [sys.executable, __file__, "--peak", side, str(folder), str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def measure_peak(side: str, folder: str, n: str) -> int:
    """Run one side once in this process."""
    files = history.find(folder)
    if side == "published":
        import torch

        torch.zeros(1).std()
    before = peak_bytes()
    (ours if side == "ours" else published)(files, int(n))
    print((peak_bytes() - before) // 2**20)
    return 0


def main() -> int:
    if sys.argv[1:2] == ["--peak"]:
        return measure_peak(*sys.argv[2:5])
    bench = Bench("coreset", __doc__.splitlines()[0])
    bench.parser.add_argument("--epochs", type=int, default=20, help="files (%(default)s)")
    bench.parser.set_defaults(pairs=3)
    args = bench.parse()
    with tempfile.TemporaryDirectory() as name:
        small = Path(name) / "small"
        small.mkdir()
        files = write(small, 13, 2000)
        scores = np.array(reference.dyn_unc(small, 2000, WINDOW))
        expected = sorted(sorted(range(2000), key=lambda i: (scores[i], i))[500:])
        assert ours(files, 2000).tolist() == expected == published(files, 2000).tolist()
        print("2000 samples: the same ids as the oracle and as the published rule")
        folder = Path(name) / "large"
        folder.mkdir()
        print(f"writing {args.epochs} files of {args.n} numbers ...", flush=True)
        files = write(folder, args.epochs, args.n)
        bench.compare(
            f"{args.epochs} epochs to a coreset",
            lambda: ours(files, args.n),
            "pandas.read_csv, reading alone",
            lambda: by_pandas(files),
        )
        bench.compare(
            "two epochs, reading alone",
            lambda: [history.read_numbers(path, np.empty(args.n)) for path in files[:2]],
            "pandas.read_csv",
            lambda: by_pandas(files[:2]),
        )
        kept = args.n * (4 * WINDOW + 4 + 8) / 2**20
        mine, theirs = (peak(side, folder, args.n) for side in ("ours", "published"))
        print(
            f"peak memory: ours {mine} MiB, of which windows, counts and sums {kept:.0f} MiB; "
            f"published rule {theirs} MiB"
        )
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
