"""Kernels on local arrays, behind one protocol: on the host, and on a GPU.

`of` finds those of an array. They expect checked arguments (see `arguments`), and give the same
results to the last bit wherever the arrays are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, cast

from dynsample.kernels.convert import is_tensor
from dynsample.kernels.host import HOST
from dynsample.kernels.protocol import (
    A,
    Array,
    Candidates,
    Given,
    GroupCandidates,
    GroupedRows,
    Kernels,
    PassRateCurve,
    Rates,
    TensorT,
)

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = [
    "HOST",
    "A",
    "AnyKernels",
    "Array",
    "Candidates",
    "Given",
    "GroupCandidates",
    "GroupedRows",
    "Kernels",
    "PassRateCurve",
    "Rates",
    "TensorT",
    "of",
]

AnyKernels: TypeAlias = "Kernels[NDArray[Any]] | Kernels[torch.Tensor]"


def of(array: A) -> Kernels[A]:
    """Find the kernels that take an array."""
    found: AnyKernels = HOST
    if is_tensor(array) and array.device.type != "cpu":
        from dynsample.kernels.cuda import backend, device_of

        found = backend.OnDevice(device_of(array))
    return cast("Kernels[A]", found)  # those of the host take tensors that are there as well
