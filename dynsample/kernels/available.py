"""What is installed: the version, and whether CUDA can be used, and if not, why."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from dynsample._cuda import NativeModule


class CudaUnavailable(RuntimeError):
    """CUDA was asked for and cannot be used; the message says which of the reasons it is."""


def load() -> NativeModule:
    """Import the CUDA module.

    Raises
    ------
    CudaUnavailable
        When this installation was built without it, or when it is there and does not load.
    """
    if importlib.util.find_spec("dynsample._cuda") is None:
        raise CudaUnavailable(
            "this installation of dynsample was built without CUDA: reinstall it with nvcc on the "
            "PATH and DYNSAMPLE_CUDA=ON"
        )
    try:
        return cast("NativeModule", importlib.import_module("dynsample._cuda"))
    except ImportError as error:
        raise CudaUnavailable(f"the CUDA module is there but does not load: {error}") from error


def require() -> NativeModule:
    """Import the CUDA module and make sure of a device.

    Raises
    ------
    CudaUnavailable
        Also without a driver, with one older than the runtime built in, or without a device.
    """
    module = load()
    if module.device_count():
        return module
    driver, runtime = module.driver_version(), module.runtime_version()
    if not driver:
        raise CudaUnavailable("no NVIDIA driver was found on this machine")
    if driver // 1000 < runtime // 1000:
        raise CudaUnavailable(
            f"the NVIDIA driver serves CUDA {driver // 1000}.{driver % 1000 // 10}, and dynsample "
            f"was built with CUDA {runtime // 1000}.{runtime % 1000 // 10}: upgrade the driver"
        )
    raise CudaUnavailable("the NVIDIA driver reports no device")


@cache
def version() -> str | None:
    """Return the version of dynsample; None when it is run from its sources."""
    try:
        return version_of("dynsample")
    except PackageNotFoundError:
        return None
