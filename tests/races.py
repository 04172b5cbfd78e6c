"""Search for data races of the CUDA kernels: each of their threads is one to ThreadSanitizer.

See csrc/cuda/launch_threads.h. Without --whole, no sizes that repeat what others show. With --build
it ends before the tests; what else is given is pytest's.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import instrumented

TREE = instrumented.ROOT / "build" / "races"
MODULE = "_cuda_on_host"
TESTS = ("bernoulli", "draw", "log", "log_parts", "ops", "order", "select", "signals", "sum")
WHOLE = ("plan", "sampler")  # other ways to the same kernels
# What takes long is left to the whole form, but for one case of each that takes all rounds.
LARGE = (
    "129 or 1000 or 1025 or 3000 or 4101 or 5000 or 8200 or 30000 or 70001 or 150003 or million "
    "or slices or many_ or more_ or every_number or outcome[host-1 or misleads or overflow"
)
CHOSEN = "host-3000-float32 or host-16385-levels or host-1-0.3 or many_values and normal"


def build() -> Path:
    return instrumented.build(TREE, "-DDYNSAMPLE_RACES=ON", module=MODULE)


def search(site: Path, *arguments: str) -> tuple[int, str]:
    """Run tests on a build; give pytest's status and the reports of races, if any."""
    log = site.parent / "report"
    for old in log.parent.glob(f"{log.name}.*"):
        old.unlink()
    # torch's own threads are not looked at: they are not built for that.
    command = instrumented.pytest(
        site,
        *arguments,
        LD_PRELOAD=instrumented.runtime("libtsan.so"),
        OMP_NUM_THREADS="1",
        TSAN_OPTIONS=f"log_path={log} exitcode=0 history_size=2 ignore_noninstrumented_modules=1",
    )
    status = subprocess.run(
        [*instrumented.FIXED_ADDRESSES, *command], cwd=instrumented.ROOT
    ).returncode
    return status, "".join(
        report.read_text() for report in sorted(log.parent.glob(f"{log.name}.*"))
    )


def main() -> int:
    arguments = sys.argv[1:]
    site = build()
    if arguments == ["--build"]:
        return 0
    chosen = "host"
    names = TESTS
    if "--whole" in arguments:
        arguments.remove("--whole")
        names += WHOLE
    else:
        chosen += f" and (not ({LARGE}) or {CHOSEN})"
    tests = [f"tests/cuda/test_device_{name}.py" for name in names]
    status, reports = search(site, "-k", chosen, *instrumented.PARALLEL, *tests, *arguments)
    print(reports or "no data races")
    return status or int(bool(reports))


if __name__ == "__main__":
    sys.exit(main())
