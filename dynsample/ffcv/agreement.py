"""What FFCV's arguments and attributes say, beside what the sampler has decided."""

from __future__ import annotations

from typing import Any

import numpy as np
from ffcv.loader import OrderOption
from ffcv.reader import Reader

from dynsample.ffcv.orders import plan_order
from dynsample.loading import checked_sampler
from dynsample.plan.orders import as_order
from dynsample.sampler import Sampler

# What a loader that follows a sampler has no say in, and where to say it.
DECIDED = {
    "indices": "make Sampler(subset=...), or Loader(indices=..., policy=...)",
    "traversal_order": "make Sampler(order=...); sampler.plan.order is that of the epoch",
    "first_traversal_order": "sampler.plan.order is that of the epoch",
    "order": "make Sampler(order=...)",
    "batch_size": "make Sampler(batch_size=...); hidden() and all() take a batch_size of their own",
    "drop_last": "make Sampler(drop_last=...)",
    "seed": "make Sampler(seed=...)",
    "distributed": "make Sampler(group=...)",
    "next_epoch": "call loader.set_epoch(epoch); loader.sampler.epoch is the current one",
    **dict.fromkeys(
        ("fname", "os_cache", "pipelines", "custom_fields", "policy"),
        "make another Loader",
    ),
}
STALE = ("traversal_order", "first_traversal_order", "next_epoch")  # FFCV's, not the sampler's


def is_planned(sampler: object, policy: object, extras: object, payload: object) -> bool:
    """Whether a loader with these arguments follows a sampler."""
    if sampler is not None and policy is not None:
        raise TypeError("give sampler or policy, not both: a sampler has its policy")
    if sampler is not None:
        checked_sampler(sampler)
    planned = sampler is not None or policy is not None
    if extras and not planned:
        raise TypeError("extras are rows by index: they need sampler or policy")
    if payload is not None and not planned:
        raise TypeError("payload is rows by index: it needs sampler or policy")
    return planned


def check_agreement(
    sampler: Sampler, indices: Any, distributed: bool | None, **given: int | None
) -> None:
    """Raise when an argument says something else than the sampler, or others hand its plan out."""
    sampler.run.check_deals()
    for name, value in given.items():
        if value is not None and value != getattr(sampler, name):
            raise ValueError(
                f"{name} is {value} and the sampler's is {getattr(sampler, name)}: give it to "
                "Sampler, not here"
            )
    if indices is not None and (
        sampler.subset is None or not np.array_equal(np.sort(np.asarray(indices)), sampler.subset)
    ):
        raise ValueError("indices differ from the sampler's: give Sampler(subset=indices)")
    check_distributed(sampler, distributed)


def check_distributed(sampler: Sampler, distributed: bool | None) -> None:
    """Raise when `distributed` says something else than the sampler's group."""
    size = sampler.group.size
    if distributed is not None and bool(distributed) != (size > 1):
        ranks = "one process" if size == 1 else f"{size} ranks"
        raise ValueError(
            f"distributed is {distributed} and the sampler plans for {ranks}: leave it out, which "
            "follows the sampler's group"
        )


def check_file(sampler: Sampler, reader: Reader, order: object) -> None:
    """Raise when the sampler is not for this file, or has not the order that was asked for."""
    if sampler.num_samples != reader.num_samples:
        raise ValueError(
            f"{reader.file_name} has {reader.num_samples} samples, the sampler was made for "
            f"{sampler.num_samples}"
        )
    if order is None:
        return
    wanted = as_order(plan_order(order, reader, sampler.batch_size)).fingerprint()
    found = sampler.run.config.order_fingerprint
    if {**wanted, "window": None} != {**found, "window": None}:  # any window reads pages once
        paged = order == OrderOption.QUASI_RANDOM
        hint = "dynsample.ffcv.page_local(fname, batch_size)" if paged else repr(wanted["name"])
        raise ValueError(
            f"order asks for {wanted['name']}, the sampler has {found['name']}: leave order out, "
            f"or make Sampler(order={hint})"
        )
