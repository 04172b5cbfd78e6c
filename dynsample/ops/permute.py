"""The keyed permutation: an order with random access, and its inverse."""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, kernels
from dynsample._core import Stream
from dynsample.kernels import A, Given, TensorT
from dynsample.kernels.arguments import checked_slice, slice_bounds
from dynsample.kernels.checks import MAX_SAMPLES, integer, random_key
from dynsample.kernels.convert import as_ids, like


def permute(
    n: int,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    stop: int | None = None,
    stream: int = Stream.ORDER,
) -> NDArray[np.int64]:
    """Positions [start, stop) of a random permutation of 0 ... n - 1.

    Any slice costs only itself, and slices of one key put together are the whole permutation.

    Parameters
    ----------
    n : int in [0, 2**32 - 1]
    seed : int in [0, 2**64)
    epoch : int in [0, 2**32)
    start, stop : int, 0 <= start <= stop <= n
        `stop` None is n.
    stream : int in [0, 2**32)
        Permutations of different streams are independent of each other. dynsample itself uses those
        of `csrc/core/streams.h`; the last half of the numbers, from 2**31 on, is yours.

    Returns
    -------
    int64[stop - start]

    Notes
    -----
    A Feistel network of 6 rounds with cycle walking (Black and Rogaway, "Ciphers with arbitrary
    finite domains", CT-RSA 2002), keyed by Philox4x32-10. The same on every machine.

    Examples
    --------
    >>> import dynsample as ds
    >>> sorted(ds.ops.permute(5, seed=0, epoch=0).tolist())
    [0, 1, 2, 3, 4]
    """
    n = integer(n, "n", 0, MAX_SAMPLES)
    seed, epoch, stream = random_key(seed, epoch, stream)
    start, stop = slice_bounds(n, start, stop)
    return _core.permute(n, seed, epoch, stream, start, stop)


@overload
def order_slice(
    ids: TensorT,
    *,
    seed: int,
    epoch: int,
    start: int = ...,
    stop: int | None = ...,
    stream: int = ...,
) -> TensorT: ...


@overload
def order_slice(
    ids: Given,
    *,
    seed: int,
    epoch: int,
    start: int = ...,
    stop: int | None = ...,
    stream: int = ...,
) -> NDArray[np.int64]: ...


def order_slice(  # type: ignore[misc]
    ids: A,
    *,
    seed: int,
    epoch: int,
    start: int = 0,
    stop: int | None = None,
    stream: int = Stream.ORDER,
) -> A:
    """`ids[permute(len(ids), ...)]` in one pass.

    Parameters
    ----------
    ids : uint32[M]
    seed, epoch, start, stop, stream
        As in `permute`, with n = M.

    Returns
    -------
    int64[stop - start]

    Examples
    --------
    >>> ids = np.array([10, 20, 30], np.uint32)
    >>> sorted(ds.ops.order_slice(ids, seed=0, epoch=0).tolist())
    [10, 20, 30]
    """
    rows, key = checked_slice(ids, seed, epoch, start, stop, stream)
    return kernels.of(rows).order_slice(rows, **key)


@overload
def unpermute(n: int, values: TensorT, *, seed: int, epoch: int, stream: int = ...) -> TensorT: ...


@overload
def unpermute(
    n: int, values: Given, *, seed: int, epoch: int, stream: int = ...
) -> NDArray[np.int64]: ...


def unpermute(n: int, values: A, *, seed: int, epoch: int, stream: int = Stream.ORDER) -> A:  # type: ignore[misc]
    """Positions at which `permute(n, ...)` has `values`: its inverse.

    Parameters
    ----------
    n : int in [0, 2**32 - 1]
    values : int[M], each in [0, n)
    seed, epoch, stream
        As in `permute`.

    Returns
    -------
    int64[M]

    Raises
    ------
    IndexError
        When a value is not in [0, n).

    Examples
    --------
    >>> order = ds.ops.permute(5, seed=0, epoch=0)
    >>> ds.ops.unpermute(5, order, seed=0, epoch=0)
    array([0, 1, 2, 3, 4])
    """
    n = integer(n, "n", 0, MAX_SAMPLES)
    array = as_ids(values, "values")
    seed, epoch, stream = random_key(seed, epoch, stream)
    return like(_core.unpermute(n, array, seed, epoch, stream), values)
