"""A loaded sampler goes on at the very next sample, with the same order, weights and table."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.policies import registry

N = 157
EPOCHS = 4

POLICIES = {
    "uniform": registry.make("uniform"),
    "random": registry.make("random"),
    "kakurenbo": registry.make("kakurenbo", fraction=0.4),
    "kakurenbo, every other refresh": registry.make("kakurenbo", fraction=0.4, refresh_every=2),
    "infobatch": registry.make("infobatch", delta=1.0),
    "importance": registry.make("importance", smoothing=0.5, correct_bias=True),
    "selective-backprop": registry.make("selective-backprop"),
    "forgetting": registry.make("forgetting", static_epochs=2),
    "ies": registry.make("ies", delta=0.5, window=1, warmup_epochs=0),
}


def signals(index: np.ndarray, epoch: int) -> dict[str, np.ndarray]:
    word = (index * 2654435761 + epoch * 40503 * 65537) % 2**32
    loss = (word / 2**32).astype(np.float32)
    return {"loss": loss, "correct": (loss < 0.8).astype(np.float32), "confidence": 1 - loss / 4}


def make(policy: ds.Policy, **options: object) -> ds.Sampler:
    return ds.Sampler(N, policy, **{"batch_size": 16, "seed": 11, **options})


def steps(sampler: ds.Sampler, first_epoch: int) -> list[tuple[object, ...]]:
    """Everything the loop receives, from the sampler's cursor to the end of the run."""
    received = []
    for epoch in range(first_epoch, EPOCHS):
        sampler.set_epoch(epoch)
        for name, batches in (("kept", sampler), ("hidden", sampler.hidden)):
            for index in batches:
                received.append(
                    (epoch, name, index.tolist(), sampler.weights(index).tolist(), sampler.lr_scale)
                )
                sampler.observe(index, **signals(index, epoch))
                yield_point(sampler, len(received))
    sampler.set_epoch(EPOCHS)
    columns = {name: sampler.table[name].tobytes() for name in sampler.table.columns}
    return [*received, tuple(columns.items()), sampler.plan.digest]


def yield_point(sampler: ds.Sampler, step: int) -> None:
    save_at = getattr(sampler, "save_at", None)
    if save_at and step in save_at:
        sampler.save(save_at[step])


@pytest.mark.parametrize("name", POLICIES)
def test_a_resumed_run_equals_the_undisturbed_one(name: str, tmp_path: Path) -> None:
    sampler = make(POLICIES[name])
    whole = steps(sampler, 0)
    num_steps = len(whole) - 2
    chosen = {1, num_steps // 3, num_steps // 2, num_steps - 3, num_steps}
    sampler = make(POLICIES[name])
    sampler.save_at = {step: tmp_path / str(step) for step in chosen}
    steps(sampler, 0)
    for step in chosen:
        resumed = make(POLICIES[name])
        resumed.load(tmp_path / str(step))
        assert steps(resumed, resumed.epoch) == whole[step:], f"resumed after step {step}"


def test_a_resume_of_a_resume_with_another_batch_size_keeps_the_order(tmp_path: Path) -> None:
    first = make(ds.Kakurenbo(fraction=0.4))
    steps(first, 0)
    order = first.plan.order
    received = []
    for batch_size in (8, 3, 14, 8):
        sampler = make(ds.Kakurenbo(fraction=0.4), batch_size=batch_size)
        if received:
            sampler.load(tmp_path)
        else:
            steps(sampler, 0)
        iterator = iter(sampler)
        received += [next(iterator), next(iterator)]
        for index in received[-2:]:
            sampler.observe(index, **signals(index, EPOCHS))
        sampler.save(tmp_path)
    ids = np.concatenate(received)
    np.testing.assert_array_equal(ids, order[: len(ids)])


def test_a_batch_received_and_not_observed_can_be_observed_after_the_load(tmp_path: Path) -> None:
    sampler, resumed = make(ds.Kakurenbo()), make(ds.Kakurenbo())
    index = next(iter(sampler))
    sampler.save(tmp_path, consumed=1)
    resumed.load(tmp_path)
    resumed.observe(index, **signals(index, 0))
    resumed.set_epoch(1)
    assert set(np.flatnonzero(resumed.table.seen)) == set(index)


def test_probabilities_set_during_the_run_are_saved(tmp_path: Path) -> None:
    before, after = np.ones(N, np.float32), np.zeros(N, np.float32)
    after[:5] = 1
    sampler = make(ds.WeightedRandom(before))
    sampler.set_epoch(0)
    sampler.policy.set_probabilities(after)
    sampler.save(tmp_path)
    resumed = make(ds.WeightedRandom(before))
    resumed.load(tmp_path)
    assert resumed.plan.digest == sampler.plan.digest
    resumed.set_epoch(1)
    assert set(resumed.plan.order) == set(range(5))


@pytest.mark.filterwarnings("ignore:columns were set", "ignore:what was allowed to differ")
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("options", [{}, {"placement": "sharded"}, {"issue": "external"}])
def test_columns_that_were_set_after_the_plan_are_warned_of_and_the_cure_is_named(
    tmp_path: Path, ranks: int, options: dict[str, object]
) -> None:
    def new(group: Group) -> ds.Sampler:
        return make(ds.ImportanceSampling(), group=group, **options)

    def warns(sampler: ds.Sampler) -> bool:
        sampler.run.warned.clear()
        sampler.save(tmp_path)
        return "changed" in sampler.run.warned

    def body(group: Group) -> None:
        sampler = new(group)
        first, last = sampler.table.bounds
        sampler.table.set_column("loss", np.arange(N)[first:last])
        sampler.set_epoch(0)
        assert not warns(sampler)  # the plan is of it
        sampler.table.set_column("teacher", np.ones(last - first))
        assert not warns(sampler)  # no policy asks for it
        new(group).load(tmp_path)
        sampler.table.set_column("loss", np.ones(last - first))
        assert warns(sampler)
        with pytest.raises(ds.StateError, match="columns were set after the plan was made, or"):
            new(group).load(tmp_path)
        new(group).load(tmp_path, allow={"order"})
        sampler.set_epoch(1)
        assert not warns(sampler)
        new(group).load(tmp_path)

    simulate(ranks, body)


@pytest.mark.parametrize("signal", ["outstanding/index", "train/outstanding/loss", "signal/loss"])
def test_a_signal_may_have_any_name(tmp_path: Path, signal: str) -> None:
    def new() -> ds.Sampler:
        return make(ds.Uniform(), columns={"loss": ds.Last(signal=signal)})

    sampler = new()
    index = next(iter(sampler))
    sampler.observe(index, **{signal: index.astype(np.float32)})
    sampler.save(tmp_path, consumed=1)
    resumed = new()
    resumed.load(tmp_path)
    resumed.set_epoch(1)
    assert resumed.table["loss"][index].tolist() == index.tolist()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: make(ds.Kakurenbo(fraction=0.2)), "policy.fraction: saved 0.3, here 0.2"),
        (lambda: make(ds.Kakurenbo(), seed=12), "seed: saved 11, here 12"),
        (
            lambda: make(ds.Kakurenbo(), order="sequential"),
            "order.name: saved random, here sequential",
        ),
        (lambda: make(ds.InfoBatch(delta=1.0)), "policy: saved"),
        (lambda: ds.Sampler(N + 1, ds.Kakurenbo(), seed=11), "num_samples: saved 157, here 158"),
        (lambda: make(ds.Kakurenbo(), subset=np.arange(9)), "subset: saved None"),
    ],
)
def test_a_state_of_another_run_is_refused_and_changes_nothing(
    other: Callable[[], ds.Sampler], message: str, tmp_path: Path
) -> None:
    sampler = make(ds.Kakurenbo())
    next(iter(sampler))
    sampler.save(tmp_path, consumed=1)
    resumed = other()
    digest = resumed.plan.digest
    with pytest.raises(StateError, match=message):
        resumed.load(tmp_path)
    assert resumed.plan.digest == digest
    assert resumed.state_dict()["positions"] == 0


def test_an_allowed_difference_starts_the_epoch_again_with_what_was_observed(
    tmp_path: Path,
) -> None:
    sampler = make(ds.Kakurenbo())
    index = next(iter(sampler))
    sampler.observe(index, **signals(index, 0))
    sampler.save(tmp_path)
    resumed = make(ds.Kakurenbo(), seed=12)
    with pytest.warns(RuntimeWarning, match="epoch 0 starts again"):
        resumed.load(tmp_path, allow={"seed"})
    assert resumed.state_dict()["positions"] == 0
    assert set(np.flatnonzero(resumed.table.seen)) == set(index)


def test_what_may_be_allowed_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match="allow must be among fingerprint, order, policy, seed, got size"
    ):
        make(ds.Uniform()).load(tmp_path, allow={"size"})


def test_a_damaged_state_changes_nothing(tmp_path: Path) -> None:
    sampler = make(ds.Kakurenbo())
    index = next(iter(sampler))
    sampler.observe(index, **signals(index, 0))
    sampler.save(tmp_path)
    file = next(tmp_path.glob("generation-*/log-00000.safetensors"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(StateError, match="damaged"):
        sampler.load(tmp_path)
    np.testing.assert_array_equal(next(iter(sampler)), sampler.plan.order[16:32])


def test_a_prefetching_loader_must_say_what_was_consumed(tmp_path: Path) -> None:
    sampler = make(ds.Kakurenbo())
    drawn = list(sampler)[:4]
    sampler.observe(drawn[0], **signals(drawn[0], 0))
    with pytest.raises(ValueError, match="pass consumed="):
        sampler.save(tmp_path)
    with pytest.raises(ValueError, match=r"consumed must be in \[0, 10\]"):
        sampler.save(tmp_path, consumed=11)
    sampler.save(tmp_path, consumed=1)
    resumed = make(ds.Kakurenbo())
    resumed.load(tmp_path)
    np.testing.assert_array_equal(next(iter(resumed)), drawn[1])


def test_the_same_plans_for_every_instruction_set_thread_count_and_kill() -> None:
    script = Path(__file__).parents[2] / "examples" / "exact_resume.py"
    run = subprocess.run(
        [sys.executable, str(script), "--n", "20000", "--epochs", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count(" same ") == len(ds.ops.available_isas()) + 2
    assert "DIFFERENT" not in run.stdout
