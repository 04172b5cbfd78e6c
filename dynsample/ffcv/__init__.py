"""The FFCV loader that follows a sampler and returns the index with every batch."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

try:
    from ffcv.loader import Loader as FFCVLoader
    from ffcv.loader import OrderOption
    from ffcv.loader.loader import DEFAULT_OS_CACHE
    from ffcv.pipeline import Compiler
    from ffcv.reader import Reader
except ImportError as error:
    raise ImportError(
        f"dynsample.ffcv needs FFCV, which cannot be imported ({error}): apt-get install "
        'libopencv-dev libturbojpeg0-dev pkg-config, then pip install "dynsample[ffcv]" and '
        "pip install --no-deps --no-binary ffcv ffcv==1.0.2"
    ) from error

from dynsample import groups
from dynsample.ffcv.stream import Stream
from dynsample.ffcv.tables import as_store, as_tables, rows
from dynsample.kernels.convert import fingerprint as fingerprint_of
from dynsample.loading import Following, Loops
from dynsample.plan.orders import PageLocal, as_order
from dynsample.policies.base import Policy
from dynsample.run.state import bring
from dynsample.sampler import Sampler

__all__ = ["Loader", "OrderOption", "page_local"]

_ORDERS = {OrderOption.SEQUENTIAL: "sequential", OrderOption.RANDOM: "random"}


class Loader(Following, FFCVLoader):
    """FFCV's Loader in the order of a `Sampler`: (image, label, ..., index).

    Takes FFCV's arguments. With neither `sampler` nor `policy` it is FFCV's loader, of the same
    order, length and outputs, but for iterators that may be left, dropped or fail at any time.

    Parameters
    ----------
    fname, batch_size, num_workers, os_cache, order, distributed, seed, indices, pipelines, \
custom_fields, drop_last, batches_ahead, recompile
        As in FFCV, of one rank. With `policy` they make the sampler: `seed` is 0 when left out,
        QUASI_RANDOM gives `page_local`, `distributed` is found out when left out, and False is one
        process on its own. With `sampler`, what is left out is the sampler's, and what is given
        must agree with it: `distributed=True` says that the sampler plans for several ranks.
    sampler : Sampler, optional
        Of as many samples as the file has.
    policy : Policy, optional
        Makes a sampler, found as `loader.sampler`.
    extras : mapping of str to array or Tensor of shape [N, ...], optional
        Further outputs: the rows of the batch's samples, in this order before the index. The
        tables are read at every batch, so that changes in place take effect.
    payload : Store, optional
        Adds the teacher's logits before the index. FFCV's decoders take no crop of a sample: a
        store that has crops, flips or mixes is warned of, as they are not replayed.

    Attributes
    ----------
    sampler : Sampler or None
    """

    def __init__(
        self,
        fname: str,
        batch_size: int,
        num_workers: int = -1,
        os_cache: bool = DEFAULT_OS_CACHE,
        order: Any = None,
        distributed: bool | None = None,
        seed: int | None = None,
        indices: Any = None,
        pipelines: Mapping[str, Any] | None = None,
        custom_fields: Mapping[str, Any] | None = None,
        drop_last: bool | None = None,
        batches_ahead: int = 3,
        recompile: bool = False,
        *,
        sampler: Sampler | None = None,
        policy: Policy | None = None,
        extras: Mapping[str, Any] | None = None,
        payload: Any = None,
    ) -> None:
        planned = _is_planned(sampler, policy, extras, payload)
        if sampler is not None:
            _check_agreement(
                sampler,
                indices,
                distributed,
                batch_size=batch_size,
                drop_last=drop_last,
                seed=seed,
            )
            drop_last, seed, indices = sampler.drop_last, sampler.seed, sampler.subset
        super().__init__(
            fname,
            batch_size,
            num_workers=num_workers,
            os_cache=os_cache,
            order=OrderOption.SEQUENTIAL if planned or order is None else order,
            distributed=bool(distributed) and not planned,
            seed=0 if planned and seed is None else seed,
            indices=indices,
            pipelines={} if pipelines is None else pipelines,
            custom_fields={} if custom_fields is None else custom_fields,
            drop_last=drop_last is None or drop_last,
            batches_ahead=batches_ahead,
            recompile=recompile,
        )
        self._loops = Loops()
        self.sampler = sampler
        if policy is not None:
            self.sampler = Sampler(
                int(self.reader.num_samples),
                policy,
                batch_size,
                seed=self.seed,
                drop_last=self.drop_last,
                order=_plan_order(order or OrderOption.SEQUENTIAL, self.reader, batch_size),
                subset=indices,
                group=groups.single() if distributed is False else "auto",
            )
            _check_distributed(self.sampler, distributed)
        elif sampler is not None:
            _check_file(sampler, self.reader, order)
        if self.sampler is not None:
            bring(self.sampler.run, partial(_fingerprint, self.reader))
        self.extras = as_tables(extras or {}, int(self.reader.num_samples))
        self.payload = as_store(payload, int(self.reader.num_samples))

    def __len__(self) -> int:
        """Batches of the epoch."""
        return super().__len__() if self.sampler is None else len(self.sampler)

    def __iter__(self) -> Iterator[Any]:
        if self.sampler is None:
            self._prepare()
            size = self.batch_size
            order = self.next_traversal_order()[: len(self) * size]
            self.next_epoch += 1
            return Stream(self, (order[i : i + size] for i in range(0, len(order), size)))
        return self._loop(self.sampler)

    def filter(self, field_name: str, condition: Any) -> Any:
        """As in FFCV, which makes a new loader; not for one that follows a sampler."""
        if self.sampler is not None:
            raise TypeError(
                "filter makes another loader, without the sampler: filter first, and give "
                "Loader(..., indices=filtered.indices, policy=...)"
            )
        return super().filter(field_name, condition)

    @property
    def follows(self) -> bool:  # type: ignore[override]
        """Whether there is a sampler that it follows."""
        return self.sampler is not None

    def _followed(self, what: str) -> Sampler:
        if self.sampler is None:
            raise TypeError(f"{what} needs a loader made with sampler= or policy=")
        return self.sampler

    def _prepare(self) -> None:
        Compiler.set_num_threads(self.num_workers)
        if self.code is None or self.recompile:
            self.generate_code()

    def _loop(self, source: Any) -> Iterator[Any]:
        return self._loops.run(source, self._begin)

    def _begin(self, source: Any) -> Any:
        ids = source.batches(prefetching=True)
        drawn: deque[NDArray[np.int64]] = deque()
        self._prepare()
        view = copy.copy(self)  # what FFCV's iterator reads, at the batch size of this pass
        view.batch_size = source.batch_size
        stream = Stream(view, _drawing(ids, drawn))
        return ids, self._outputs(drawn, stream), stream.close

    def _outputs(self, drawn: deque[NDArray[np.int64]], stream: Stream) -> Iterator[Any]:
        sampler = self._followed("an epoch")
        for made in stream:
            ids = drawn.popleft()
            fields = [_with_row(field) if len(ids) == 1 else field for field in made]
            index = torch.from_numpy(ids)
            yield (*fields, *rows(self.extras, self.payload, sampler.epoch, index), index)


def _drawing(
    batches: Iterator[NDArray[np.int64]], drawn: deque[NDArray[np.int64]]
) -> Iterator[NDArray[np.uint64]]:
    """Yield batches as FFCV wants them, and note each as drawn."""
    for batch in batches:
        drawn.append(np.asarray(batch))
        yield drawn[-1].view(np.uint64)


def _with_row(field: Any) -> Any:
    """Give a batch of one its batch dimension back, which FFCV's Squeeze takes away as well."""
    squeezed = isinstance(field, torch.Tensor) and field.shape[:1] != (1,)
    return field.unsqueeze(0) if squeezed else field


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


def _fingerprint(reader: Reader) -> str:
    """Identity of a file: its table of samples."""
    return fingerprint_of(np.ascontiguousarray(reader.metadata).view(np.uint8).reshape(-1))


def _plan_order(order: Any, reader: Reader, batch_size: int) -> str | PageLocal:
    if order == OrderOption.QUASI_RANDOM:
        return page_local(reader, batch_size)
    if order not in _ORDERS:
        raise ValueError(f"order must be an OrderOption with sampler or policy, got {order!r}")
    return _ORDERS[order]


def _is_planned(sampler: Any, policy: Any, extras: Any, payload: Any) -> bool:
    if sampler is not None and policy is not None:
        raise TypeError("give sampler or policy, not both: a sampler has its policy")
    if sampler is not None and not isinstance(sampler, Sampler):
        raise TypeError(f"sampler must be a dynsample.Sampler, got {type(sampler).__name__}")
    planned = sampler is not None or policy is not None
    if extras and not planned:
        raise TypeError("extras are rows by index: they need sampler or policy")
    if payload is not None and not planned:
        raise TypeError("payload is rows by index: it needs sampler or policy")
    return planned


def _check_agreement(
    sampler: Sampler, indices: Any, distributed: bool | None, **given: int | None
) -> None:
    """Raise when an argument says something else than the sampler."""
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
    _check_distributed(sampler, distributed)


def _check_distributed(sampler: Sampler, distributed: bool | None) -> None:
    size = sampler.group.size
    if distributed is not None and bool(distributed) != (size > 1):
        ranks = "one process" if size == 1 else f"{size} ranks"
        raise ValueError(
            f"distributed is {distributed} and the sampler plans for {ranks}: leave it out, which "
            "follows the sampler's group"
        )


def _check_file(sampler: Sampler, reader: Reader, order: Any) -> None:
    """Raise when the sampler is not for this file, or has not the order that was asked for."""
    if sampler.num_samples != reader.num_samples:
        raise ValueError(
            f"{reader.file_name} has {reader.num_samples} samples, the sampler was made for "
            f"{sampler.num_samples}"
        )
    if order is None:
        return
    wanted = as_order(_plan_order(order, reader, sampler.batch_size)).fingerprint()
    found = sampler.run.config.order_fingerprint
    if {**wanted, "window": None} != {**found, "window": None}:  # any window reads pages once
        paged = order == OrderOption.QUASI_RANDOM
        hint = "dynsample.ffcv.page_local(fname, batch_size)" if paged else repr(wanted["name"])
        raise ValueError(
            f"order asks for {wanted['name']}, the sampler has {found['name']}: leave order out, "
            f"or make Sampler(order={hint})"
        )
