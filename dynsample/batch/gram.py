"""Batch reweighting: the more samples of a batch share a gradient, the less each of them weighs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dynsample.kernels import A, Array
from dynsample.kernels.checks import choice, real
from dynsample.kernels.convert import as_array, as_tensor, is_tensor, like
from dynsample.kernels.namespace import float32, namespace_of
from dynsample.signals import _Batch

if TYPE_CHECKING:
    import torch

FORMS = ("inverse", "softmax")


class GramWeights(NamedTuple):
    """Loss weights of a batch, and the score that they come from.

    Attributes
    ----------
    weights : float32[B]
        They add up to 1: the loss is ``(weights * losses).sum()``.
    score : float32[B]
        How many samples of the batch have a gradient like this one's, itself included.

    Examples
    --------
    >>> found = ds.batch.gram_weights(np.zeros((3, 2), np.float32), np.array([0, 0, 1]))
    >>> float(found.weights.sum()), found.score.tolist()
    (1.0, [2.0, 2.0, 1.0])
    """

    weights: Array
    score: Array


def gram_weights(
    logits: A,
    targets: A,
    *,
    gamma: float = 0.7,
    temperature: float = 1.0,
    form: str = "inverse",
    params: str | Sequence[str] = "bias",
    features: A | None = None,
    model: torch.nn.Module | None = None,
    inputs: torch.Tensor | None = None,
) -> GramWeights:
    """Weigh each sample of a batch by how few others have a gradient like its own.

    Parameters
    ----------
    logits : float[B, C]
        numpy or torch, on any device; the weights are of the same kind, and no gradient flows
        through them.
    targets : int[B]
    gamma : float in [-1, 1]
        Two gradients are alike when their cosine is at least this.
    temperature : float above 0
        Temperature of the softmax; "inverse" has none.
    form : "inverse" or "softmax"
        1 / score; or exp(-score / temperature), as published, which at temperature 1 gives a batch
        of a hundred to a few of its samples. Both are divided by their sum.
    params, features, model, inputs
        Whose gradients, as in `gram`.

    References
    ----------
    The published code "batch-reweighting-cifar", whose README gives gradients, Gram matrix and
    score; it leaves out the line of the weights.

    Examples
    --------
    >>> import numpy as np
    >>> logits = np.array([[9, 0, 0], [9, 0, 0], [0, 0, 9]], np.float32)
    >>> weights, score = gram_weights(logits, np.array([1, 1, 0]))
    >>> score
    array([2., 2., 1.], dtype=float32)
    >>> weights
    array([0.25, 0.25, 0.5 ], dtype=float32)
    """
    gamma, temperature = (
        real(gamma, "gamma", "[-1, 1]"),
        real(temperature, "temperature", "(0, inf)"),
    )
    choice(form, "form", FORMS)
    cosines = gram(logits, targets, params=params, features=features, model=model, inputs=inputs)
    xp = namespace_of(cosines)
    with np.errstate(invalid="ignore"):
        alike = (cosines >= gamma).sum(1)
    score = float32(alike).clip(1)  # a gradient of zero is like itself
    if form == "inverse":
        raw = 1 / score
    else:
        raw = xp.exp(((score.min() if len(score) else 0) - score) / temperature)
    return GramWeights(raw / raw.sum(), score)


def gram(
    logits: A,
    targets: A,
    *,
    params: str | Sequence[str] = "bias",
    features: A | None = None,
    model: torch.nn.Module | None = None,
    inputs: torch.Tensor | None = None,
) -> A:
    """Cosines of the gradients of the cross-entropy of every two samples, float32[B, B].

    Parameters
    ----------
    logits : float[B, C]
    targets : int[B]
    params : "bias", "last_layer", "all" or names of parameters
        The gradients of what. The bias of the last layer (as published), and its weight and bias,
        have a closed form; everything else goes through `torch.func`, with the gradients of all B
        samples in memory at once and the model in eval mode, as samples must not mix.
    features : float[B, D]
        Input of the last layer; for "last_layer".
    model, inputs : torch.nn.Module, and what it is called with, [B, ...]
        For "all" and for names.

    Notes
    -----
    A gradient of zero has cosine 0 with all, one with NaN has NaN. The matrix is that of one
    rank's batch.

    Examples
    --------
    >>> ds.batch.gram(np.zeros((3, 2), np.float32), np.array([0, 0, 1])).round(3)
    array([[ 1.,  1., -1.],
           [ 1.,  1., -1.],
           [-1., -1.,  1.]], dtype=float32)
    """
    if isinstance(params, str):
        choice(params, "params", ("bias", "last_layer", "all"))
    return like(_cosines(_Batch(logits, targets), params, features, model, inputs), logits)


def _cosines(
    batch: _Batch,
    params: str | Sequence[str],
    features: Array | None,
    model: torch.nn.Module | None,
    inputs: torch.Tensor | None,
) -> Array:
    if params not in ("bias", "last_layer"):
        if model is None or inputs is None or not batch.tensor:
            raise TypeError(f"params={params!r} needs model= and inputs=, and torch tensors")
        return _gram_by_autograd(model, inputs, as_tensor(batch.targets), params)
    with np.errstate(invalid="ignore", over="ignore"):
        error = _unit(batch.error)
        cosines = error @ error.T
        if params == "bias":
            return cosines
        if features is not None:
            features = as_array(features, "features")
        if features is None or is_tensor(features) != batch.tensor or features.ndim != 2:
            raise TypeError('params="last_layer" needs features=, float[B, D] of the logits\' kind')
        if len(features) != len(cosines):
            raise ValueError(f"features must have {len(cosines)} rows, got {len(features)}")
        given = float32(features.detach() if is_tensor(features) else features)
        inner = _unit(batch.xp.concatenate([given, 0 * given[:, :1] + 1], 1))
        return cosines * (inner @ inner.T)


def _unit(rows: Array) -> Array:
    """Scale rows to length 1, by way of their largest entry: no square over- or underflows."""
    xp = namespace_of(rows)
    rows = _divided(rows, xp.amax(xp.abs(rows), 1))
    return _divided(rows, xp.sqrt((rows * rows).sum(1)))


def _divided(rows: Array, size: Array) -> Array:
    """Divide each row by its size; a row of zeros stays one."""
    return rows / namespace_of(rows).where(size == 0, size + 1, size)[:, None]


def _gram_by_autograd(
    model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, params: str | Sequence[str]
) -> Array:
    import torch
    from torch import func

    known = {name: p.detach() for name, p in model.named_parameters()}
    names = list(known) if params == "all" else list(params)
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"params must name parameters of the model, got {', '.join(unknown)}")
    fixed = {name: p for name, p in known.items() if name not in names} | dict(
        model.named_buffers()
    )

    def loss(chosen: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = func.functional_call(model, {**fixed, **chosen}, (x[None],))
        return torch.nn.functional.cross_entropy(logits.float(), y[None])

    if not len(targets):
        return torch.zeros(0, 0, device=targets.device)
    of_each = func.vmap(func.grad(loss), (None, 0, 0))
    with _evaluating(model):
        gradients = of_each({name: known[name] for name in names}, inputs, targets)
    rows = _unit(torch.cat([g.detach().flatten(1).float() for g in gradients.values()], 1))
    return rows @ rows.T


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module in eval mode, and each back into its own."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
