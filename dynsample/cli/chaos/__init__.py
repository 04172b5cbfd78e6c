"""Kill ranks of a training run at random, restart it, and compare with a run left in peace.

Every run of the loop is on real ranks, as many as are drawn for it. Ids, weights, losses, model and
final table must equal those of an undisturbed run on one process, bit for bit. See docs/chaos.md.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from dynsample.cli.chaos.scenario import EPOCHS, PHASES, POLICIES

MAX_RANKS = 8  # on one machine; a full step has a row for every number of ranks to divide
GROUPS = ("mpi", "torch")
ISSUES = ("sampler", "external")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add how often to kill, on how many ranks, and what to train."""
    # fmt: off
    parser.add_argument("--kills", type=_kills, default=20, metavar="N",
                        help="go on until so many ranks were killed (%(default)s)")
    parser.add_argument("--ranks", type=_ranks, default=(1, 4), metavar="A..B",
                        help="every restart draws its number of ranks from these (1..4)")
    parser.add_argument("--group", choices=GROUPS, default="mpi",
                        help="what joins the ranks: MPICH, or torch over gloo (%(default)s)")
    parser.add_argument("--issue", choices=ISSUES, default="sampler",
                        help="who hands the plan out: the sampler, or a loop that shards, pads, "
                             "prefetches and reorders as frameworks do (%(default)s)")
    parser.add_argument("--late", type=_late, default=0, metavar="K",
                        help="with --issue external: keep batches in flight over up to K epochs, "
                             "and observe them in another order (%(default)s)")
    parser.add_argument("--policy", nargs="+", choices=list(POLICIES), metavar="NAME",
                        default=list(POLICIES),
                        help=f"policies, in turn (default: all of {', '.join(POLICIES)})")
    parser.add_argument("--seed", type=_seed, default=0,
                        help="of every draw; the moment of a kill from outside is the machine's "
                             "(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Check what can be checked, then kill.

    Returns
    -------
    int
        0, or 1 when anything differed, hung or was lost, or no rank died in some phase.
    """
    from dynsample.cli.chaos import launch

    if args.late and args.issue != "external":
        parser.error(f"--late must be 0 without --issue external, got {args.late}")
    if problem := launch.missing(args.group):
        parser.error(f"chaos --group {args.group} {problem}")
    if args.json and (args.json.is_dir() or not args.json.absolute().parent.is_dir()):
        parser.error(f"--json: cannot write {args.json}")
    from dynsample.cli.chaos import driver

    return driver.run(args)


def _kills(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= len(PHASES):
            return value
    raise argparse.ArgumentTypeError(
        f"must be a whole number of at least {len(PHASES)}, one for each of "
        f"{', '.join(PHASES)}, got {text}"
    )


def _ranks(text: str) -> tuple[int, int]:
    first, dots, last = text.partition("..")
    with contextlib.suppress(ValueError):
        low, high = int(first), int(last if dots else first)
        if 1 <= low <= high <= MAX_RANKS:
            return low, high
    raise argparse.ArgumentTypeError(
        f"must be A..B with 1 <= A <= B <= {MAX_RANKS}, or one number, got {text}"
    )


def _late(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) < EPOCHS:
            return value
    raise argparse.ArgumentTypeError(
        f"must be a whole number in [0, {EPOCHS}), as a run has {EPOCHS} epochs, got {text}"
    )


def _seed(text: str) -> int:
    with contextlib.suppress(ValueError):
        if 0 <= (value := int(text)) < 2**32:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number in [0, 2**32), got {text}")
