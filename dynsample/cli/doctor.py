"""Say what this installation can use: versions, threads, CUDA, MPI, the launcher, DALI's feed."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import subprocess
import sys
from pathlib import Path

from dynsample import _core
from dynsample.groups import environment
from dynsample.kernels import available

PACKAGES = (
    "numpy", "torch", "ffcv", "mpi4py", "lightning", "transformers", "accelerate", "grain",
    "pyarrow", "scikit-learn", "pillow", "matplotlib", "rich",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`doctor` has no arguments."""


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print one line per finding."""
    for name, finding in findings().items():
        print(f"{name:<16} {finding}")
    return 0


def findings() -> dict[str, str]:
    """Gather what was found, by name, in the order to print."""
    available = " ".join(_core.available_isas())
    return {
        "dynsample": version("dynsample"),
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "instruction set": f"{_core.isa()} (available: {available})",
        "threads": str(_core.num_threads()),
        "CUDA": cuda_status(),
        "driver": driver_version(),
        "MPI": mpi_status(),
        "launched": launched(),
        "DALI": dali_version(),
        "DALI reader": dali_status(),
        **{package: version(package) for package in PACKAGES},
    }


def version(package: str) -> str:
    """Version of a package by its metadata, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not found"


def cuda_status() -> str:
    """Whether the CUDA module was built, loads, and finds a device; if not, why."""
    try:
        module = available.load()
    except available.CudaUnavailable as error:
        return str(error)
    version = module.runtime_version()
    built = f"CUDA {version // 1000}.{version % 1000 // 10} for {module.architectures}, loads"
    try:
        available.require()
    except available.CudaUnavailable as error:
        return f"{built}; 0 devices: {error}"
    return f"{built}; devices: {module.device_count()}"


def driver_version() -> str:
    """Version of the NVIDIA driver, which Linux shows without loading it."""
    try:
        first, *_ = Path("/proc/driver/nvidia/version").read_text().splitlines()
    except OSError:
        return "no NVIDIA driver"
    return first.partition(":")[2].strip()


def mpi_status() -> str:
    """Name the MPI that mpi4py loads, in a process of its own: to load it is to start it."""
    if version("mpi4py") == "not found":
        return "none without mpi4py"
    code = "from mpi4py import MPI; print(MPI.Get_library_version().splitlines()[0])"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return "mpi4py does not start within 30 s"
    said = (done.stderr.strip() or "no word").splitlines()[-1]
    return (
        " ".join(done.stdout.split()) if done.returncode == 0 else f"mpi4py does not start: {said}"
    )


def launched() -> str:
    """Say which launcher started this process, by what it left in the environment."""
    worlds = (
        environment.torchrun_world(),
        environment.mpi_world(),
        environment.horovod_world(),
        environment.slurm_world(),
    )
    return "; ".join(str(world) for world in worlds if world) or "by none: one process"


def dali_version() -> str:
    """Name the DALI that an import gives, with its version."""
    found = importlib.metadata.packages_distributions().get("nvidia", [])
    names = sorted({name for name in found if name.startswith("nvidia-dali")})
    return ", ".join(f"{name} {version(name)}" for name in names) or "not found"


def dali_status() -> str:
    """How a DALI pipeline will read, and why; compiles the operator if that was not yet done."""
    if dali_version() == "not found":
        return "none without DALI"
    from dynsample.dali import operator

    return operator.status()
