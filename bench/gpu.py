"""What the scripts for a GPU share: the device, stream time, and what waits for the device."""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable

import torch
from common import Call, wall_seconds

from dynsample import cuda
from dynsample.kernels.cuda import Device, as_device
from dynsample.kernels.cuda import device as kernels

_CACHE_BYTES = 256 << 20  # more than any cache between a kernel and the memory
_HEAD_START = 24_000_000  # cycles, about 12 ms: the host issues a call's kernels in less


class Gpu:
    """The device of a script.

    Parameters
    ----------
    kind : "cuda" or "host"
        "host" runs the kernels' build for the CPU: it tries a script, and its times mean nothing.

    Attributes
    ----------
    real : bool
        Whether it is a GPU.
    """

    def __init__(self, kind: str) -> None:
        self.real = kind == "cuda"
        if self.real:
            self.device = as_device("cuda")
            self._cache = torch.empty(_CACHE_BYTES, dtype=torch.uint8, device="cuda")
            return
        try:
            from dynsample import _cuda_on_host
        except ImportError as error:
            raise cuda.CudaUnavailable(
                "--device host needs a build with DYNSAMPLE_CUDA_ON_HOST=ON"
            ) from error
        there = torch.device("cpu")
        self.device = kernels._devices.setdefault(there, Device(there, _cuda_on_host))
        print("--device host: everything runs, on the CPU; its times are no results and not shown")

    @property
    def torch_device(self) -> torch.device:
        """Where the tensors are."""
        return self.device.torch_device

    def wait(self) -> None:
        """Wait for all work."""
        if self.real:
            torch.cuda.synchronize()

    def free(self) -> None:
        """Give unused memory back."""
        if self.real:
            torch.cuda.empty_cache()

    def seconds(self, call: Call, setup: Call | None = None) -> float:
        """Stream time of one call: cold caches, and its kernels are issued before they can run."""
        if not self.real:
            return wall_seconds(call, setup)
        if setup:
            setup()
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        self._cache.zero_()
        torch.cuda._sleep(_HEAD_START)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop) / 1e3

    def wall_seconds(self, call: Call, setup: Call | None = None) -> float:
        """Time one call until its work is done, by the clock on the wall."""
        if setup:
            setup()
        self.wait()
        return wall_seconds(lambda: (call(), self.wait()))

    def host_seconds(self, call: Call, setup: Call | None = None, times: int = 9) -> float:
        """Median time of the call itself, whose work may go on after it."""
        found = []
        for _ in range(times):
            if setup:
                setup()
            self.wait()
            found.append(wall_seconds(call))
        self.wait()
        return statistics.median(found)

    def waits(self, call: Call) -> tuple[float, float]:
        """Count synchronisations, and copies to the host, of one call.

        By the profiler, which waits itself: what two more calls add, halved.
        """
        if not self.real:
            return 0.0, 0.0
        one, three = self._profiled(call, 1), self._profiled(call, 3)
        syncs, copies = ((b - a) / 2 for a, b in zip(one, three, strict=True))
        return syncs, copies

    def _profiled(self, call: Call, times: int) -> tuple[int, int]:
        from torch.profiler import ProfilerActivity, profile

        self.wait()
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
            for _ in range(times):
                call()
            self.wait()
        names = Counter(event.name for event in found.events())
        syncs = sum(n for name, n in names.items() if "Synchronize" in name)
        copies = sum(n for name, n in names.items() if name.startswith("Memcpy DtoH"))
        return syncs, copies

    def copy_rate(self, n: int) -> float:
        """Bytes per second, read and written, of a copy of float32[n] on the device."""
        source, target = (torch.empty(n, device=self.torch_device) for _ in range(2))
        source.fill_(1.0)
        found = [self.seconds(lambda: target.copy_(source)) for _ in range(7)]
        return 8 * n / statistics.median(found)


def facts() -> dict[str, object]:
    """Date, device and versions of this run."""
    there = torch.cuda.get_device_properties(0)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": there.name,
        "compute_capability": f"{there.major}.{there.minor}",
        "memory_gib": round(there.total_memory / 2**30, 1),
        "cuda_of_driver": cuda.load().driver_version(),
        "cuda_built_with": cuda.load().runtime_version(),
        "torch": torch.__version__,
    }


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the choice of device."""
    parser.add_argument(
        "--device", choices=("cuda", "host"), default="cuda",
        help="host: the kernels' build for the CPU, to try the script (default: cuda)",
    )  # fmt: skip


def run(main: Callable[[], int]) -> int:
    """Return the status of a script; without a GPU it says why and fails."""
    try:
        return main()
    except cuda.CudaUnavailable as error:
        print(f"CudaUnavailable: {error}", file=sys.stderr)
        return 1
