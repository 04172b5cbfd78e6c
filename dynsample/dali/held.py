"""Samples that the native operator holds, so that there is one copy for it and for Python."""

from __future__ import annotations

import ctypes
import os
import weakref
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample.files import Samples


@dataclass(frozen=True, eq=False)
class Held(Samples):
    """Samples whose arrays are in the memory of the operator, as long as one of them lives.

    Attributes
    ----------
    handle : int
        What a pipeline names them by.
    """

    handle: int = -1


def hold(native: ctypes.CDLL, samples: Samples) -> Held:
    """Give `samples` to the operator, which copies them; what was given can go.

    Operators share the copy, as they may outlive whatever Python has of it.
    """
    pack = samples.pack
    kept = (ctypes.c_void_p * 4)()
    handle: int = native.dynsample_add_table(
        samples.paths.ctypes.data,
        samples.starts.ctypes.data,
        samples.labels.ctypes.data,
        len(samples),
        None if pack is None else os.fsencode(pack.path),
        0 if pack is None else pack.begin,
        None if pack is None else pack.offsets.ctypes.data,
        kept,
    )
    if handle < 0:
        where = "the files" if pack is None else pack.path
        raise OSError(f"cannot map {where} into memory, or its samples are not one after the other")
    weakref.finalize(kept, native.dynsample_remove_table, handle)
    paths = _view(kept, 0, samples.paths)
    starts, labels = _view(kept, 1, samples.starts), _view(kept, 2, samples.labels)
    if pack is not None:
        pack = replace(pack, offsets=_view(kept, 3, pack.offsets))
    return Held(paths, starts, labels, pack, handle)


def _view(kept: Any, place: int, array: NDArray[Any]) -> NDArray[Any]:
    """See the copy of an array; the view keeps `kept`, with which the memory would go."""
    if not array.nbytes:
        return array
    memory: Any = (ctypes.c_char * array.nbytes).from_address(kept[place])
    memory.kept = kept
    view: NDArray[Any] = np.frombuffer(memory, array.dtype)
    view.flags.writeable = False
    return view
