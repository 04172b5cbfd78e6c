"""Plan one epoch, on one process or on the ranks that were launched, and print what comes out.

Starts under mpiexec, torchrun, or alone. The same arguments give the same digest on any number of
ranks and with either placement.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, groups
from dynsample._core import Stream
from dynsample.cuda import CudaUnavailable
from dynsample.groups.environment import torchrun_world
from dynsample.kernels.checks import MAX_EPOCH, MAX_SAMPLES
from dynsample.policies import registry
from dynsample.run.config import Placement
from dynsample.sampler import Sampler
from dynsample.table.table import ScoreTable

# Those of which `random_scores` can make up the columns.
POLICIES = ("kakurenbo", "infobatch", "importance", "random", "selective-backprop", "uniform")
_PARAMETERS = {"infobatch": {"delta": 1.0}}  # annealing needs the number of epochs
_CHUNK = 1 << 16  # rows whose scores are made at a time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is planned, and what is printed of it."""
    parser.add_argument(
        "--n",
        "--num-samples",
        type=_number(1, MAX_SAMPLES),
        required=True,
        help="size of the data set",
    )  # torchrun takes --n for one of its own
    parser.add_argument("--policy", choices=POLICIES, default="kakurenbo", help="(%(default)s)")
    parser.add_argument(
        "--scores",
        choices=["random"],
        default="random",
        help="random: a function of seed and id, made by each rank for the rows that it holds",
    )
    parser.add_argument("--seed", type=_number(0, 2**64 - 1), default=0, help="(%(default)s)")
    parser.add_argument("--epoch", type=_number(0, MAX_EPOCH), default=1, help="(%(default)s)")
    parser.add_argument(
        "--batch-size", type=_number(1, MAX_SAMPLES), default=256, help="of a rank (%(default)s)"
    )
    parser.add_argument(
        "--placement",
        choices=["replicated", "sharded"],
        default="replicated",
        help="whether every rank holds all scores, or its range of them (%(default)s)",
    )
    parser.add_argument(
        "--device", default="cpu", help="where the table is: cpu, cuda, cuda:<number> (%(default)s)"
    )
    parser.add_argument("--digest", action="store_true", help="print the plan's digest alone")
    parser.add_argument(
        "--memory",
        action="store_true",
        help="also go through the epoch, and print the bytes that each rank then holds beside "
        "those of one process, on which rank 0 repeats the plan",
    )


def _number(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(
                f"must be a whole number in [{low}, {high}], got {text}"
            )
        return number

    return parse


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Plan, and print on rank 0; 1 when the launched ranks cannot be joined."""
    made = _join_torchrun()
    try:
        group = groups.as_group("auto")
    except RuntimeError as error:
        print(f"dynsample plan: {error}", file=sys.stderr)
        return 1
    try:
        status = _plan(args, group)
        group.barrier("the end of dynsample plan")  # a launcher ends all ranks with the first
    except (CudaUnavailable, ValueError) as error:
        print(f"dynsample plan: {error}", file=sys.stderr)
        return 1
    finally:
        if made:
            import torch.distributed

            torch.distributed.destroy_process_group()
    return status


def _join_torchrun() -> bool:
    """Initialise torch.distributed under torchrun, unless the caller has."""
    world = torchrun_world()
    if world is None or world.size == 1:
        return False
    import torch.distributed

    if torch.distributed.is_initialized():
        return False
    torch.distributed.init_process_group("gloo")
    return True


def _plan(args: argparse.Namespace, group: groups.Group) -> int:
    from dynsample.cli import memory

    before = memory.resident() if args.memory else 0
    start = time.perf_counter()
    sampler = planned(args, group, args.placement)
    digest = sampler.plan.digest
    seconds = time.perf_counter() - start
    lines = []
    if not args.digest:
        lines += _table(sampler, seconds)
    status = 0
    if args.memory:
        held = memory.of_ranks(sampler, before)
        if group.rank == 0:
            whole = planned(args, groups.single(), "replicated")
            lines += memory.table(held, memory.held(whole))
            if whole.plan.digest != digest:
                print("dynsample plan: one process gives another digest", file=sys.stderr)
                status = 1
    if group.rank == 0:
        lines.append(digest if args.digest else _line("digest", digest))
        print("\n".join(lines), flush=True)
    return status


def planned(args: argparse.Namespace, group: groups.Group, placement: Placement) -> Sampler:
    """Make a sampler with the scores that the arguments ask for, and plan its epoch."""
    sampler = Sampler(
        args.n,
        registry.make(args.policy, **_PARAMETERS.get(args.policy, {})),
        args.batch_size,
        seed=args.seed,
        group=group,
        placement=placement,
        device=args.device,
    )
    set_random_scores(sampler.table, args.seed)
    sampler.set_epoch(args.epoch)
    return sampler


def set_random_scores(table: ScoreTable, seed: int) -> None:
    """Set the columns of a table to `random_scores` of the rows that it holds."""
    if table.columns:
        for name, values in random_scores(seed, *table.bounds, tuple(table.columns)).items():
            table.set_column(name, values)


def random_scores(
    seed: int, first: int, last: int, names: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Make up scores for the rows [first, last): a pure function of the seed and the row.

    Returns
    -------
    dict of str to float32[last - first]
        Of `names` among loss, uniform in [0, 4); correct, 0 or 1; confidence, uniform in [0, 1).
    """
    scores = {name: np.empty(last - first, np.float32) for name in names}
    for start in range(first, last, _CHUNK):
        count = min(_CHUNK, last - start)
        blocks = _core.philox(seed, start, count, 0, Stream.PLAN_SCORES).reshape(count, 4)
        uniform = (blocks >> 8).astype(np.float32) * np.float32(2.0**-24)
        made = {
            "loss": uniform[:, 0] * np.float32(4),
            "correct": (uniform[:, 1] < 0.75).astype(np.float32),
            "confidence": uniform[:, 2],
        }
        for name, values in scores.items():
            values[start - first : start - first + count] = made[name]
    return scores


def _table(sampler: Sampler, seconds: float) -> list[str]:
    plan = sampler.plan
    rows = {
        "num_positions": plan.num_positions,
        "num_hidden": plan.num_hidden,
        "lr_scale": f"{plan.lr_scale:.6g}",
        "seconds": f"{seconds:.3f}",
        "ranks": sampler.group.size,
        "placement": sampler.placement,
    }
    return [_line(name, value) for name, value in rows.items()]


def _line(name: str, value: object) -> str:
    return f"{name:<14} {value}"
