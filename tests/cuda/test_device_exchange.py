"""Tensors between ranks, in a group of one: by NCCL on a GPU, through the host elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynsample import groups
from dynsample.groups.tensors import gather_tensors, send_tensors
from dynsample.kernels.cuda import Device

torch = pytest.importorskip("torch")
dist = pytest.importorskip("torch.distributed")


@pytest.fixture
def alone(device: Device) -> Iterator[groups.Group]:
    """The group of one rank, which has NCCL where there is a GPU."""
    on_gpu = device.torch_device.type == "cuda"
    if on_gpu and not dist.is_nccl_available():
        pytest.skip("torch was built without NCCL")
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    group = groups.torch()
    assert (group.device_group is not None) == on_gpu
    yield group
    dist.destroy_process_group()


@pytest.mark.parametrize("size", [0, 1, 100_003])
@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_a_rank_alone_gets_what_it_sends(
    device: Device, alone: groups.Group, dtype: torch.dtype, size: int
) -> None:
    values = torch.arange(size, device=device.torch_device).to(dtype) - 7
    for came in (
        send_tensors(alone, values, [size], "a test"),
        gather_tensors(alone, values, "a test"),
    ):
        assert came.dtype == dtype
        assert came.device == values.device
        assert came.data_ptr() != values.data_ptr() or not size
        assert torch.equal(came, values)
