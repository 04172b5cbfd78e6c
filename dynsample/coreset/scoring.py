"""Scores of every sample: from a trained model, over runs, or along the way of a training run."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dynsample import signals
from dynsample.disk.arrays import load_array
from dynsample.kernels.checks import choice, integer
from dynsample.kernels.convert import as_ids, as_tensor, to_host
from dynsample.loading import Following
from dynsample.table.columns import Column, Dual, Mean, Transitions, Uncertainty

if TYPE_CHECKING:
    import torch

GRADIENTS = ("grand", "grand_last")
NAMES = (*signals.NAMES, *GRADIENTS)
# The folders of a published Data Diet experiment, by the names of its command line.
RUN_FOLDERS = {
    "l2_error": "error_l2_norm_scores",
    "grad_norm": "grad_norm_scores",
    "forget": "forget_scores",
}


def score(
    model: torch.nn.Module,
    loader: Iterable[object],
    names: Iterable[str] = ("el2n",),
    *,
    num_samples: int | None = None,
    chunk_size: int = 32,
    progress: Callable[[int], None] = lambda rows: None,
) -> dict[str, NDArray[np.float32]]:
    """Score every sample with a model as it is, in eval mode.

    Parameters
    ----------
    model : torch.nn.Module
        From inputs to logits [B, C]. It is left in the mode it was in, and its gradients alone.
    loader : iterable of (inputs, labels, index)
        Without augmentation; one of dynsample's, of which `all` is taken, so that the epoch of its
        sampler is not touched, or any that gives int64[B] ids last. On several ranks each scores
        the samples that its loader gives it.
    names : iterable of str
        Signals of `dynsample.signals` ("el2n", "l1", "max_margin", "sum_margin", "margin", ...);
        "grand", the norm of the loss's gradient by all parameters; "grand_last", by weight and bias
        of the last linear layer, which must give the logits: ``||p - y|| * sqrt(||h||**2 + 1)`` of
        its input h, in closed form.
    num_samples : int, optional
        By default the length of the loader's data set, or else the highest id and one.
    chunk_size : int
        Samples whose gradients "grand" holds at once.
    progress : callable
        Called with the number of samples after every batch.

    Returns
    -------
    dict of str to float32[N]
        NaN, with a UserWarning, for a sample that the loader did not give.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, definitions 2.1 and 2.2.

    Examples
    --------
    >>> import torch
    >>> from dynsample.torch import DataLoader
    >>> images, labels = torch.eye(3), torch.tensor([0, 1, 0])
    >>> dataset = torch.utils.data.TensorDataset(images, labels)
    >>> loader = DataLoader(dataset, sampler=ds.Sampler(3, batch_size=2))
    >>> ds.score(torch.nn.Identity(), loader, ("correct",))["correct"]
    array([1., 1., 0.], dtype=float32)
    """
    wanted = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in wanted:
        choice(name, "names", NAMES)
    integer(chunk_size, "chunk_size", 1, 2**31)
    ids: list[NDArray[np.int64]] = []
    found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in wanted}
    with _evaluating(model) as device:
        for batch in _every_sample(loader):
            inputs, labels, given = _parts(batch)
            inputs, labels = _moved(inputs, device), _moved(labels, device).view(-1).long()
            for name, values in _score_batch(model, inputs, labels, wanted, chunk_size).items():
                found[name].append(values.float().cpu().numpy())
            ids.append(_ids(given))
            progress(len(ids[-1]))
    index = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    count = _num_samples(loader, index) if num_samples is None else num_samples
    if len(index) and not 0 <= index.min() <= index.max() < count:
        raise IndexError(f"index must be in [0, {count}), got {index.min()} to {index.max()}")
    scores = {name: _scattered(index, parts, count) for name, parts in found.items()}
    _warn_of_nan(scores, index)
    return scores


def _every_sample(loader: Iterable[object]) -> Iterable[object]:
    """Return the batches of every sample; a loader that follows a sampler would give an epoch's."""
    return loader.all() if isinstance(loader, Following) and loader.follows else loader


def _parts(batch: object) -> Sequence[torch.Tensor]:
    if not isinstance(batch, tuple | list) or len(batch) != 3:
        found = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(
            f"loader must give (inputs, labels, index), got {found}: the index is added by "
            "dynsample.torch.DataLoader"
        )
    return batch


def _ids(index: torch.Tensor) -> NDArray[np.int64]:
    """Check what a loader gave last."""
    ids: NDArray[Any] = to_host(index).reshape(-1)
    if ids.dtype.kind not in "iu":
        raise TypeError(
            f"loader must give integer ids last, after inputs and labels, got {ids.dtype}"
        )
    return as_ids(ids)


def _warn_of_nan(scores: dict[str, NDArray[np.float32]], index: NDArray[np.int64]) -> None:
    """Say how many samples are left without a score, and why."""
    missing = np.zeros(len(next(iter(scores.values()), ())), np.bool_)
    for values in scores.values():
        missing |= np.isnan(values)
    if not missing.any():
        return
    given = len(np.unique(index))
    why = f"the loader gave {given} samples" if given < len(missing) else "the model gave NaN"
    warnings.warn(
        f"{np.count_nonzero(missing)} of {len(missing)} samples have no score, NaN: {why}; "
        "`ds.coreset` keeps such samples before all others",
        stacklevel=3,
    )


def _num_samples(loader: object, index: NDArray[np.int64]) -> int:
    if isinstance(loader, Following) and loader.follows:
        return loader._followed("score").num_samples
    dataset = getattr(loader, "dataset", None)
    if isinstance(dataset, Sized):
        return len(dataset)
    return int(index.max()) + 1 if len(index) else 0


def _scattered(
    index: NDArray[np.int64], parts: list[NDArray[np.float32]], count: int
) -> NDArray[np.float32]:
    scores = np.full(count, np.nan, np.float32)
    if parts:
        scores[index] = np.concatenate(parts)
    return scores


@contextmanager
def _evaluating(model: torch.nn.Module) -> Iterator[torch.device | None]:
    """Put every module into eval mode, and give the model's device; the modes come back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield next((parameter.device for parameter in model.parameters()), None)
    finally:
        for module, training in modes:
            module.training = training


def _moved(value: torch.Tensor, device: torch.device | None) -> torch.Tensor:
    return value.to(device, non_blocking=True) if hasattr(value, "to") and device else value


def _score_batch(
    model: torch.nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    names: tuple[str, ...],
    chunk_size: int,
) -> dict[str, torch.Tensor]:
    import torch

    scores: dict[str, torch.Tensor] = {}
    if set(names) - {"grand"}:
        with torch.no_grad(), _last_input(model, "grand_last" in names) as last:
            logits = model(inputs)
        computed = signals.compute(names, logits, labels)
        scores = {name: as_tensor(values) for name, values in computed.items()}
        if last is not None:
            scores["grand_last"] = _grand_last(last, logits, labels)
    if "grand" in names:
        scores["grand"] = _grand(model, inputs, labels, chunk_size)
    return scores


class _Last:
    """Input and output of the last linear layer, and whether it has a bias."""

    def __init__(self, layer: torch.nn.Linear) -> None:
        self.layer = layer
        self.inputs: torch.Tensor | None = None
        self.output: torch.Tensor | None = None

    def catch(
        self, _: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> None:
        """Keep what a forward pass gave."""
        self.inputs, self.output = inputs[0], output


@contextmanager
def _last_input(model: torch.nn.Module, wanted: bool) -> Iterator[_Last | None]:
    """Catch input and output of the last linear layer."""
    import torch

    if not wanted:
        yield None
        return
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    if not layers:
        raise ValueError("grand_last needs a model with a linear layer, found none")
    last = _Last(layers[-1])
    hook = last.layer.register_forward_hook(last.catch)
    try:
        yield last
    finally:
        hook.remove()


def _grand_last(last: _Last, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return ||p - y|| sqrt(||h||^2 + 1): the gradient is the outer product of p - y and (h, 1)."""
    inputs, output = last.inputs, last.output
    if inputs is None or output is None or output.data_ptr() != logits.data_ptr():
        raise ValueError("grand_last needs a model whose last linear layer gives the logits")
    squares = (inputs.float() ** 2).sum(1) + float(last.layer.bias is not None)
    return signals.el2n(logits, labels) * squares.sqrt()


def _grand(
    model: torch.nn.Module, inputs: torch.Tensor, labels: torch.Tensor, chunk_size: int
) -> torch.Tensor:
    """Return the norm of the gradient of every sample's loss by all trained parameters."""
    import torch
    from torch.func import functional_call, grad, vmap

    parameters = {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}
    fixed = {n: p.detach() for n, p in model.named_parameters() if not p.requires_grad}
    fixed.update({name: buffer.detach() for name, buffer in model.named_buffers()})

    def loss(trained: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        logits = functional_call(model, {**trained, **fixed}, (x.unsqueeze(0),))
        return torch.nn.functional.cross_entropy(logits.float(), y.unsqueeze(0))

    def norm(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        gradients = grad(loss)(parameters, x, y).values()
        return torch.stack([g.float().pow(2).sum() for g in gradients]).sum().sqrt()

    norms: torch.Tensor = vmap(norm, chunk_size=chunk_size)(inputs, labels)
    return norms.detach()


def score_columns(
    names: Iterable[str] = ("forgetting", "aum", "probability", "dyn_unc"), *, window: int = 10
) -> dict[str, Column]:
    """Columns that gather scores while a model trains: `Sampler(columns=ds.score_columns())`.

    `sampler.observe(index, logits=..., targets=...)` gives what they need, and
    `sampler.table["aum"]` the score.

    Parameters
    ----------
    names : iterable of str
        "forgetting" (`Forgetting().score(table)` makes never-learned samples infinite), "aum" (mean
        of the target's logit less the highest other one), "probability" (mean probability of the
        target), "dyn_unc" (mean uncertainty of its windows) and "dual" (mean DUAL score of them).
    window : int
        Observations in a window of "dyn_unc" and "dual".

    References
    ----------
    Toneva et al., ICLR 2019; Pleiss et al., NeurIPS 2020, equation 1; He et al., "Large-scale
    Dataset Pruning with Dynamic Uncertainty", 2023, equations 2 and 3; Cho et al., DUAL, ICML 2025.

    Examples
    --------
    >>> sampler = ds.Sampler(1000, columns=ds.score_columns(["forgetting", "aum"]))
    >>> sorted(sampler.table)
    ['aum', 'forgetting']
    """
    columns: dict[str, Column] = {
        "forgetting": Transitions(signal="correct"),
        "aum": Mean(signal="margin"),
        "probability": Mean(),
        "dyn_unc": Uncertainty(window, signal="probability"),
        "dual": Dual(window, signal="probability"),
    }
    return {name: columns[choice(name, "names", tuple(columns))] for name in names}


def run_file(experiment: str | os.PathLike[str], run: int | None, step: int, kind: str) -> Path:
    """Path of a run's scores in a published Data Diet experiment; run None: of their mean.

    Examples
    --------
    >>> ds.coreset.run_file("exps/EXP", 3, 7800, "l2_error").as_posix()
    'exps/EXP/run_3/error_l2_norm_scores/ckpt_7800.npy'
    """
    folder = RUN_FOLDERS[choice(kind, "type", tuple(RUN_FOLDERS))]
    base = Path(experiment) if run is None else Path(experiment) / f"run_{run}"
    return base / folder / f"ckpt_{step}.npy"


def mean_over_runs(
    experiment: str | os.PathLike[str],
    runs: int,
    step: int,
    kind: str,
    *,
    progress: Callable[[], None] = lambda: None,
) -> NDArray[Any]:
    """Mean of the scores of runs 0 to `runs` - 1; infinite where it is in any run.

    Parameters
    ----------
    experiment : path
        Holds ``run_<r>/<folder>/ckpt_<step>.npy``, of one dimension, and the same in every run.
    runs, step : int
    kind : "l2_error", "grad_norm" or "forget"
    progress : callable
        Called after every run.

    Returns
    -------
    float[N]
        Added up in float64, of the dtype of the files.

    Examples
    --------
    >>> for run, scores in enumerate([[1.0, 2.0], [3.0, np.inf]]):
    ...     file = ds.coreset.run_file("exps/EXP", run, 100, "forget")
    ...     file.parent.mkdir(parents=True)
    ...     np.save(file, scores)
    >>> ds.coreset.mean_over_runs("exps/EXP", 2, 100, "forget")
    array([ 2., inf])
    """
    total: Any = None
    for run in range(integer(runs, "runs", 1, 2**31)):
        path = run_file(experiment, run, step, kind)
        scores = load_array(path)
        if scores.ndim != 1 or scores.dtype.kind not in "fiu":
            raise ValueError(
                f"{path} must hold one number a sample, got {scores.dtype}{list(scores.shape)}"
            )
        if total is not None and len(scores) != len(total):
            raise ValueError(f"{path} has {len(scores)} samples, the runs before {len(total)}")
        total = scores.astype(np.float64) + (0.0 if total is None else total)
        progress()
    kept = scores.dtype if scores.dtype.kind == "f" else np.dtype(np.float64)
    mean: NDArray[Any] = (total / runs).astype(kept)
    return mean
