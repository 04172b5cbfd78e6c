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
from dynsample.ffcv.agreement import (
    DECIDED,
    STALE,
    check_agreement,
    check_distributed,
    check_file,
    is_planned,
)
from dynsample.ffcv.orders import page_local, plan_order
from dynsample.ffcv.stream import Stream
from dynsample.ffcv.tables import as_store, as_tables, rows
from dynsample.kernels.convert import fingerprint as fingerprint_of
from dynsample.loading import Following, Loops, checked_sampler
from dynsample.policies.base import Policy
from dynsample.run.state import bring
from dynsample.run.views import PassIterator
from dynsample.sampler import Sampler

__all__ = ["Loader", "OrderOption", "page_local"]


class Loader(Following, FFCVLoader):
    """FFCV's Loader in the order of a `Sampler`: (image, label, ..., index).

    Takes FFCV's arguments. With neither `sampler` nor `policy` it is FFCV's loader, of the same
    order, length and outputs, but for iterators that may be left, dropped or fail at any time. With
    one of them, what the sampler decides cannot be set on the loader; the error says where it is.

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
        planned = is_planned(sampler, policy, extras, payload)
        if sampler is not None:
            check_agreement(
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
                order=plan_order(order or OrderOption.SEQUENTIAL, self.reader, batch_size),
                subset=indices,
                group=groups.single() if distributed is False else "auto",
            )
            check_distributed(self.sampler, distributed)
        elif sampler is not None:
            check_file(sampler, self.reader, order)
        if self.sampler is not None:
            bring(self.sampler.run, partial(_fingerprint, self.reader))
            for name in STALE:
                del self.__dict__[name]
        self.extras = as_tables(extras or {}, int(self.reader.num_samples))
        self.payload = as_store(payload, int(self.reader.num_samples))

    def __setattr__(self, name: str, value: object) -> None:
        if self.__dict__.get("sampler") is not None:
            if name in DECIDED:
                raise AttributeError(
                    f"{name} cannot be set, as the loader follows a sampler: {DECIDED[name]}"
                )
            if name == "sampler":
                self._follow(value)
        super().__setattr__(name, value)

    def _follow(self, given: object) -> None:
        """Take what another sampler has decided, when it is for the same file and batch size."""
        sampler = checked_sampler(given)
        check_agreement(sampler, None, None, batch_size=self.batch_size)
        check_file(sampler, self.reader, None)
        bring(sampler.run, partial(_fingerprint, self.reader))
        everything = np.arange(sampler.num_samples, dtype="uint64")
        indices = everything if sampler.subset is None else sampler.subset
        self.__dict__.update(seed=sampler.seed, drop_last=sampler.drop_last, indices=indices)

    def __getattr__(self, name: str) -> Any:
        if name in STALE:
            raise AttributeError(f"no {name}, as the loader follows a sampler: {DECIDED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

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

    def _loop(self, source: Any) -> PassIterator[Any]:
        return PassIterator(self._loops.run(source, self._begin), source)

    def _begin(self, source: Any) -> Any:
        ids = source.batches(prefetching=True)
        drawn: deque[NDArray[np.int64]] = deque()
        self._prepare()
        view = copy.copy(self)  # what FFCV's iterator reads, at the batch size of this pass
        view.__dict__.update(batch_size=source.batch_size, traversal_order=None)
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


def _fingerprint(reader: Reader) -> str:
    """Identity of a file: its table of samples."""
    return fingerprint_of(np.ascontiguousarray(reader.metadata).view(np.uint8).reshape(-1))
