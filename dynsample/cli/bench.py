"""Time the kernels beside their peers, in turn in one process; runs the scripts of bench/.

Without a name it lists what there is.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
import tempfile
from pathlib import Path

import dynsample
from dynsample.kernels import available

FOLDER = Path(dynsample.__file__).parents[1] / "bench"
NEEDS_GPU = ("cuda", "step")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice of scripts, and the options that all of them have."""
    parser.add_argument("what", nargs="*", metavar="NAME", help="what to time, or all")
    parser.add_argument("--n", type=int, help="samples (default: 1281167)")
    parser.add_argument("--pairs", type=int, help="timed pairs of each case")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one JSON line per case")


def scripts() -> dict[str, Path]:
    """Find the scripts of the checkout by what they time; none when installed without it."""
    if not (FOLDER / "common.py").is_file():
        return {}
    return {path.stem.removeprefix("bench_"): path for path in sorted(FOLDER.glob("bench_*.py"))}


def all_that_can_run(found: dict[str, Path]) -> list[str]:
    """Leave out, and name, the scripts that need a GPU where there is none."""
    try:
        available.require()
    except available.CudaUnavailable as error:
        if left_out := [name for name in found if name in NEEDS_GPU]:
            print(f"left out, as it needs a GPU: {', '.join(left_out)} ({error})\n", flush=True)
        return [name for name in found if name not in NEEDS_GPU]
    return list(found)


def listed(found: dict[str, Path]) -> None:
    """Print what there is, by the first lines of the scripts."""
    for name, path in found.items():
        (said, *_) = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines() or [""]
        needs = " (needs a GPU)" if name in NEEDS_GPU else ""
        print(f"{name:<10} {said}{needs}")
    print("\ndynsample bench NAME [NAME ...] times one or more, dynsample bench all every one")


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the scripts one after the other; 1 when one of them fails."""
    found = scripts()
    if not found:
        here = Path("bench", "common.py").is_file() and Path("dynsample", "__init__.py").is_file()
        cure = (
            "run `pip install -e .` in this one, as what is installed is a copy of it"
            if here
            else "its scripts are not part of the package"
        )
        parser.error(f"bench needs a checkout of dynsample: {cure}")
    if unknown := [name for name in args.what if name not in {*found, "all"}]:
        parser.error(f"no bench {unknown[0]!r}: choose from {', '.join(found)}, all")
    for name in ("n", "pairs"):
        if (value := getattr(args, name)) is not None and value < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    if args.json and not args.json.absolute().parent.is_dir():
        parser.error(f"--json: {args.json.absolute().parent} is not a folder")
    options = [
        f"--{name}={value}" for name in ("n", "pairs") if (value := getattr(args, name)) is not None
    ]
    if not args.what:
        listed(found)
        return 0
    failed, lines = [], ""
    with tempfile.TemporaryDirectory() as folder:
        for name in all_that_can_run(found) if "all" in args.what else dict.fromkeys(args.what):
            part = Path(folder) / name
            command = [sys.executable, str(found[name]), *options, f"--json={part}"]
            if subprocess.run(command, check=False).returncode:
                failed.append(name)
            if part.exists():
                lines += part.read_text()
            print(flush=True)
    if args.json:
        args.json.write_text(lines)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))
