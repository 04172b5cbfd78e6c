"""A call that fails on a GPU leaves nothing behind that the next one would meet."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dynsample import ops
from dynsample.kernels.cuda import Device, order

ROOT = Path(__file__).parents[2]
KEY = {"seed": 1, "epoch": 2, "stream": 3}


def test_no_error_and_no_context_is_left_behind(tmp_path: Path) -> None:
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc is not on the PATH")
    program = tmp_path / "program"
    names = (
        "tests/native/cuda_state.cu",
        "tests/native/stand_in_runtime.cpp",
        "csrc/cuda/device.cu",
    )
    sources = [str(ROOT / name) for name in names]
    command = ["nvcc", "-std=c++17", "-cudart=none", f"-I{ROOT / 'csrc'}", *sources]
    built = subprocess.run([*command, "-o", str(program)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    run = subprocess.run([str(program)], capture_output=True, text=True)
    assert run.stdout == "nothing is left behind\n"


def test_a_launch_is_not_blamed_for_a_call_that_failed_before_it(gpu: Device) -> None:
    torch = pytest.importorskip("torch")
    nowhere, out = gpu.kernels.Stream(1000, 0), gpu.empty(9, torch.int32)
    with pytest.raises(RuntimeError, match="failed on the GPU: invalid device ordinal"):
        gpu.kernels.order_slice(nowhere, 9, *KEY.values(), 0, 0, 9, out.data_ptr())
    found = order.order_slice(gpu, 9, None, **KEY)
    assert found.tolist() == ops.permute(9, **KEY).tolist()
