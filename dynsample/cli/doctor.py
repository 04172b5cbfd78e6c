"""Say what this installation can use: versions, instruction set, threads, CUDA, DALI's feed."""

from __future__ import annotations

import argparse
import importlib.metadata
import platform

from dynsample import _core
from dynsample.kernels import available

PACKAGES = ("numpy", "torch", "ffcv", "scikit-learn", "pillow", "matplotlib", "rich")


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
