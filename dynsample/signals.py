"""Per-sample signals from a model's output: numpy or torch in, float32 of the same kind out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import numpy as np

from dynsample.kernels.checks import choice
from dynsample.kernels.convert import is_tensor

_FLOATS = ("float16", "bfloat16", "float32", "float64")


class _Batch:
    """One batch: checked logits in float32, and what several signals share, computed once.

    Everything is written in operations that numpy and torch both have. On a GPU nothing waits for
    the device: targets out of range, which raise on the CPU, give NaN there.
    """

    def __init__(self, logits: Any, targets: Any) -> None:
        self.tensor = is_tensor(logits)
        self.xp: Any = sys.modules["torch"] if self.tensor else np
        _check_kinds(logits, targets)
        if self.tensor:
            self.z = logits.detach().float()
            self.targets = targets.detach().to(logits.device).long()
        else:
            with np.errstate(over="ignore"):
                self.z = logits.astype(np.float32)
            self.targets = targets.astype(np.int64)
        self.classes = self.z.shape[1]
        self.valid = (self.targets >= 0) & (self.targets < self.classes)
        if not (self.tensor and self.z.is_cuda) and not bool(self.valid.all()):
            outside = self.targets[~self.valid][0]
            raise IndexError(f"targets must be in [0, {self.classes}), got {int(outside)}")
        self.safe = self.xp.where(self.valid, self.targets, 0)
        self.onehot = self.xp.arange(self.classes, **self._device)[None, :] == self.safe[:, None]

    @property
    def _device(self) -> dict[str, Any]:
        return {"device": self.z.device} if self.tensor else {}

    def row(self, function: str, values: Any) -> Any:
        """Reduce over the classes: sum, amax or argmax."""
        axis = {"dim": 1} if self.tensor else {"axis": 1}
        return getattr(self.xp, function)(values, **axis)

    def at_target(self, values: Any) -> Any:
        """Pick the target's entry of every row."""
        if self.tensor:
            return values.gather(1, self.safe[:, None])[:, 0]
        return np.take_along_axis(values, self.safe[:, None], axis=1)[:, 0]

    @cached_property
    def highest(self) -> Any:
        return self.row("amax", self.z)

    @cached_property
    def shifted(self) -> Any:
        """Logits less the row's highest, so that no exponential overflows."""
        return self.z - self.highest[:, None]

    @cached_property
    def total(self) -> Any:
        return self.row("sum", self.xp.exp(self.shifted))

    @cached_property
    def softmax(self) -> Any:
        return self.xp.exp(self.shifted) / self.total[:, None]

    def loss(self) -> Any:
        return self.xp.log(self.total) - self.at_target(self.shifted)

    def correct(self) -> Any:
        # A NaN in the row is the highest, and then nothing was predicted.
        right = (self.row("argmax", self.z) == self.safe) & (self.highest == self.highest)
        return self.xp.where(right, self._number(1.0), self._number(0.0))

    def max_confidence(self) -> Any:
        return 1 / self.total  # the highest has exp(0)

    def target_confidence(self) -> Any:
        return self.at_target(self.softmax)

    def margin(self) -> Any:
        if self.classes < 2:
            raise ValueError(f"margin needs logits of at least 2 classes, got {self.classes}")
        others = self.xp.where(self.onehot, self._number(-np.inf), self.z)
        return self.at_target(self.z) - self.row("amax", others)

    @cached_property
    def error(self) -> Any:
        return self.softmax - self.xp.where(self.onehot, self._number(1.0), self._number(0.0))

    def el2n(self) -> Any:
        return self.xp.sqrt(self.row("sum", self.error * self.error))

    def l1(self) -> Any:
        return self.row("sum", abs(self.error))

    def max_margin(self) -> Any:
        if self.classes < 2:
            raise ValueError(f"max_margin needs logits of at least 2 classes, got {self.classes}")
        others = self.xp.where(self.onehot, self._number(-np.inf), self.softmax)
        return self.row("amax", others) - self.target_confidence()

    def sum_margin(self) -> Any:
        p = self.target_confidence()
        others = self.xp.where(self.onehot, self._number(0.0), self.softmax)
        return self.row("sum", others) - (self.classes - 1) * p

    def _number(self, value: float) -> Any:
        """Make a float32 scalar of the batch's kind."""
        if self.tensor:
            return self.z.new_full((), value)
        return np.float32(value)

    def finish(self, values: Any) -> Any:
        """Return NaN for targets out of range, and forget the classes."""
        if self.tensor and self.z.is_cuda:
            return self.xp.where(self.valid, values, self._number(np.nan))
        return values


def _check_kinds(logits: Any, targets: Any) -> None:
    for name, value in (("logits", logits), ("targets", targets)):
        if not is_tensor(value) and not isinstance(value, np.ndarray):
            kind = type(value).__name__
            raise TypeError(f"{name} must be a numpy array or a torch tensor, got {kind}")
    if is_tensor(logits) != is_tensor(targets):
        raise TypeError("logits and targets must both be numpy arrays or both torch tensors")
    if str(logits.dtype).removeprefix("torch.") not in _FLOATS:
        raise TypeError(f"logits must have dtype {', '.join(_FLOATS)}, got {logits.dtype}")
    if not str(targets.dtype).removeprefix("torch.").startswith(("int", "uint")):
        raise TypeError(f"targets must have an integer dtype, got {targets.dtype}")
    if len(logits.shape) != 2 or logits.shape[1] < 1:
        raise ValueError(f"logits must have shape [B, C], got {tuple(logits.shape)}")
    if tuple(targets.shape) != (logits.shape[0],):
        raise ValueError(
            f"targets must have shape ({logits.shape[0]},) to go with logits of "
            f"{tuple(logits.shape)}, got {tuple(targets.shape)}"
        )


_SIGNALS: dict[str, Callable[[_Batch], Any]] = {
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
    names: Iterable[str], logits: Any, targets: Any, confidence: str = "max"
) -> dict[str, Any]:
    """Compute several signals of a batch, sharing what they have in common.

    Parameters
    ----------
    names : iterable of str
        Any of `NAMES`: the functions below. Others cannot be computed from logits and are left
        out.
    logits : float[B, C]
        float16, bfloat16, float32 or float64; numpy or torch, on any device. No gradient flows.
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
    """
    choice(confidence, "confidence", ("max", "target"))
    batch = _Batch(logits, targets)
    functions = dict(_SIGNALS)
    if confidence == "target":
        functions["confidence"] = _Batch.target_confidence
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        return {name: batch.finish(functions[name](batch)) for name in names if name in functions}


def loss(logits: Any, targets: Any) -> Any:
    """Cross-entropy of every sample, float32[B]; arguments as in `compute`."""
    return compute(["loss"], logits, targets)["loss"]


def correct(logits: Any, targets: Any) -> Any:
    """1 where the highest logit (of equals, the first) is the target's, else 0, float32[B].

    A row with NaN counts as wrong. Arguments as in `compute`.
    """
    return compute(["correct"], logits, targets)["correct"]


def confidence(logits: Any, targets: Any, which: str = "max") -> Any:
    """Softmax probability of the predicted class ("max") or of the target's, float32[B].

    Arguments as in `compute`.
    """
    return compute(["confidence"], logits, targets, which)["confidence"]


def margin(logits: Any, targets: Any) -> Any:
    """Logit of the target less the highest other one, float32[B]; arguments as in `compute`.

    References
    ----------
    Pleiss et al., "Identifying Mislabeled Data using the Area Under the Margin Ranking", NeurIPS
    2020, equation 1.
    """
    return compute(["margin"], logits, targets)["margin"]


def el2n(logits: Any, targets: Any) -> Any:
    """Euclidean norm of softmax minus one-hot target, float32[B]; arguments as in `compute`.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, definition 2.2.
    """
    return compute(["el2n"], logits, targets)["el2n"]


def l1(logits: Any, targets: Any) -> Any:
    """Sum of absolute differences of softmax and one-hot target, float32[B].

    It is twice the probability of being wrong. Arguments as in `compute`.
    """
    return compute(["l1"], logits, targets)["l1"]


def max_margin(logits: Any, targets: Any) -> Any:
    """Highest probability of another class less the target's, float32[B].

    Of probabilities and high for hard samples, where `margin` is of logits and low. Arguments as
    in `compute`.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, its published code.
    """
    return compute(["max_margin"], logits, targets)["max_margin"]


def sum_margin(logits: Any, targets: Any) -> Any:
    """Sum over the other classes of their probability less the target's, float32[B].

    Arguments and source as in `max_margin`.
    """
    return compute(["sum_margin"], logits, targets)["sum_margin"]


def probability(logits: Any, targets: Any) -> Any:
    """Softmax probability of the target, float32[B]; arguments as in `compute`."""
    return compute(["probability"], logits, targets)["probability"]
