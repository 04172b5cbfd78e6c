"""From nothing to the first batch of a DALI pipeline at ImageNet's names, and small files.

Every start is in a process of its own, a fork of one that has imported all it needs. `held` is what
the process holds more than before once it has its first batch, `most` what it held at any time.
Small files, of 1 KB, are read in one process, by whole epochs in turn.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from common import Bench, Result
from loaders import Case, Start, write_tiny_files

MEASURED = {"": "ms", "held": "MB", "most": "MB"}


def memory() -> tuple[int, int]:
    """Bytes that this process holds, and the most that it held."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    held, most = (1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))
    return held, most


def measure(start: Callable[[], object]) -> list[float]:
    """Time a start, and give the memory that it took."""
    before, _ = memory()
    begin = time.perf_counter()
    kept = start()
    seconds = time.perf_counter() - begin
    held, most = memory()
    del kept
    return [seconds, held - before, most - before]


def in_fork(start: Callable[[], object]) -> list[float]:
    """Measure a start in a process of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, json.dumps(measure(start)).encode())
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    if not text:
        raise RuntimeError("a start failed")
    measured: list[float] = json.loads(text)
    return measured


def compare_starts(bench: Bench, start: Start) -> None:
    mine, theirs = [], []
    for _ in range(bench.args.pairs):
        mine.append(in_fork(start.ours))
        theirs.append(in_fork(start.peer))
    sides = zip(zip(*mine, strict=True), zip(*theirs, strict=True), strict=True)
    for (what, unit), (ours, peer) in zip(MEASURED.items(), sides, strict=True):
        name = f"{start.name} {what}".strip()
        bench.record(name, list(ours), start.peer_name, list(peer), unit=unit)


def compare_epochs(bench: Bench, case: Case, files: int) -> Result:
    return bench.compare(case.name, case.ours, "readers.file", case.peer, unit="us", per=files)


def main() -> int:
    bench = Bench("start", __doc__.splitlines()[0])
    bench.parser.add_argument(
        "--files", type=int, default=100_000, help="files in class folders (%(default)s)"
    )
    args = bench.parse()
    try:
        from loaders import dali
    except ImportError as error:
        print(f"dali is left out: {error}")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        tree = write_tiny_files(Path(folder), args.files)
        for start, samples in zip(
            dali.starts(Path(folder), args.n, tree, args.files), (args.n, args.files), strict=True
        ):
            bench.n = samples
            compare_starts(bench, start)
        compare_epochs(bench, dali.tiny(tree, args.files), args.files)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
