"""What needs a GPU, in parts, each in a process of its own with a limit; see gpu_all.sh.

torch is imported once: a part is a fork of a process that has it and never touched the GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gpu_parts import CALLS, LEFT_OUT, PARTS, Part, Run

ROOT = Path(__file__).parents[1]
LEAST = 5  # seconds that a part is started with


class Summary:
    """What became of each part."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failed: list[str] = []

    def note(self, part: str, text: str, failed: bool = False) -> None:
        """Add a line."""
        self.lines.append(f"{part:<12} {'FAILED: ' if failed else ''}{text}")
        if failed:
            self.failed.append(part)


def run_part(part: Part, run: Run, left: float, summary: Summary) -> None:
    """Run one part in a fork, and end it with all that it started at its limit."""
    limit, start = min(part.limit * run.patience, left), time.monotonic()
    if left < LEAST:
        return summary.note(part.name, "no time was left for it", failed=True)
    print(f"\n== {part.name}, {limit:.0f} s at most: {part.what}", flush=True)
    run.note.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(target=part.start, args=(run,))
    process.start()
    process.join(limit)
    if late := process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # type: ignore[arg-type]
        process.kill()
        process.join()
    took = f"{time.monotonic() - start:.0f} s"
    said = f"; {run.note.read_text()}" if run.note.exists() else ""
    if late:
        summary.note(part.name, f"over its {limit:.0f} s{said}", failed=True)
    elif process.exitcode == LEFT_OUT:
        summary.note(part.name, f"left out{said}")
    elif process.exitcode:
        summary.note(part.name, f"status {process.exitcode}, {took}{said}", failed=True)
    else:
        summary.note(part.name, f"ok, {took}{said}")


def output(*command: str) -> str | None:
    """Return what a command prints, without the last newline; None when it fails."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def facts(device: str) -> dict[str, str]:
    """Date, device, versions and commit; of the GPU without touching it."""
    found = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "device": "host"}
    if device == "cuda":
        query = "--query-gpu=name,driver_version"
        if (gpu := output("nvidia-smi", query, "--format=csv,noheader")) is None:
            sys.exit("gpu_all: no GPU: nvidia-smi is not there or fails")
        name, found["driver"] = gpu.splitlines()[0].split(", ")
        found["device"] = name.replace(" ", "-")
    status = output("git", "status", "--porcelain")
    found["commit"] = output("git", "rev-parse", "HEAD") or "unknown"
    found["tree"] = "unknown" if status is None else "dirty" if status else "clean"
    return found | {"python": sys.version.split()[0]}


@contextlib.contextmanager
def copied_to(path: Path) -> Iterator[None]:
    """Copy what this process and those that it starts print into a file."""
    sys.stdout.flush()
    before = [os.dup(1), os.dup(2)]
    tee = subprocess.Popen(["tee", str(path)], stdin=subprocess.PIPE)
    assert tee.stdin
    for number in (1, 2):
        os.dup2(tee.stdin.fileno(), number)
    tee.stdin.close()
    try:
        yield
    finally:
        sys.stdout.flush()
        for number, kept in enumerate(before, 1):
            os.dup2(kept, number)
        with contextlib.suppress(subprocess.TimeoutExpired):  # of one that outlives its part
            tee.wait(LEAST)


def chosen(names: list[str]) -> list[Part]:
    """Parts by their names or those of a call, in the order in which they run; all for none."""
    known = {part.name: part for part in PARTS}
    if unknown := set(names) - known.keys() - set(CALLS):
        sys.exit(
            f"gpu_all: part must be one of {', '.join(CALLS)}, {', '.join(known)}, "
            f"got {', '.join(sorted(unknown))}"
        )
    return [part for part in PARTS if not names or {part.name, part.call} & set(names)]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    lines = [f"  {part.name:<11}{part.call:<8}{part.limit:>3} s  {part.what}" for part in PARTS]
    parser = argparse.ArgumentParser(
        "gpu_all.sh", description="\n".join(["parts:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path, help="where the results go")
    parser.add_argument("parts", nargs="*", help="parts, first or second (default: all)")
    parser.add_argument("--device", choices=("cuda", "host"), default="cuda")
    parser.add_argument(
        "--patience", type=float, default=1, help="factor of all limits, for a busy machine"
    )
    return parser.parse_intermixed_args()


def main() -> int:
    start = time.monotonic()
    args = arguments()
    parts = chosen(args.parts)
    found = facts(args.device)
    args.folder.mkdir(parents=True, exist_ok=True)
    base = args.folder / f"cuda-{found['device']}-{'-'.join(args.parts) or 'all'}"
    deadline = start + sum(part.limit for part in parts) * args.patience
    summary = Summary()
    with tempfile.TemporaryDirectory() as scratch, copied_to(base.with_suffix(".txt")):
        import torch

        run, found["torch"] = Run(args.device, Path(scratch), args.patience), torch.__version__
        print(*(f"{name} {value}" for name, value in found.items()), sep="\n", flush=True)
        for part in parts:
            if "import" in summary.failed:
                summary.note(part.name, "not run: nothing can be imported", failed=True)
            else:
                run_part(part, run, deadline - time.monotonic(), summary)
        print(f"\n== summary, {time.monotonic() - start:.0f} s", *summary.lines, sep="\n")
        lines = "".join(path.read_text() for path in run.results())
    base.with_suffix(".json").write_text(json.dumps(found) + "\n" + lines)
    print(f"written: {base}.txt, {base}.json")
    return int(bool(summary.failed))


if __name__ == "__main__":
    sys.exit(main())
