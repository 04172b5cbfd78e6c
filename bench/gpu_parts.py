"""The parts of gpu_all.sh: what each runs, in a process that has imported torch already."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CALLS = ("first", "second")
LEFT_OUT = 77  # the status of a part that needs what is not there
OUR_KERNEL = "dynsample::cuda::run<"


@dataclass(frozen=True)
class Run:
    """What all parts of a run share; `patience` is a factor of all limits."""

    device: str
    scratch: Path
    patience: float

    @property
    def real(self) -> bool:
        """Whether there is a GPU."""
        return self.device == "cuda"

    @property
    def note(self) -> Path:
        """File with what a part says for the summary."""
        return self.scratch / "note"

    def results(self) -> list[Path]:
        """Files with the JSON lines of benches."""
        return sorted(self.scratch.glob("*.json"))

    def leave_out(self, why: str) -> None:
        """End a part that cannot run here."""
        self.note.write_text(why)
        sys.exit(LEFT_OUT)


@dataclass(frozen=True)
class Part:
    """A part; `limit` in seconds, of which those of a call add up to what the call may take."""

    call: str
    name: str
    limit: int
    what: str
    body: Callable[[Run], None]
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, run: Run) -> None:
        """Run it, as all that this process does."""
        os.setsid()
        os.chdir(ROOT)
        os.environ.update(self.environ)
        self.body(run)


def import_modules(run: Run) -> None:
    """Import all, count the devices, and launch a kernel: the modules may be built for others."""
    from gpu import Gpu, facts

    from dynsample import cuda
    from dynsample.kernels.cuda import order

    gpu = Gpu(run.device)
    if run.real:
        print(f"device_count {cuda.load().device_count()}, {facts()}")
        print(f"the modules were built for {cuda.load().architectures}")
    assert len(order.order_slice(gpu.device, 9, None, seed=1, epoch=2).cpu()) == 9


def script(name: str, *options: str, sizes: tuple[int, ...] = ()) -> Callable[[Run], None]:
    """Run a script of this folder; without a GPU at its own sizes."""

    def body(run: Run) -> None:
        n = ["--n", *map(str, sizes)] if sizes and run.real else []
        results = ["--json", str(run.scratch / f"{os.getpid()}.json")] if options or sizes else []
        sys.argv = [name, "--device", run.device, *options, *n, *results]
        runpy.run_path(str(Path(__file__).with_name(name)), run_name="__main__")

    return body


def tests(*arguments: str) -> Callable[[Run], None]:
    """Run tests, on a GPU only those that need it."""

    def body(run: Run) -> None:
        if missing := [m for m in ("pytest", "hypothesis") if not importlib.util.find_spec(m)]:
            run.leave_out(f"python3 lacks {' and '.join(missing)}")
        import pytest

        options = ["-q", "--maxfail=5", "--tb=short", "-p", "no:cacheprovider"]
        if not importlib.util.find_spec("pytest_timeout"):  # whose setting is unknown then
            options += ["-o", "addopts=", "-W", "ignore::pytest.PytestConfigWarning"]
        sys.exit(pytest.main([*options, *(["-m", "gpu"] if run.real else []), *arguments]))

    return body


def sanitizer(tool: str, *options: str, advisory: bool = False) -> Callable[[Run], None]:
    """Run sanitize_cuda.py under a tool of compute-sanitizer.

    CUB reads what it has not written: what an advisory tool finds is counted, and fails nothing.
    """

    def body(run: Run) -> None:
        if shutil.which("compute-sanitizer") is None:
            run.leave_out("compute-sanitizer is not on the PATH")
        log = run.scratch / "sanitizer.txt"
        command = ["compute-sanitizer", "--tool", tool, *options, "--log-file", str(log),
                   *(() if advisory else ("--error-exitcode", "9")), sys.executable,
                   "bench/sanitize_cuda.py", "--device", run.device]  # fmt: skip
        status = subprocess.run(command).returncode
        text = log.read_text() if log.exists() else ""
        print(text)
        found = records(text)
        ours = sum(OUR_KERNEL in record for record in found)
        run.note.write_text(f"{len(found)} records, {ours} in our kernels")
        sys.exit(status)

    return body


def records(text: str) -> list[str]:
    """Split what compute-sanitizer prints into records: a line, and those indented under it."""
    found: list[str] = []
    for line in re.findall(r"^========= ?(.*)$", text, re.MULTILINE):
        if line.startswith("  "):
            if found:
                found[-1] += f"\n{line}"
        elif re.search("Invalid|Uninitialized|[Rr]ace|Barrier|Program hit|Leaked|Misaligned", line):
            found.append(line)
    return found


OURS_ONLY = ("--kernel-name", "kernel_substring=dynsample")
PRINTED = ("--print-limit", "20")
NO_CACHE = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
# Of a part of its own; of these parts themselves, which would start each other without end; of the
# sources.
NOT_HERE = ("device_exchange", "gpu_all", "gpu_scripts", "races")
PARTS = (
    Part("first", "import", 25, "the modules, and the GPU that they were built for",
         import_modules),
    Part("first", "kernels", 35, "every kernel, beside the CPU", script("sanitize_cuda.py")),
    Part("first", "tests", 110, "the tests that need a GPU",
         tests("tests/cuda", *(f"--ignore=tests/cuda/test_{name}.py" for name in NOT_HERE)),
         {"CUDA_LAUNCH_BLOCKING": "1", "HYPOTHESIS_PROFILE": "quick"}),
    Part("first", "memcheck", 70, "accesses out of bounds", sanitizer("memcheck", *PRINTED),
         NO_CACHE),
    Part("second", "racecheck", 100, "races in shared memory",
         sanitizer("racecheck", *PRINTED, *OURS_ONLY), NO_CACHE),
    Part("second", "cuda", 75, "the kernels beside torch and CUB, at ImageNet's sizes",
         script("bench_cuda.py", sizes=(1_281_167, 14_197_122))),
    Part("second", "cuda-1e9", 50, "the same at 1e9 rows",
         script("bench_cuda.py", sizes=(1_000_000_000,))),
    Part("second", "step", 75, "what observing costs a training step",
         script("bench_step.py", "--pairs", "8")),
    Part("second", "nccl", 15, "tensors by NCCL, in a group of one",
         tests("tests/cuda/test_device_exchange.py")),
    Part("second", "synccheck", 40, "barriers", sanitizer("synccheck", *PRINTED, *OURS_ONLY),
         NO_CACHE),
    Part("second", "initcheck", 45, "reads of what was not written; advisory",
         sanitizer("initcheck", "--print-limit", "10000", advisory=True), NO_CACHE),
)  # fmt: skip
