"""Selection and weights within one batch: Selective Backprop, hard examples, `gram_weights`.

These decide after a forward pass which rows to train on, or how much. What they remember is of one
process, in their `state_dict`, and not in the table. numpy arrays, torch tensors on any device
and arrays with DLPack are taken; on a GPU nothing waits for the device.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypedDict, overload

import numpy as np
from numpy.typing import NDArray

from dynsample import _core, ops
from dynsample._core import Stream
from dynsample.batch.gram import FORMS, GramWeights, gram, gram_weights
from dynsample.kernels import A, Array, Given, TensorT
from dynsample.kernels.checks import MAX_SAMPLES, integer, real
from dynsample.kernels.convert import admitted, beside, is_real, is_tensor, like
from dynsample.kernels.namespace import equal, float32, namespace_of, subtract

if TYPE_CHECKING:
    import torch

__all__ = [
    "FORMS",
    "GramWeights",
    "LossHistory",
    "gram",
    "gram_weights",
    "hardest",
    "selective_backprop",
]

STATE_VERSION = 1


class State(TypedDict):
    """What a `LossHistory` remembers."""

    version: int
    step: int
    window: list[float]


def _losses(losses: object, name: str = "losses") -> Array:
    """Check float[B] or [B, 1]; float32 as a numpy array, or as a tensor on a GPU."""
    values: Array
    known = admitted(losses, name)
    if is_tensor(known):
        given = known.detach().float()
        values = given if given.is_cuda else given.numpy()
    elif isinstance(known, np.ndarray) and is_real(known) and known.dtype.kind in "fV":
        with np.errstate(over="ignore"):
            values = known.astype(np.float32)
    else:
        found = getattr(losses, "dtype", type(losses).__name__)
        raise TypeError(f"{name} must be a floating-point numpy array or tensor, got {found}")
    if values.ndim == 0:
        raise ValueError(f'{name} must have one value per sample, got one: reduction="none" lacks')
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"{name} must have shape [B] or [B, 1], got {tuple(values.shape)}")
    return values


def _uniform(count: int, seed: int, step: int) -> NDArray[np.float32]:
    """Uniform numbers of [0, 1) with 24 bits, float32[count]: a function of (seed, step) alone."""
    words = _core.philox(seed, 0, -(-count // 4), step, Stream.BATCH_SELECTION)[:count]
    uniform: NDArray[np.float32] = (words >> 8).astype(np.float32) * np.float32(2**-24)
    return uniform


def _there(tensor: torch.Tensor, values: NDArray[Any]) -> torch.Tensor:
    """Send values to where a tensor is, without waiting."""
    import torch

    return torch.from_numpy(values).to(tensor.device, non_blocking=True)


def _like(array: Array, values: NDArray[Any]) -> Array:
    return _there(array, values) if is_tensor(array) else values


def _power(values: Array, exponent: float) -> Array:
    return values**exponent if is_tensor(values) else ops.power(values, exponent)


class LossHistory:
    """Selective Backprop by a window of recent losses (the original form).

    Parameters
    ----------
    beta : float above 0
        A row trains with probability (share of the window strictly below its loss) ** beta.
    pmin : float in [0, 1]
        Least probability of a row.
    size : int
        Losses in the window, first in, first out; the batch itself enters first.
    seed : int in [0, 2**64)
        Each rank should have its own.

    Notes
    -----
    The row of the highest loss always trains, so that no rank is left without a backward pass, and
    so do rows of NaN or infinite loss, which count for nothing in the window.

    References
    ----------
    Jiang et al., "Accelerating Deep Learning by Focusing on the Biggest Losers", 2019, equation 1.

    Examples
    --------
    >>> history = ds.batch.LossHistory(beta=2.0, size=8)
    >>> history.select(np.array([0.1, 0.2, 0.3, 4.0], np.float32))
    array([False, False, False,  True])
    """

    def __init__(
        self, beta: float = 1.0, pmin: float = 0.0, size: int = 1024, *, seed: int = 0
    ) -> None:
        self.beta = real(beta, "beta", "(0, inf)")
        self.pmin = real(pmin, "pmin", "[0, 1]")
        self.size = integer(size, "size", 1, MAX_SAMPLES)
        self.seed = integer(seed, "seed", 0, 2**64 - 1)
        self.step = 0
        self._window: Array = np.empty(0, np.float32)

    @overload
    def select(self, losses: TensorT) -> TensorT: ...

    @overload
    def select(self, losses: Given) -> NDArray[np.bool_]: ...

    def select(self, losses: A) -> A:  # type: ignore[misc]
        """Take one batch's losses, float[B]; mark the rows to train on, bool[B]."""
        return like(self._select(_losses(losses)), losses)

    def _select(self, values: Array) -> Array:
        xp = namespace_of(values)
        finite = xp.isfinite(values)
        self._push(xp.where(finite, values, xp.full_like(values, np.nan)))
        known = self._window
        known = known.sort()[0] if is_tensor(known) else np.sort(known)
        below = xp.searchsorted(known, values)
        share = below / xp.isfinite(known).sum().clip(1)
        probability = _power(float32(share), self.beta).clip(self.pmin)
        uniform = _like(values, _uniform(len(values), self.seed, self.step))
        kept = (uniform < probability) | ~finite
        if len(values):
            kept[values.argmax()] = True
        self.step += 1
        return kept

    def _push(self, values: Array) -> None:
        window = self._window
        if is_tensor(values) and not is_tensor(window):
            window = _there(values, window)
        elif is_tensor(window) and not is_tensor(values):
            window = window.cpu().numpy()
        self._window = namespace_of(values).concatenate([window, values])[-self.size :]

    def state_dict(self) -> State:
        """Return window and step, JSON-able but for NaN."""
        window = self._window.cpu().numpy() if is_tensor(self._window) else self._window
        return {"version": STATE_VERSION, "step": self.step, "window": window.tolist()}

    def load_state_dict(self, state: State) -> None:
        """Restore what `state_dict` gave."""
        if state.get("version") != STATE_VERSION:
            raise ValueError(f"state must have version {STATE_VERSION}, got {state.get('version')}")
        step = integer(state["step"], "step", 0, MAX_SAMPLES)
        window = np.asarray(state["window"], np.float32)
        if window.ndim != 1 or len(window) > self.size:
            raise ValueError(f"window must have at most {self.size} losses, got {window.shape}")
        self.step, self._window = step, window


@overload
def selective_backprop(losses: TensorT, keep: float = ..., *, seed: int, step: int) -> TensorT: ...


@overload
def selective_backprop(
    losses: Given, keep: float = ..., *, seed: int, step: int
) -> NDArray[np.bool_]: ...


def selective_backprop(  # type: ignore[misc]
    losses: A, keep: float = 0.5, *, seed: int, step: int
) -> A:
    """Mark which rows of a batch to train on, by the rank of their loss.

    Parameters
    ----------
    losses : float[B] or [B, 1]
        numpy or torch; NaN ranks highest, ties by position.
    keep : float in (0, 1]
        max(1, int(keep * B)) rows are drawn without replacement, the row of rank i (ascending) with
        probability in proportion to ((i + 1/2) / B) ** (1 / keep - 1).
    seed : int in [0, 2**64)
        Each rank should have its own.
    step : int in [0, 2**32)
        The same (seed, step) gives the same rows.

    Returns
    -------
    bool[B]

    References
    ----------
    Selective Backprop in MosaicML Composer; after Jiang et al., "Accelerating Deep Learning by
    Focusing on the Biggest Losers", 2019.

    Examples
    --------
    >>> losses = np.array([0.1, 0.5, 0.2, 4.0], np.float32)
    >>> int(ds.batch.selective_backprop(losses, keep=0.5, seed=0, step=0).sum())
    2
    """
    keep = real(keep, "keep", "(0, 1]")
    seed, step = integer(seed, "seed", 0, 2**64 - 1), integer(step, "step", 0, MAX_SAMPLES)
    values = _losses(losses)
    count = len(values)
    rank_weight = ((np.arange(count) + 0.5) / max(count, 1)).astype(np.float32)
    rank_weight = ops.power(rank_weight, 1 / keep - 1)
    if not is_tensor(values):
        weight = np.empty_like(rank_weight)
        weight[np.argsort(values, kind="stable")] = rank_weight
        low, high = _core.philox(seed, 0, 1, step, Stream.BATCH_SELECTION)[:2].tolist()
        k = min(count, max(1, int(keep * count)))
        return like(ops.draw_mask(weight, k, seed=low | high << 32, epoch=0), losses)
    import torch

    weight_there = torch.empty_like(values)
    weight_there[torch.argsort(values, stable=True)] = _there(values, rank_weight)
    race = -torch.log(_there(values, _uniform(count, seed, step))) / weight_there
    kept = torch.zeros(count, dtype=torch.bool, device=values.device)
    kept[torch.topk(race, min(count, max(1, int(keep * count))), largest=False).indices] = True
    return like(kept, losses)


@overload
def hardest(losses: TensorT, k: int, reference: TensorT | None = ...) -> TensorT: ...


@overload
def hardest(losses: Given, k: int, reference: Given | None = ...) -> NDArray[np.int64]: ...


def hardest(losses: A, k: int, reference: A | None = None) -> A:  # type: ignore[misc]
    """Find the k rows of a batch of highest loss, or of highest loss above that of a reference.

    Parameters
    ----------
    losses : float[B] or [B, 1]
        numpy or torch; NaN ranks highest, ties go to the lower place.
    k : int
        Rows to find; of a smaller batch all are.
    reference : float[B] or [B, 1], optional
        Losses of a reference model, to subtract in float32 (RHO-LOSS); without them the rows are
        those of online hard example mining. They lie where `losses` do.

    Returns
    -------
    int64[min(k, B)]
        Places in the batch, the highest first.

    References
    ----------
    Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not
    Yet Learnt", ICML 2022, equation 3; Shrivastava et al., "Training Region-based Object Detectors
    with Online Hard Example Mining", CVPR 2016.

    Examples
    --------
    >>> hardest(np.array([0.5, 2.0, np.nan, 2.0]), 3)
    array([2, 1, 3])
    """
    k, values = integer(k, "k", 0, MAX_SAMPLES), _losses(losses)
    if reference is not None:
        other = beside(_losses(reference, "reference"), "reference", np.float32, values, "losses")
        values = subtract(values, other)
    return like(_from_the_highest(values)[:k], losses)


def _from_the_highest(values: Array) -> Array:
    """Sort the places of float32[B] by integers, whose order is the same on every device."""
    xp = namespace_of(values)
    bits = values.view(sys.modules["torch"].int32) if is_tensor(values) else values.view(np.int32)
    keys = xp.where(bits < 0, -(bits & 0x7FFFFFFF), bits)  # -0 equals +0
    keys = ~xp.where(equal(values, values), keys, xp.full_like(keys, 0x7FFFFFFF))
    if is_tensor(keys):
        return keys.argsort(stable=True)
    return np.argsort(keys, kind="stable")
