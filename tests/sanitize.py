"""Run the tests of the kernels on a build with the address and undefined-behaviour sanitizers.

Those for a GPU run in their build for the CPU. With --build it ends before the tests; what else is
given is pytest's.
"""

import subprocess
import sys

import instrumented

KERNELS = (
    "mask",
    "draw",
    "files",
    "fold",
    "gather",
    "history",
    "log",
    "log_parts",
    "log_weights",
    "permute",
    "priority_tree",
    "race",
    "random",
    "select",
    "sum",
)
# Slow, and no other code than the rest; or it forks, while another thread may be in the sanitizer's
# allocator, whose lock then stays closed in the child.
LEFT_OUT = "equally_likely or uniform or compiled or resume_of_a_resume or loader_hands_out"
DEVICE_KERNELS = (
    "bernoulli",
    "draw",
    "log",
    "log_parts",
    "order",
    "sampler",
    "select",
    "signals",
    "sum",
    "use",
)


def main() -> int:
    site = instrumented.build(instrumented.ROOT / "build" / "sanitize", "-DDYNSAMPLE_SANITIZE=ON")
    if sys.argv[1:] == ["--build"]:
        return 0
    tests = [f"tests/core/test_{name}.py" for name in KERNELS]
    tests += [f"tests/cuda/test_device_{name}.py" for name in DEVICE_KERNELS]
    tests.append("tests/ranks/test_elastic.py")
    command = instrumented.pytest(
        site,
        *("-k", f"not ({LEFT_OUT})", *instrumented.PARALLEL, *tests, *sys.argv[1:]),
        LD_PRELOAD=instrumented.runtime("libasan.so", "libubsan.so"),
        ASAN_OPTIONS="detect_leaks=0",  # the interpreter itself does not free everything
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    return subprocess.run(command, cwd=instrumented.ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
