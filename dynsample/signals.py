"""Per-sample signals from a model's output: float32, a tensor if that is one, else numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import A, Array, Given, TensorT
from dynsample.kernels.checks import choice
from dynsample.kernels.convert import as_array, as_tensor, host, is_tensor
from dynsample.kernels.namespace import equal, namespace_of

Which: TypeAlias = Literal["max", "target"]
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class _Batch:
    """One batch: checked logits in float32, and what several signals share, computed once.

    Everything is written in operations that numpy and torch both have. On a GPU nothing waits for
    the device: targets out of range, which raise on the CPU, give NaN there.
    """

    def __init__(self, logits: object, targets: object) -> None:
        z, classes = checked_output(logits, targets)
        self.z: Array
        self.targets: Array
        if is_tensor(z) and is_tensor(classes):
            self.z = z.detach().float()
            self.targets = classes.detach().to(z.device).long()
        else:
            with np.errstate(over="ignore"):
                self.z = host(z).astype(np.float32)
            self.targets = host(classes).astype(np.int64)
        self.xp = namespace_of(z)
        self.tensor = is_tensor(z)
        self.classes = self.z.shape[1]
        self.valid = (self.targets >= 0) & (self.targets < self.classes)
        if not self._on_gpu and not bool(self.valid.all()):
            outside = self.targets[~self.valid][0]
            raise IndexError(f"targets must be in [0, {self.classes}), got {int(outside)}")
        self.safe = self.xp.where(self.valid, self.targets, 0)
        self.onehot = equal(self._numbers()[None, :], self.safe[:, None])

    @property
    def _on_gpu(self) -> bool:
        return is_tensor(self.z) and self.z.is_cuda

    def _numbers(self) -> Array:
        """Return the numbers of the classes, int64[C]."""
        if not is_tensor(self.z):
            return np.arange(self.classes)
        import torch

        return torch.arange(self.classes, device=self.z.device)

    def at_target(self, values: Array) -> Array:
        """Pick the target's entry of every row."""
        place = self.safe[:, None]
        if is_tensor(values):
            return values.gather(1, as_tensor(place))[:, 0]
        picked: NDArray[np.float32] = np.take_along_axis(values, host(place), axis=1)[:, 0]
        return picked

    @cached_property
    def highest(self) -> Array:
        return self.xp.amax(self.z, 1)

    @cached_property
    def shifted(self) -> Array:
        """Logits less the row's highest, so that no exponential overflows."""
        return self.z - self.highest[:, None]

    @cached_property
    def total(self) -> Array:
        return self.xp.sum(self.xp.exp(self.shifted), 1)

    @cached_property
    def softmax(self) -> Array:
        return self.xp.exp(self.shifted) / self.total[:, None]

    def loss(self) -> Array:
        return self.xp.log(self.total) - self.at_target(self.shifted)

    def correct(self) -> Array:
        # A NaN in the row is the highest, and then nothing was predicted.
        right = equal(self.xp.argmax(self.z, 1), self.safe) & equal(self.highest, self.highest)
        return self.xp.where(right, self._number(1.0), self._number(0.0))

    def max_confidence(self) -> Array:
        return 1 / self.total  # the highest has exp(0)

    def target_confidence(self) -> Array:
        return self.at_target(self.softmax)

    def margin(self) -> Array:
        if self.classes < 2:
            raise ValueError(f"margin needs logits of at least 2 classes, got {self.classes}")
        others = self.xp.where(self.onehot, self._number(-np.inf), self.z)
        return self.at_target(self.z) - self.xp.amax(others, 1)

    @cached_property
    def error(self) -> Array:
        return self.softmax - self.xp.where(self.onehot, self._number(1.0), self._number(0.0))

    def el2n(self) -> Array:
        return self.xp.sqrt(self.xp.sum(self.error * self.error, 1))

    def l1(self) -> Array:
        return self.xp.sum(self.xp.abs(self.error), 1)

    def max_margin(self) -> Array:
        if self.classes < 2:
            raise ValueError(f"max_margin needs logits of at least 2 classes, got {self.classes}")
        others = self.xp.where(self.onehot, self._number(-np.inf), self.softmax)
        return self.xp.amax(others, 1) - self.target_confidence()

    def sum_margin(self) -> Array:
        p = self.target_confidence()
        others = self.xp.where(self.onehot, self._number(0.0), self.softmax)
        return self.xp.sum(others, 1) - (self.classes - 1) * p

    def _number(self, value: float) -> Array:
        """Make a float32 scalar of the batch's kind."""
        return self.z.new_full((), value) if is_tensor(self.z) else np.array(value, np.float32)

    def finish(self, values: Array) -> Array:
        """Return NaN for targets out of range, and forget the classes."""
        if self._on_gpu:
            return self.xp.where(self.valid, values, self._number(np.nan))
        return values


def checked_output(logits: object, targets: object) -> tuple[Array, Array]:
    """Return logits and targets that signals can be computed from."""
    if logits is None or targets is None:
        lacking, there = ("logits", "targets") if logits is None else ("targets", "logits")
        raise TypeError(f"{there} were given without {lacking}")
    return _checked_kinds(as_array(logits, "logits"), as_array(targets, "targets"))


def _checked_kinds(logits: Array, targets: Array) -> tuple[Array, Array]:
    if is_tensor(logits) != is_tensor(targets):
        raise TypeError("logits and targets must both be numpy arrays or both torch tensors")
    if str(logits.dtype).removeprefix("torch.") not in _FLOATS:
        of_logits = len(targets.shape) == 2 and len(logits.shape) == 1
        hint = "; logits and targets look exchanged" if of_logits else ""
        raise TypeError(f"logits must have dtype {', '.join(_FLOATS)}, got {logits.dtype}{hint}")
    if not str(targets.dtype).removeprefix("torch.").startswith(("int", "uint")):
        mixed = '; what to observe of mixed targets says "mixup and CutMix" in docs/recipes.md'
        hint = mixed if len(targets.shape) == 2 else ""
        raise TypeError(f"targets must have an integer dtype, got {targets.dtype}{hint}")
    if len(logits.shape) != 2 or logits.shape[1] < 1:
        raise ValueError(f"logits must have shape [B, C], got {tuple(logits.shape)}")
    if tuple(targets.shape) != (logits.shape[0],):
        one_hot = tuple(targets.shape) == tuple(logits.shape)
        hint = "; targets.argmax(1) gives the classes of one-hot rows" if one_hot else ""
        raise ValueError(
            f"targets must have shape ({logits.shape[0]},) to go with logits of "
            f"{tuple(logits.shape)}, got {tuple(targets.shape)}{hint}"
        )
    return logits, targets


_SIGNALS: dict[str, Callable[[_Batch], Array]] = {
    "loss": _Batch.loss,
    "correct": _Batch.correct,
    "confidence": _Batch.max_confidence,
    "margin": _Batch.margin,
    "el2n": _Batch.el2n,
    "l1": _Batch.l1,
    "max_margin": _Batch.max_margin,
    "sum_margin": _Batch.sum_margin,
    "probability": _Batch.target_confidence,
}
NAMES = tuple(_SIGNALS)


def compute(
    names: Iterable[str], logits: object, targets: object, confidence: str = "max"
) -> dict[str, Array]:
    """Compute several signals of a batch, sharing what they have in common.

    Parameters
    ----------
    names : iterable of str
        Any of `NAMES`: the functions below. Others cannot be computed from logits and are left
        out.
    logits : float[B, C]
        float16, bfloat16, float32 or float64; of numpy, torch on any device, or with
        DLPack. No gradient flows.
    targets : int[B]
        Classes, in [0, C).
    confidence : "max" or "target"
        As in `confidence`.

    Returns
    -------
    dict of str to float32[B]

    Raises
    ------
    TypeError, ValueError
        For other kinds, dtypes or shapes.
    IndexError
        For a target out of range on the CPU. On a GPU its signals are NaN.

    Examples
    --------
    >>> logits, targets = np.array([[2.0, 0.0]]), np.array([0])
    >>> sorted(compute(["loss", "el2n", "unknown"], logits, targets))
    ['el2n', 'loss']
    """
    choice(confidence, "confidence", ("max", "target"))
    batch = _Batch(logits, targets)
    functions = dict(_SIGNALS)
    if confidence == "target":
        functions["confidence"] = _Batch.target_confidence
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return {name: batch.finish(functions[name](batch)) for name in names if name in functions}


class _Function(Protocol):
    @overload
    def __call__(self, logits: TensorT, targets: TensorT) -> TensorT: ...

    @overload
    def __call__(self, logits: Given, targets: Given) -> NDArray[np.float32]: ...


def _same_kind(function: Callable[[A, A], A]) -> _Function:
    """Tell type checkers of what kind the signal is."""
    return cast("_Function", function)


def _one(name: str, logits: A, targets: A, which: str = "max") -> A:
    computed: Any = compute([name], logits, targets, which)[name]
    values: A = computed  # of the kind that the logits are
    return values


@_same_kind
def loss(logits: A, targets: A) -> A:
    """Cross-entropy of every sample, float32[B]; arguments as in `compute`.

    Examples
    --------
    >>> ds.signals.loss(np.array([[2.0, 0.0]]), np.array([0])).round(3)
    array([0.127], dtype=float32)
    """
    return _one("loss", logits, targets)


@_same_kind
def correct(logits: A, targets: A) -> A:
    """1 where the highest logit (of equals, the first) is the target's, else 0, float32[B].

    A row with NaN counts as wrong. Arguments as in `compute`.

    Examples
    --------
    >>> ds.signals.correct(np.array([[2.0, 0.0], [2.0, 0.0]]), np.array([0, 1]))
    array([1., 0.], dtype=float32)
    """
    return _one("correct", logits, targets)


@overload
def confidence(logits: TensorT, targets: TensorT, which: Which = ...) -> TensorT: ...


@overload
def confidence(logits: Given, targets: Given, which: Which = ...) -> NDArray[np.float32]: ...


def confidence(logits: A, targets: A, which: Which = "max") -> A:  # type: ignore[misc]
    """Softmax probability of the predicted class ("max") or of the target's, float32[B].

    Arguments as in `compute`.

    Examples
    --------
    >>> ds.signals.confidence(np.array([[2.0, 0.0]]), np.array([1])).round(3)
    array([0.881], dtype=float32)
    """
    return _one("confidence", logits, targets, which)


@_same_kind
def margin(logits: A, targets: A) -> A:
    """Logit of the target less the highest other one, float32[B]; arguments as in `compute`.

    References
    ----------
    Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS
    2020, equation 1.

    Examples
    --------
    >>> ds.signals.margin(np.array([[2.0, 0.0, 1.0]]), np.array([0]))
    array([1.], dtype=float32)
    """
    return _one("margin", logits, targets)


@_same_kind
def el2n(logits: A, targets: A) -> A:
    """Euclidean norm of softmax minus one-hot target, float32[B]; arguments as in `compute`.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, definition 2.2.

    Examples
    --------
    >>> ds.signals.el2n(np.array([[0.0, 0.0]]), np.array([0])).round(3)
    array([0.707], dtype=float32)
    """
    return _one("el2n", logits, targets)


@_same_kind
def l1(logits: A, targets: A) -> A:
    """Sum of absolute differences of softmax and one-hot target, float32[B].

    It is twice the probability of being wrong. Arguments as in `compute`.

    Examples
    --------
    >>> ds.signals.l1(np.array([[0.0, 0.0]]), np.array([0]))
    array([1.], dtype=float32)
    """
    return _one("l1", logits, targets)


@_same_kind
def max_margin(logits: A, targets: A) -> A:
    """Highest probability of another class less the target's, float32[B].

    Of probabilities and high for hard samples, where `margin` is of logits and low. Arguments as
    in `compute`.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, its published code.

    Examples
    --------
    >>> ds.signals.max_margin(np.array([[0.0, 0.0]]), np.array([0]))
    array([0.], dtype=float32)
    """
    return _one("max_margin", logits, targets)


@_same_kind
def sum_margin(logits: A, targets: A) -> A:
    """Sum over the other classes of their probability less the target's, float32[B].

    Arguments and source as in `max_margin`.

    Examples
    --------
    >>> ds.signals.sum_margin(np.array([[0.0, 0.0, 0.0]]), np.array([0])).round(3)
    array([0.], dtype=float32)
    """
    return _one("sum_margin", logits, targets)


@_same_kind
def probability(logits: A, targets: A) -> A:
    """Softmax probability of the target, float32[B]; arguments as in `compute`.

    Examples
    --------
    >>> ds.signals.probability(np.array([[0.0, 0.0]]), np.array([1]))
    array([0.5], dtype=float32)
    """
    return _one("probability", logits, targets)
