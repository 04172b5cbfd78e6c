"""The devices that the tests of kernels run on: the CPU, by their host build, and a GPU if any."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynsample import cuda
from dynsample.device import Device, as_device, kernels

sys.path.append(str(Path(__file__).parents[1] / "core"))  # the scores that the CPU is tested with


@pytest.fixture(params=["host", "cuda"])
def device(request: pytest.FixtureRequest) -> Device:
    torch = pytest.importorskip("torch")
    if request.param == "cuda":
        try:
            return as_device("cuda")
        except cuda.CudaUnavailable as error:
            pytest.skip(f"no GPU: {error}")
    host = pytest.importorskip("dynsample._cuda_on_host", reason="built with the tests' set-up")
    return kernels._devices.setdefault(torch.device("cpu"), Device(torch.device("cpu"), host))
