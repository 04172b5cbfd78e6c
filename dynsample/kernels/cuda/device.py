"""A device, and how its kernels are called with tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import numpy as np

from dynsample.kernels import available
from dynsample.kernels.convert import is_tensor

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from dynsample._cuda import Allocate, Native, Stream

P = ParamSpec("P")
R = TypeVar("R")


class Device:
    """A torch device and the module with its kernels.

    Parameters
    ----------
    torch_device : torch.device
    kernels : module
        `dynsample._cuda`.
    """

    def __init__(self, torch_device: torch.device, kernels: Native) -> None:
        self.torch_device = torch_device
        self.kernels = kernels

    def stream(self) -> Stream:
        """Return torch's current stream of this device, for the kernels."""
        if self.torch_device.type != "cuda":
            return self.kernels.Stream(0, 0)
        import torch

        handle = torch.cuda.current_stream(self.torch_device).cuda_stream
        return self.kernels.Stream(self.torch_device.index, handle)

    def call(
        self,
        kernel: Callable[Concatenate[Stream, P], R],
        *arguments: P.args,
        **_: P.kwargs,
    ) -> R:
        """Call one of `kernels` on the current stream; tensors go as addresses, None as 0."""
        native: Callable[..., R] = kernel
        return native(self.stream(), *map(_argument, arguments))

    def call_with_scratch(
        self,
        kernel: Callable[Concatenate[Stream, Allocate, P], R],
        *arguments: P.args,
        **_: P.kwargs,
    ) -> R:
        """Call a kernel that borrows memory from torch until it is done."""
        native: Callable[..., R] = kernel
        return native(self.stream(), self._bytes, *map(_argument, arguments))

    def _bytes(self, size: int) -> torch.Tensor:
        import torch

        return torch.empty(max(size, 1), dtype=torch.uint8, device=self.torch_device)

    def empty(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        """Allocate without a content."""
        import torch

        return torch.empty(size, dtype=dtype, device=self.torch_device)

    def zeros(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        """Allocate zeros."""
        import torch

        return torch.zeros(size, dtype=dtype, device=self.torch_device)

    def full(self, size: int, value: float | bool) -> torch.Tensor:
        """Allocate with one value: bool[size], int32[size] or float32[size] by its type."""
        import torch

        dtype = {bool: torch.bool, int: torch.int32}.get(type(value), torch.float32)
        return torch.full((size,), value, dtype=dtype, device=self.torch_device)

    def put(self, array: NDArray[Any]) -> torch.Tensor:
        """Copy an array here; unsigned integers become the signed ones of the same bits."""
        import torch

        if array.dtype.kind == "u" and array.dtype.itemsize > 1:
            array = array.view(f"i{array.dtype.itemsize}")
        here = self.torch_device.type == "cpu"  # where torch would keep the memory of the array
        array = np.array(array) if here else np.require(array, requirements=("C", "W"))
        return torch.from_numpy(array).to(self.torch_device)

    def __repr__(self) -> str:
        return f"Device({self.torch_device})"


def _argument(value: object) -> object:
    if value is None:
        return 0
    return value.data_ptr() if is_tensor(value) else value


_devices: dict[torch.device, Device] = {}


def as_device(device: str | torch.device | Device) -> Device:
    """Find a CUDA device: "cuda", "cuda:1", a torch.device, or a `Device`.

    Raises
    ------
    CudaUnavailable
        When the CUDA module, a driver or a device is missing.
    ValueError
        For another kind of device, and a number that is not there.
    """
    if isinstance(device, Device):
        return device
    kernels = None
    if str(device).startswith("cuda"):
        kernels = available.require()
    try:
        import torch
    except ImportError as error:
        raise available.CudaUnavailable(f"a table on a GPU needs torch: {error}") from error

    found = torch.device(device)
    if found in _devices:
        return _devices[found]
    if kernels is None:
        raise ValueError(f'device must be "cpu", "cuda" or "cuda:<number>", got {device!r}')
    if not torch.cuda.is_available():
        raise available.CudaUnavailable(
            f"torch {torch.__version__} finds no CUDA device: a table on a GPU needs a torch with "
            "CUDA"
        )
    if found.index is None:
        found = torch.device("cuda", torch.cuda.current_device())
    if found.index >= torch.cuda.device_count():
        raise ValueError(
            f"device must be one of cuda:0 to cuda:{torch.cuda.device_count() - 1}, got {device!r}"
        )
    return _devices.setdefault(found, Device(found, kernels))


def device_of(tensor: torch.Tensor) -> Device:
    """Find the device of a tensor, as `as_device` does."""
    return _devices.get(tensor.device) or as_device(tensor.device)
