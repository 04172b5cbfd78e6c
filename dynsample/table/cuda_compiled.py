"""The log's appends as operations that torch.compile takes into its graph.

The header is all that they say to change. Rows and values change too, but they are behind addresses
in the header, as no other operation of a graph can see them: a copy of the header, which is what a
graph may hand over in its place, leads to the same memory, and the log may grow between two calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ParamSpec

import torch

from dynsample.kernels.cuda.device import device_of
from dynsample.table.cuda_observation import write_log, write_signals

P = ParamSpec("P")
SUPPORTED = hasattr(torch.library, "custom_op")  # torch 2.4; before it, appends break the graph


def tracing() -> bool:
    """Whether what is called now is being compiled."""
    return SUPPORTED and torch.compiler.is_compiling()


def _append_log(
    header: torch.Tensor, index: torch.Tensor, values: Sequence[torch.Tensor | None]
) -> None:
    write_log(device_of(header), header, index, values)


def _append_signals(
    header: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor, slots: Sequence[int]
) -> None:
    write_signals(device_of(header), header, logits, targets, slots)


def _define(name: str, schema: str, function: Callable[P, None]) -> Callable[P, None]:
    operation = torch.library.custom_op(
        f"dynsample::{name}",
        function,
        mutates_args=("header",),
        device_types=("cpu", "cuda"),
        schema=schema,
    )
    operation.register_fake(lambda *_: None)
    return operation


if SUPPORTED:
    append_log = _define(
        "append_log", "(Tensor(a!) header, Tensor index, Tensor?[] values) -> ()", _append_log
    )
    append_signals = _define(
        "append_signals",
        "(Tensor(a!) header, Tensor logits, Tensor targets, int[] slots) -> ()",
        _append_signals,
    )
