"""The two-module build: the CUDA module is optional, and its absence is explained."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dynsample import cuda
from dynsample.kernels import available

ROOT = Path(__file__).parents[2]


def cuda_module() -> Any:
    try:
        return cuda.load()
    except cuda.CudaUnavailable as error:
        pytest.skip(str(error))


def test_the_module_imports_without_a_driver_and_counts_its_devices() -> None:
    module = cuda_module()
    assert module.runtime_version() >= 11000
    if module.driver_version() == 0:
        assert module.device_count() == 0
        with pytest.raises(cuda.CudaUnavailable, match="no NVIDIA driver"):
            cuda.require()


@pytest.mark.parametrize(
    ("devices", "driver", "message"),
    [
        (0, 0, "no NVIDIA driver was found"),
        (0, 12020, r"serves CUDA 12\.2, and dynsample was built with CUDA 13\.0"),
        (0, 13000, "reports no device"),
    ],
)
def test_each_reason_has_its_own_message(
    devices: int, driver: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = SimpleNamespace(
        device_count=lambda: devices, driver_version=lambda: driver, runtime_version=lambda: 13000
    )
    monkeypatch.setattr(available, "load", lambda: module)
    with pytest.raises(cuda.CudaUnavailable, match=message):
        cuda.require()


def copy_of_package(folder: Path) -> Path:
    return Path(
        shutil.copytree(
            ROOT / "dynsample", folder / "dynsample", ignore=shutil.ignore_patterns("_cuda*.so")
        )
    )


def load_message(folder: Path) -> str:
    code = (
        "from dynsample import cuda\n"
        "try:\n    cuda.load()\n"
        "except cuda.CudaUnavailable as error:\n    print(error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_a_missing_module_is_told_from_one_that_does_not_load(tmp_path: Path) -> None:
    package = copy_of_package(tmp_path)
    assert "was built without CUDA" in load_message(tmp_path)
    (package / f"_cuda{sysconfig.get_config_var('EXT_SUFFIX')}").write_bytes(b"not a library")
    assert "is there but does not load" in load_message(tmp_path)
