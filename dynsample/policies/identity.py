"""What tells a value from another one in a later process: JSON-able, and equal for equals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from dynsample.kernels.convert import fingerprint, is_tensor, plain


def identity(value: object, name: str, epoch: int) -> object:
    """Return the identity of a policy's field; of a callable that of its value at the epoch.

    Raises
    ------
    TypeError
        Naming the field, when nothing is known of `value` that outlives the process.
    """
    value = plain(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if is_tensor(value):
        return fingerprint(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return fingerprint(value)
    if isinstance(value, (list, tuple)):
        return [identity(part, f"{name}[{j}]", epoch) for j, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: identity(part, f"{name}[{key!r}]", epoch) for key, part in value.items()}
    if callable(value):
        return {"at_epoch": epoch, "value": identity(_at(value, name, epoch), name, epoch)}
    raise TypeError(
        f"{name} must be a number, a string, None, an array, a callable of the epoch, or a "
        f"sequence or mapping of these, got {type(value).__name__}"
    )


def _at(value: Callable[[int], object], name: str, epoch: int) -> object:
    try:
        return value(epoch)
    except Exception as error:
        raise TypeError(
            f"{name} must be callable with an epoch, and {name}({epoch}) raised "
            f"{type(error).__name__}: {error}; a policy whose callables take something else gives "
            "a fingerprint of its own"
        ) from error
