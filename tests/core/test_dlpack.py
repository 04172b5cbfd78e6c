"""Arrays of other libraries, JAX's, at every door: the numbers are those of numpy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from exchanged import Exchanged

import dynsample as ds

jax = pytest.importorskip("jax", reason="JAX is not installed")
import jax.numpy as jnp  # noqa: E402

N, BATCH, CLASSES = 64, 16, 5


def make() -> ds.Sampler:
    sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.4, tau=0.0), seed=2, issue="external")
    sampler.set_epoch(0)
    return sampler


def batches(sampler: ds.Sampler) -> Any:
    return sampler.plan.order.reshape(-1, BATCH)


def same(one: ds.Sampler, other: ds.Sampler) -> bool:
    for sampler in (one, other):
        sampler.set_epoch(1)
    tables = [each.table.state() for each in (one, other)]
    equal = all(tables[0][name].tobytes() == tables[1][name].tobytes() for name in tables[0])
    return equal and one.plan.digest == other.plan.digest


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int8", "bool"])
@pytest.mark.parametrize("shape", [(BATCH,), (BATCH, 1)])
def test_observed_signals_are_those_of_numpy(dtype: str, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(0)
    sampler, other = make(), make()
    for index in batches(sampler):
        drawn = jnp.asarray(numbers.uniform(-3, 3, shape)).astype(dtype)
        given = {"loss": drawn, "correct": drawn > 0, "confidence": abs(drawn)}
        sampler.observe(jnp.asarray(index), **given)
        values = {name: np.array(one.astype(jnp.float32)) for name, one in given.items()}
        other.observe(index, **values)
    assert same(sampler, other)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("targets", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_logits_give_the_signals_of_numpy(dtype: str, targets: Callable[..., Any]) -> None:
    numbers = np.random.default_rng(1)
    sampler, other = make(), make()
    for index in batches(sampler):
        logits = jnp.asarray(numbers.normal(size=(BATCH, CLASSES))).astype(dtype)
        labels = numbers.integers(0, CLASSES, BATCH, dtype=np.int32)
        sampler.observe(index, logits=logits, targets=targets(labels))
        other.observe(index, logits=np.array(logits.astype(jnp.float32)), targets=labels)
    assert same(sampler, other)


def test_numbers_that_are_still_worked_out_are_waited_for() -> None:
    @jax.jit
    def slowly(losses: Any) -> Any:
        mean = square = jnp.ones((512, 512)) / 512
        for _ in range(30):
            square = square @ mean
        return losses + square.sum() / 512

    sampler = make()
    index = batches(sampler)[0]
    losses = slowly(jnp.arange(BATCH, dtype=jnp.float32))
    sampler.observe(index, loss=losses, correct=losses, confidence=losses)
    sampler.set_epoch(1)
    np.testing.assert_allclose(sampler.table["loss"][index], np.arange(BATCH) + 1, rtol=1e-5)


def test_weights_come_as_numpy() -> None:
    probabilities = np.linspace(0.1, 1.0, N, dtype=np.float32)
    policy = ds.WeightedRandom(jnp.asarray(probabilities))
    sampler = ds.Sampler(N, policy, seed=1, issue="external")
    index = batches(sampler)[0]
    weights = sampler.weights(jnp.asarray(index))
    assert type(weights) is np.ndarray
    assert weights.dtype == np.float32
    assert weights.tobytes() == sampler.weights(index).tobytes()
    assert isinstance(jnp.ones(BATCH) * weights, jax.Array)


OPS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "hide_lowest": lambda of: ds.ops.hide_lowest(of(np.arange(9, dtype=np.float32)), 4),
    "exact_mean": lambda of: ds.ops.exact_mean(of(np.arange(9, dtype=np.float32))),
    "draw": lambda of: ds.ops.draw(of(np.eye(9)[0] + 1), 4, replacement=True, seed=1, epoch=0),
    "order_slice": lambda of: ds.ops.order_slice(
        of(np.arange(9, dtype=np.uint32)), seed=1, epoch=0
    ),
    "unpermute": lambda of: ds.ops.unpermute(9, of(np.arange(9, dtype=np.int32)), seed=1, epoch=0),
    "el2n": lambda of: ds.signals.el2n(of(np.eye(3, dtype=np.float32)), of(np.arange(3))),
    "select": lambda of: ds.batch.selective_backprop(of(np.eye(9)[0]), 0.5, seed=1, step=0),
    "balanced": lambda of: ds.weights.balanced(of(np.arange(9) % 2)),
    "subset": lambda of: ds.Sampler(9, subset=of(np.arange(3))).subset,
}


@pytest.mark.parametrize("of", [jnp.asarray, Exchanged], ids=["jax", "dlpack"])
@pytest.mark.parametrize("name", OPS)
def test_functions_take_them_and_return_numpy(name: str, of: Callable[..., Any]) -> None:
    found, wanted = OPS[name](of), OPS[name](np.asarray)
    assert type(found) is type(wanted)
    assert np.asarray(found).tobytes() == np.asarray(wanted).tobytes()


@pytest.mark.parametrize("of", [jnp.asarray, Exchanged], ids=["jax", "dlpack"])
def test_a_table_takes_them(of: Callable[..., Any]) -> None:
    table, other = (ds.ScoreTable(N, ds.Kakurenbo(fraction=0.5).columns) for _ in range(2))
    index, losses = np.arange(0, N, 2), np.linspace(0, 1, N // 2, dtype=np.float32)
    for each, kind in ((table, of), (other, np.asarray)):
        loss = kind(losses)
        each.observe(kind(index), loss=loss, correct=loss, confidence=loss)
        each.set_column("el2n", kind(np.arange(N, dtype=np.float32)))
    for name in ("loss", "el2n"):
        assert table[name].tobytes() == other[name].tobytes()
    bfloat = jnp.arange(N).astype(jnp.bfloat16)
    table.set_column("el2n", bfloat)
    assert table["el2n"].tolist() == bfloat.tolist()


def test_numbers_that_are_not_there_are_refused_by_name() -> None:
    sampler = make()
    index = batches(sampler)[0]
    losses, numbers = jnp.ones(BATCH), np.ones(BATCH, np.float32)

    def step(losses: Any) -> Any:
        sampler.observe(index, loss=losses, correct=numbers, confidence=numbers)
        return losses

    with pytest.raises(TypeError, match=r"loss must have numbers to read, got .*traced array"):
        jax.jit(step)(losses)
    with pytest.raises(TypeError, match="index must have numbers to read, got"):
        jax.jit(sampler.weights)(jnp.asarray(index))
    with pytest.raises(ValueError, match=r"loss must have one value per sample.*reduction"):
        sampler.observe(index, loss=losses.mean(), correct=losses, confidence=losses)
    with pytest.raises(TypeError, match="scores must have dtype float32, got bfloat16"):
        ds.ops.hide_lowest(losses.astype(jnp.bfloat16), 1)
    with pytest.raises(TypeError, match="index must have an integer dtype, got float32"):
        sampler.observe(losses, loss=losses, correct=losses, confidence=losses)
    assert not len(sampler.run.observations.log)


@pytest.mark.whole
def test_an_array_on_several_devices_is_brought_together() -> None:
    code = """
import jax, numpy as np, jax.numpy as jnp
import dynsample as ds
from jax.sharding import NamedSharding, PartitionSpec
mesh = jax.make_mesh((2,), ("data",))
parts = NamedSharding(mesh, PartitionSpec("data"))
table = ds.ScoreTable(8, ds.Kakurenbo(fraction=0.5).columns)
loss = jax.device_put(jnp.arange(8.0), parts)
assert len(loss.devices()) == 2
table.observe(jax.device_put(jnp.arange(8), parts), loss=loss, correct=loss, confidence=loss)
print(table["loss"].tolist() == list(range(8)))
"""
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**__import__("os").environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == "True", run.stderr
