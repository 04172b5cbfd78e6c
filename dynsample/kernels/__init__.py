"""Kernels on local arrays, behind one protocol: on the host, and on a GPU.

`of` finds those of an array. They expect checked arguments (see `arguments`), and give the same
results to the last bit wherever the arrays are.
"""

from __future__ import annotations

from dynsample.kernels.convert import is_tensor
from dynsample.kernels.host import HOST
from dynsample.kernels.protocol import Array, Candidates, Kernels, Rates

__all__ = ["HOST", "Array", "Candidates", "Kernels", "Rates", "of"]


def of(array: Array) -> Kernels:
    """Find the kernels that take an array."""
    if is_tensor(array) and array.device.type != "cpu":
        from dynsample.kernels.cuda import backend, device_of

        return backend.OnDevice(device_of(array))
    return HOST
