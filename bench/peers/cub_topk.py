"""CUB's DeviceTopK by a shared library that is compiled at first use, where the toolkit has it."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

SOURCE = Path(__file__).with_suffix(".cu")
_POINTER, _SIZE = ctypes.c_void_p, ctypes.c_size_t


def load() -> Callable[[torch.Tensor, int], torch.Tensor] | str:
    """Give the function (scores, k) -> mask, or why there is none."""
    if (nvcc := shutil.which("nvcc")) is None:
        return "no nvcc on the PATH"
    major, minor = torch.cuda.get_device_capability()
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "cub_topk.so"
        command = [nvcc, "-std=c++17", "-O3", f"-arch=sm_{major}{minor}", "-shared",
                   "-Xcompiler=-fPIC", str(SOURCE), "-o", str(library)]  # fmt: skip
        built = subprocess.run(command, capture_output=True, text=True)
        if built.returncode:
            errors = [line for line in built.stderr.splitlines() if "error" in line]
            return (errors or ["nvcc failed"])[0].strip()
        function = ctypes.CDLL(str(library)).lowest_ids  # stays mapped when the file goes
    function.argtypes = [_POINTER, ctypes.POINTER(_SIZE), _POINTER, _POINTER, _POINTER, _SIZE,
                         _SIZE, _POINTER]  # fmt: skip

    def mask_of(scores: torch.Tensor, k: int) -> torch.Tensor:
        lowest, ids = torch.empty_like(scores[:k]), scores.new_empty(k, dtype=torch.int32)
        stream, size = torch.cuda.current_stream().cuda_stream, _SIZE(0)
        rest = (scores.data_ptr(), lowest.data_ptr(), ids.data_ptr(), len(scores), k, stream)
        if not function(None, ctypes.byref(size), *rest):
            scratch = scores.new_empty(max(size.value, 1), dtype=torch.uint8)
            if not function(scratch.data_ptr(), ctypes.byref(size), *rest):
                mask = torch.zeros(len(scores), dtype=torch.bool, device=scores.device)
                mask[ids.long()] = True
                return mask
        raise RuntimeError("cub::DeviceTopK failed")

    return mask_of
