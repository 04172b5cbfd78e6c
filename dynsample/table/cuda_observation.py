"""One observation on its way to a kernel: checked tensors, and the numbers that a call takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import torch
from numpy.typing import NDArray

from dynsample.kernels.convert import check_ids, is_foreign
from dynsample.kernels.cuda.device import Device
from dynsample.table.log import _index, _signal

# The kernels' number of every type; see Type in cuda/number.h.
TYPES = {
    torch.float32: 0,
    torch.float64: 1,
    torch.float16: 2,
    torch.bfloat16: 3,
    torch.int8: 4,
    torch.int16: 5,
    torch.int32: 6,
    torch.int64: 7,
    torch.uint8: 8,
    torch.bool: 8,
}
INDEX_TYPES = {dtype: TYPES[dtype] for dtype in (torch.int64, torch.int32)}
LOGIT_TYPES = {dtype: TYPES[dtype] for dtype in (torch.float32, torch.float16, torch.bfloat16)}

Numbers = tuple[int, int, int]  # address, type, stride
ABSENT: Numbers = (0, 0, 0)
_PLAIN = (torch.Tensor, torch.nn.Parameter)


def in_place(
    value: object, device: torch.device, types: Mapping[torch.dtype, int]
) -> tuple[int, Numbers] | None:
    """Return B and the numbers of a tensor that a kernel takes as it is, [B] or [B, 1], or None."""
    if not isinstance(value, torch.Tensor) or type(value) not in _PLAIN:
        return None
    code = types.get(value.dtype)
    if code is None or value.device != device or value.is_neg():
        return None
    dims = value.dim()
    if dims != 1 and not (dims == 2 and value.shape[1] == 1):
        return None
    return value.shape[0], (value.data_ptr(), code, value.stride(0))


def described(tensor: torch.Tensor) -> Numbers:
    """Describe a tensor that was checked."""
    return tensor.data_ptr(), TYPES[tensor.dtype], tensor.stride(0) if tensor.dim() else 1


def from_elsewhere(value: object) -> object:
    """Take an array of another library by DLPack; numpy and torch are left as they are."""
    return torch.utils.dlpack.from_dlpack(value) if is_foreign(value) else value


def on_device(value: object, name: str, device: torch.device) -> TypeGuard[torch.Tensor]:
    """Whether a value is there already; what is on a third device is an error."""
    if not isinstance(value, torch.Tensor):
        return False
    if value.device == device:
        return True
    if value.device.type != "cpu":
        raise ValueError(f"{name} must be on {device} or the CPU, got a tensor on {value.device}")
    return False


def read_index(value: object, device: torch.device) -> torch.Tensor | NDArray[Any]:
    """Check ids: a tensor of `device` as the kernels take it, or an array to be copied there."""
    value = from_elsewhere(value)
    if not on_device(value, "index", device):
        return _index(value)
    if value.dtype not in INDEX_TYPES or value.dim() != 1:
        check_ids(value)
    value = plain(value)
    return value if value.dtype in INDEX_TYPES else value.long()


def read_signal(value: object, name: str, device: torch.device) -> torch.Tensor | NDArray[Any]:
    """Check values of a signal, as `read_index` does ids."""
    value = from_elsewhere(value)
    if not on_device(value, name, device):
        return _signal(value, name)
    if value.is_complex():
        raise TypeError(f"{name} must have a real dtype, got {value.dtype}")
    if value.dim() == 0:
        raise ValueError(
            f"{name} must have one value per sample, got a single number: "
            f'the loss function lacks reduction="none"'
        )
    if value.dim() != 1 and not (value.dim() == 2 and value.shape[1] == 1):
        raise ValueError(f"{name} must have shape [B] or [B, 1], got {tuple(value.shape)}")
    value = plain(value)
    return value if value.dtype in TYPES else value.float()


def plain(tensor: torch.Tensor) -> torch.Tensor:
    """Take the values alone: no gradient, no subclass, no negation that was put off."""
    tensor = tensor.detach().resolve_neg()
    return tensor if type(tensor) in _PLAIN else tensor.as_subclass(torch.Tensor)


def write_log(
    device: Device, header: torch.Tensor, ids: torch.Tensor, values: Sequence[torch.Tensor | None]
) -> None:
    """Append one batch; None for values that `write_signals` has put there."""
    numbers: tuple[int, ...] = described(ids)
    for value in values:
        numbers += ABSENT if value is None else described(value)
    device.call(device.kernels.append_log, header, ids.shape[0], numbers)


def write_signals(
    device: Device,
    header: torch.Tensor,
    logits: torch.Tensor,
    targets: torch.Tensor,
    slots: Sequence[int],
) -> None:
    """Compute signals to where the next `write_log` of as many observations will append."""
    count, classes = logits.shape
    if classes > 1 and logits.stride(1) != 1:  # here, as a compiler may change it on the way
        logits = logits.contiguous()
    output = (*described(logits), *described(targets))
    device.call(device.kernels.append_signals, header, count, classes, output, tuple(slots))
