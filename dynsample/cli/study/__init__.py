"""Compare dynamic pruning with controls of the same cost: shorter runs, random subsets and others.

Every method is trained with every seed, and so is each of its controls, at the cost it came to. A
control is known by its kind and its cost, rounded to a percent of the baseline's, and is trained
once for all methods of that cost. Each run is a line of DIR/runs.jsonl; a study that was ended goes
on where it was when it is started again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dynsample.cli.demo import NEEDS
from dynsample.cli.experiment.counts import count
from dynsample.cli.experiment.rows import METHODS
from dynsample.cli.needs import check_installed

# Light copies, as `dynsample --help` must not import torch.
TASKS = ("fashion", "digits", "glyphs")
VARIANTS = ("clean", "noise", "tail")
QUICK = {"task": ["digits"], "variant": ["clean"], "policy": ["kakurenbo"], "seeds": 1}
WHOLE = {"task": ["fashion"], "variant": ["clean"], "policy": list(METHODS), "seeds": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to compare, how often, and where the runs are kept."""
    # fmt: off
    parser.add_argument("--task", nargs="+", choices=TASKS, metavar="NAME",
                        help="fashion (Fashion-MNIST), digits, glyphs (default: fashion)")
    parser.add_argument("--variant", nargs="+", choices=VARIANTS, metavar="NAME",
                        help="clean, noise (a fifth of the labels are wrong), tail (classes of "
                        "100:1) (default: clean)")
    parser.add_argument("--policy", nargs="+", choices=METHODS, metavar="NAME",
                        help=f"methods (default: all of {', '.join(METHODS)})")
    parser.add_argument("--seeds", type=count, metavar="N", help="runs of each (default: 3)")
    parser.add_argument("--epochs", type=count, metavar="E",
                        help="of a whole run (fashion: 5, digits: 12, glyphs: 10)")
    parser.add_argument("--out", type=Path, default=Path("study"), metavar="DIR",
                        help="where runs.jsonl, the picture and the page go (%(default)s)")
    parser.add_argument("--jobs", type=count, default=1, metavar="J",
                        help="runs at the same time, a thread each (%(default)s)")
    parser.add_argument("--data", type=Path, metavar="FOLDER",
                        help="the IDX files of Fashion-MNIST, where their package is not installed")
    parser.add_argument("--quick", action="store_true",
                        help="one method, one seed, on digits, unless another choice is given")
    parser.add_argument("--report", type=Path, metavar="DIR",
                        help="train nothing; report what a study has written there")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Train what is missing, then print the tables and write picture and page."""
    check_installed(parser, "study", NEEDS, "demo")
    for name, value in (QUICK if args.quick else WHOLE).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    from dynsample.cli.study import command

    return command.run(args)
