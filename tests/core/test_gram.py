"""Batch reweighting: the Gram matrix of gradients, and the weights that follow from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dynsample import batch

CLASSES = 5


class Net(nn.Module):
    """Two layers, with batch statistics between them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(x))
        return logits


@pytest.fixture
def task() -> tuple[Net, torch.Tensor, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net(), torch.randn(17, 6), torch.randint(CLASSES, (17,))


def slow_gram(net: Net, x: torch.Tensor, y: torch.Tensor, names: list[str]) -> torch.Tensor:
    """Cosines from one backward pass per sample."""
    rows = []
    chosen = [p for name, p in net.named_parameters() if name in names]
    for i in range(len(x)):
        loss = nn.functional.cross_entropy(net.eval()(x[i : i + 1]), y[i : i + 1])
        rows.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, chosen)]))
    unit = nn.functional.normalize(torch.stack(rows))
    return unit @ unit.T


@pytest.mark.parametrize(
    ("params", "names"),
    [("bias", ["head.bias"]), ("last_layer", ["head.weight", "head.bias"]), ("all", None)],
)
def test_closed_form_torch_func_and_one_pass_per_sample_agree(task, params, names) -> None:
    net, x, y = task
    names = names or [name for name, _ in net.named_parameters()]
    net.body[1].eval()  # a mode of its own, to be found as it was
    logits, features = net.eval()(x), net.body(x)
    net.train()
    net.body[1].eval()
    options = {"model": net, "inputs": x}
    closed = batch.gram(logits, y, params=params, features=features, **options)
    by_name = batch.gram(logits, y, params=names, **options)
    assert net.training
    assert not net.body[1].training
    torch.testing.assert_close(closed, by_name, atol=1e-5, rtol=0)
    torch.testing.assert_close(closed, slow_gram(net, x, y, names), atol=1e-5, rtol=0)
    assert not closed.requires_grad


def test_numpy_and_torch_give_the_same(task) -> None:
    net, x, y = task
    logits, features = net.eval()(x).detach(), net.body(x).detach()
    for params in ("bias", "last_layer"):
        for form in ("inverse", "softmax"):
            given = {"params": params, "form": form}
            ours = batch.gram_weights(logits.numpy(), y.numpy(), features=features.numpy(), **given)
            tensors = batch.gram_weights(logits, y, features=features, **given)
            assert isinstance(ours.weights, np.ndarray)
            np.testing.assert_allclose(ours.weights, tensors.weights.numpy(), rtol=1e-5)
            np.testing.assert_array_equal(ours.score, tensors.score.numpy())


def test_score_counts_those_alike_and_both_forms_follow_it(task) -> None:
    net, x, y = task
    logits = net.eval()(x)
    gram = batch.gram(logits, y)
    expected = (gram >= 0.5).sum(1).float()
    inverse = batch.gram_weights(logits, y, gamma=0.5)
    soft = batch.gram_weights(logits, y, gamma=0.5, form="softmax", temperature=3.0)
    torch.testing.assert_close(inverse.score, expected)
    torch.testing.assert_close(inverse.weights, (1 / expected) / (1 / expected).sum())
    torch.testing.assert_close(soft.weights, torch.softmax(-expected / 3, 0))
    for weights in (inverse.weights, soft.weights):
        assert weights.dtype == torch.float32
        assert not weights.requires_grad
        assert abs(float(weights.sum()) - 1) < 1e-6


@pytest.mark.parametrize("form", ["inverse", "softmax"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_zero_and_broken_gradients_give_finite_weights(form, kind) -> None:
    logits = np.zeros((200, 3), np.float32)
    logits[0] = [200, 0, 0]  # surely right: softmax minus one-hot is zero
    logits[1] = np.nan
    logits[2] = [1e30, -1e30, 0]
    targets = np.zeros(200, np.int64)
    features = np.zeros((200, 4), np.float32)
    if kind == "torch":
        logits, targets, features = map(torch.from_numpy, (logits, targets, features))
    for params in ("bias", "last_layer"):
        weights, score = batch.gram_weights(
            logits, targets, form=form, params=params, features=features, temperature=0.01
        )
        assert np.isfinite(np.asarray(weights)).all()
        assert np.asarray(score)[:3].tolist() == [1, 1, 1]
        assert np.asarray(score)[3:].tolist() == [197] * 197
    # All alike, and far beyond what exp can take: still a distribution.
    weights, _ = batch.gram_weights(logits[3:], targets[3:], form=form, temperature=0.01)
    np.testing.assert_allclose(np.asarray(weights), 1 / 197, rtol=1e-4)


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_batches(task, rows) -> None:
    net, x, y = task
    logits = net.eval()(x)
    for form in ("inverse", "softmax"):
        for params in ("bias", "all"):
            weights, score = batch.gram_weights(
                logits[:rows], y[:rows], form=form, params=params, model=net, inputs=x[:rows]
            )
            assert weights.tolist() == score.tolist() == [1.0] * rows


def test_what_is_missing_or_wrong_is_named(task) -> None:
    net, x, y = task
    logits = net.eval()(x)
    with pytest.raises(ValueError, match="form must be one of"):
        batch.gram_weights(logits, y, form="linear")
    with pytest.raises(ValueError, match=r"gamma must be in \[-1, 1\]"):
        batch.gram_weights(logits, y, gamma=2)
    with pytest.raises(ValueError, match="temperature must be in"):
        batch.gram_weights(logits, y, temperature=0)
    with pytest.raises(ValueError, match="params must be one of"):
        batch.gram_weights(logits, y, params="weight")
    with pytest.raises(TypeError, match="needs features="):
        batch.gram_weights(logits, y, params="last_layer")
    with pytest.raises(ValueError, match="features must have 17 rows"):
        batch.gram_weights(logits, y, params="last_layer", features=x[:3])
    with pytest.raises(TypeError, match="needs model= and inputs="):
        batch.gram_weights(logits, y, params="all")
    with pytest.raises(ValueError, match=r"parameters of the model, got head\.scale"):
        batch.gram_weights(logits, y, params=["head.scale"], model=net, inputs=x)
