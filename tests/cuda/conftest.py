"""The devices that the tests of kernels run on: the CPU, by their host build, and a GPU if any."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dynsample import cuda
from dynsample.kernels.cuda import Device, as_device
from dynsample.kernels.cuda import device as kernels

sys.path.append(str(Path(__file__).parents[1] / "core"))  # the scores that the CPU is tested with


GPU = pytest.param("cuda", marks=pytest.mark.gpu)


@pytest.fixture(params=["host", GPU])
def device(request: pytest.FixtureRequest) -> Device:
    return of_gpu() if request.param == "cuda" else of_host()


@pytest.fixture
def host() -> Device:
    """What a test takes that counts something in the host build."""
    return of_host()


@pytest.fixture(params=[GPU])
def gpu() -> Device:
    """What a test takes that is of a GPU alone: of streams, graphs and waits."""
    return of_gpu()


def of_host() -> Device:
    torch = pytest.importorskip("torch")
    host = pytest.importorskip("dynsample._cuda_on_host", reason="built with the tests' set-up")
    return kernels._devices.setdefault(torch.device("cpu"), Device(torch.device("cpu"), host))


def of_gpu() -> Device:
    try:
        return as_device("cuda")
    except cuda.CudaUnavailable as error:
        pytest.skip(str(error))
