"""Exact resume, shown: the same plan for every instruction set, thread count and kill.

Runs a Kakurenbo sampler over synthetic losses in child processes: one undisturbed for each
instruction set and thread count, and one that saves in the middle of an epoch, is killed with
SIGKILL, and is started again. Prints the digest of every epoch's plan, and of the ids and weights
that the loop received, and exits with 1 if any differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import dynsample as ds


def losses(index: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    """Signals that a training step could report: any function of sample and epoch does."""
    word = (index * 2654435761 + epoch * 40503) % 2**32
    loss = (word / 2**32).astype(np.float32)
    return {"loss": loss, "correct": (loss < 0.8).astype(np.float32), "confidence": 1 - loss}


def train(args: argparse.Namespace) -> None:
    """Train `--epochs` epochs; with `--kill-at`, save there, go on a little, and die."""
    sampler = ds.Sampler(args.n, ds.Kakurenbo(fraction=0.3), batch_size=1000, seed=7)
    if args.resume:
        sampler.load(args.state)
    received = args.log.open("a")
    for epoch in range(sampler.epoch, args.epochs):
        sampler.set_epoch(epoch)
        for batches, name in ((sampler, "kept"), (sampler.hidden, "hidden")):
            for index in batches:
                sampler.observe(index, **losses(index, epoch))
                digest = hashlib.sha256(index.tobytes() + sampler.weights(index).tobytes())
                state = sampler.state_dict()
                position = [epoch, state["positions"], state["hidden_positions"]]
                print(*position, name, digest.hexdigest()[:16], file=received, flush=True)
                if position == args.kill_at:
                    sampler.save(args.state)
                if args.kill_at and position > args.kill_at and name == "kept":
                    os.kill(os.getpid(), signal.SIGKILL)
        print(epoch, "plan", sampler.plan.digest, file=received, flush=True)


def child(
    folder: Path, name: str, environment: dict[str, str], args: argparse.Namespace, *more: str
) -> str:
    """Run `train` in a process of its own; give what it wrote, each position once."""
    log = folder / name
    command = [sys.executable, __file__, "--child", "--n", str(args.n), "--epochs",
               str(args.epochs), "--log", str(log), "--state", str(folder / "state"),
               *more]  # fmt: skip
    subprocess.run(command, env={**os.environ, **environment}, check="--kill-at" not in more)
    lines = {tuple(line.split()[:4]): line for line in log.read_text().splitlines()}
    return "\n".join(lines[key] for key in sorted(lines))


def main() -> int:
    """Compare all runs with the first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000, help="samples (%(default)s)")
    parser.add_argument("--epochs", type=int, default=4, help="(%(default)s)")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--resume", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--kill-at", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--state", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        train(args)
        return 0
    runs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for isa in ds.ops.available_isas():
            runs[f"{isa}, 1 thread"] = child(folder, isa, {"DYNSAMPLE_ISA": isa}, args)
        runs["2 threads"] = child(folder, "threads", {"DYNSAMPLE_THREADS": "2"}, args)
        kill_at = json.dumps([args.epochs - 2, 1000 * (args.n // 3000), 0])
        child(folder, "killed", {}, args, "--kill-at", kill_at)
        runs["killed in mid-epoch, resumed"] = child(folder, "killed", {}, args, "--resume")
    first = next(iter(runs.values()))
    for run, lines in runs.items():
        plans = [line.split()[2] for line in lines.splitlines() if " plan " in line]
        verdict = "same" if lines == first else "DIFFERENT"
        print(f"{run:<30} {verdict}  {len(lines.splitlines())} lines, last plan {plans[-1]}")
    return int(any(lines != first for lines in runs.values()))


if __name__ == "__main__":
    sys.exit(main())
