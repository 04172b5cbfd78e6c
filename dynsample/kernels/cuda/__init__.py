"""Scores on a GPU: the kernels of `dynsample._cuda` on torch tensors.

Unsigned integers of 32 and 64 bits are held in torch.int32 and torch.int64, of the same bits: torch
has no arithmetic on the unsigned ones.
"""

from dynsample.kernels.cuda.device import Device, as_device, device_of

__all__ = ["Device", "as_device", "device_of"]
