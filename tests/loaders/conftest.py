"""What tests of more than one file here need of a framework."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def lightning() -> Iterator[Any]:
    """Give Lightning, without its advice, and leave nothing of it behind."""
    module = pytest.importorskip("lightning", reason="Lightning is not installed")
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # advice on workers, loggers and the like
        environment = dict(os.environ)  # to which it adds
        yield module
    os.environ.clear()
    os.environ.update(environment)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
