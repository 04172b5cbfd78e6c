"""Small samplers, and what training does with them."""

from __future__ import annotations

import itertools

import numpy as np

import dynsample as ds

N, B = 40, 8


def make(policy: ds.Policy | None = None, **options: object) -> ds.Sampler:
    return ds.Sampler(N, policy or ds.Uniform(), **{"batch_size": B, "seed": 3, **options})


def kakurenbo(**options: object) -> ds.Sampler:
    return make(ds.Kakurenbo(fraction=0.5, tau=0.0), **options)


def observe(sampler: ds.Sampler, index: np.ndarray) -> None:
    ones = np.ones(len(index), np.float32)
    loss = (index * 7 % 11).astype(np.float32)
    sampler.observe(index, loss=loss, correct=ones, confidence=ones)


def take(batches: object, count: int | None = None) -> np.ndarray:
    taken = itertools.islice(iter(batches), count)  # type: ignore[call-overload]
    return np.concatenate([np.empty(0, np.int64), *taken])


def train(sampler: ds.Sampler, epoch: int | None = None) -> np.ndarray:
    if epoch is not None:
        sampler.set_epoch(epoch)
    received = []
    for batches in (sampler, sampler.hidden):
        for index in batches:
            observe(sampler, index)
            received.append(index)
    return np.concatenate(received)
