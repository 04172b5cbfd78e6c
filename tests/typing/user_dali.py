"""A program of a user of DALI, for Pyright in strict mode; see `user.py`."""

from __future__ import annotations

import torch
from typing_extensions import assert_type

import dynsample as ds
from dynsample import dali


def train(sampler: ds.Sampler, pipeline: object) -> None:
    """Iterate a pipeline with the reader of `dynsample.dali`."""
    loader = dali.DALIClassificationIterator(pipeline, sampler=sampler)
    for epoch in range(3):
        loader.set_epoch(epoch)
        for batch in loader:
            assert_type(batch, list[dict[str, torch.Tensor]])
            assert_type(sampler.weights(batch[0]["index"]), torch.Tensor)
    assert_type(len(loader), int)
