"""The command line: `dynsample demo`, `bench`, `doctor`, `inspect`, `coreset` and others.

A command is a module or package of this one with `add_arguments(parser)` and `run(args, parser)`;
the latter returns the exit status. What a command needs beyond numpy it imports in `run`.
"""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

import dynsample
from dynsample.cli.printing import Parser

COMMANDS = {
    "demo": "train a small network with several methods and their controls",
    "study": "compare methods with their controls at equal cost",
    "bench": "time the kernels beside their peers (in a checkout)",
    "doctor": "say what this installation can use",
    "plan": "plan an epoch on one process or many, and print its digest",
    "inspect": "show what a whole run did, from its report",
    "files": "write the list of a tree of class folders",
    "pack": "write all images of a data set into one file",
    "score": "average the scores of several runs",
    "export": "write the scores of a saved sampler as Parquet",
    "coreset": "choose which samples to keep for good",
    "chaos": "kill ranks of training runs at random, and compare what follows",
}
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Version(argparse.Action):
    """Look the version up when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print it."""
        print(f"dynsample {dynsample.__version__}")
        parser.exit()


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; `argv` is by default the process's own.

    Returns
    -------
    int
        Exit status: 0, 1 for a failed check, 130 after Ctrl-C. Wrong arguments exit with 2.
    """
    parser = Parser(
        prog="dynsample", description="Dynamic data pruning and sampling for training loops."
    )
    parser.add_argument("--version", action=_Version, help="print the version, and exit")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, text in COMMANDS.items():
        command = importlib.import_module(f"dynsample.cli.{name}")
        subparser = subparsers.add_parser(name, help=text, description=command.__doc__)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run, parser=subparser)
    args = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name that a terminal cannot show is no error
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = args.run(args, args.parser)
    except KeyboardInterrupt:
        return INTERRUPTED
    return status
