"""FFCV's orders as those of a plan."""

from __future__ import annotations

import numpy as np
from ffcv.loader import OrderOption
from ffcv.reader import Reader

from dynsample.plan.orders import OrderName, PageLocal

_ORDERS: dict[object, OrderName] = {
    OrderOption.SEQUENTIAL: "sequential",
    OrderOption.RANDOM: "random",
}


def page_local(fname: str | Reader, batch_size: int) -> PageLocal:
    """Order that reads each page of a file once: QUASI_RANDOM, as `Sampler(order=...)` takes it.

    Shuffles windows of 2 * `batch_size` pages, as many as FFCV keeps in memory. It is part of the
    plan, so that it also holds under many ranks: each reads every page, and keeps a window of them.
    The window is too, so that a run that will go on with another batch size, as on another number
    of ranks does, keeps the `batch_size` given here.
    """
    reader = fname if isinstance(fname, Reader) else Reader(fname)
    allocated = reader.alloc_table
    if not len(allocated):
        raise ValueError(
            f"{reader.file_name} keeps no data in pages: QUASI_RANDOM has no use, choose RANDOM"
        )
    pages = (allocated["ptr"] // reader.page_size).astype(np.int64)
    page_of = np.full(int(reader.num_samples), pages.min())
    page_of[allocated["sample_id"].astype(np.int64)[::-1]] = pages[::-1]  # the first one stays
    return PageLocal(page_of - pages.min(), window=2 * batch_size)


def plan_order(order: object, reader: Reader, batch_size: int) -> OrderName | PageLocal:
    """Return an `OrderOption` as `Sampler(order=...)` takes it."""
    if order == OrderOption.QUASI_RANDOM:
        return page_local(reader, batch_size)
    if order not in _ORDERS:
        raise ValueError(f"order must be an OrderOption with sampler or policy, got {order!r}")
    return _ORDERS[order]
