"""Samplers of plans that others hand out, and what training does with them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import dynsample as ds
from dynsample.run import handout

N = 40


def make(policy: ds.Policy | None = None, **options: object) -> ds.Sampler:
    given = {"seed": 3, "issue": "external", **options}
    return ds.Sampler(N, policy or ds.Kakurenbo(fraction=0.5, tau=0.0), **given)  # type: ignore[arg-type]


def observe(sampler: ds.Sampler, ids: list[int] | np.ndarray, loss: float | None = None) -> None:
    index = np.asarray(ids, np.int64)
    ones = np.ones(len(index), np.float32)
    losses = (index * 7 % 11).astype(np.float32) if loss is None else ones * loss
    sampler.observe(index, loss=losses, correct=ones, confidence=ones)


def ids_of(sampler: ds.Sampler, hidden: bool = False) -> Iterator[int]:
    return handout.iterate(sampler.run, hidden=hidden, start=0)


def ids_again(sampler: ds.Sampler) -> Iterator[int]:
    sampler.set_epoch(sampler.epoch)
    return ids_of(sampler)
