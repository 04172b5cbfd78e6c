"""IES."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, tables

import dynsample as ds

WINDOWS = (1, 2, 3)


@given(
    st.sampled_from(WINDOWS).flatmap(
        lambda window: st.tuples(st.just(window), tables(ds.IES(window=window).columns))
    ),
    st.sampled_from([1e-3, 0.25, 0.75, 2.0, 1e30]),
    EPOCHS,
    SEEDS,
)
def test_it_is_its_oracle(case, delta, epoch, seed) -> None:
    window, table = case
    policy = ds.IES(delta, window=window, warmup_epochs=2, refresh_every=3)
    selection = check(policy, table, epoch, seed)
    assert selection.hidden is None or not (selection.hidden & ~table.seen).any()


def run(policy: ds.IES, losses: list[list[float]]) -> ds.ScoreTable:
    """A table that observed these losses, an epoch a list; None: not observed in it."""
    table = ds.ScoreTable(len(losses[0]), policy.columns)
    for epoch, values in enumerate(losses):
        rows = [row for row, value in enumerate(values) if value is not None]
        table.observe(np.array(rows), epoch=epoch, loss=np.float32([values[row] for row in rows]))
    return table


def test_a_steady_loss_is_mastered_however_high_or_fast() -> None:
    policy = ds.IES(0.01, window=1, warmup_epochs=0)
    table = run(policy, [[0, 9, 3, 3, 1], [0, 9, 2, 3, 2], [0, 9, 1, 2.98, 1]])
    assert hidden_rows(select(policy, table, 3)) == [0, 1, 2]


def test_the_mean_of_the_window_decides() -> None:
    losses = [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.0], [1.0, 1.5]]
    for delta, window, hidden in ((0.4, 1, [0]), (0.4, 3, [0, 1]), (0.15, 3, [0])):
        policy = ds.IES(delta, window=window, warmup_epochs=0)
        assert hidden_rows(select(policy, run(policy, losses), 5)) == hidden


def test_too_few_losses_or_one_that_is_not_finite_hide_nothing() -> None:
    nan, inf = math.nan, math.inf
    losses = [[1, 1, 1, 1, None], [1, nan, inf, None, None], [1, 1, 1, 1, None]]
    policy = ds.IES(1e30, window=1, warmup_epochs=0)
    assert hidden_rows(select(policy, run(policy, losses), 3)) == [0]
    again = run(policy, [*losses, losses[2], losses[2]])
    assert hidden_rows(select(policy, again, 5)) == [0, 1, 2, 3]


def test_delta_itself_is_not_mastered_and_the_warm_up_hides_nothing() -> None:
    losses = [[1.0, 1.0], [1.0, 1.0], [1.25, 1.0]]
    policy = ds.IES(0.25, window=1, warmup_epochs=4, refresh_every=2)
    table = run(policy, losses)
    assert select(policy, table, 3) == ds.Selection()
    due = select(policy, table, 4)
    assert (hidden_rows(due), due.refresh, due.lr_scale, due.weights) == ([1], True, 1.0, None)
    assert not select(policy, table, 5).refresh


def test_a_hidden_sample_comes_back_when_its_refreshed_loss_turns() -> None:
    sampler = ds.Sampler(8, ds.IES(0.1, window=1, warmup_epochs=3), batch_size=4)
    for epoch in range(6):
        sampler.set_epoch(epoch)
        assert sampler.plan.hidden.tolist() == {3: [0, 1, 2, 3], 4: [0, 1, 2, 3], 5: [1, 2, 3]}.get(
            epoch, []
        )
        for batches in (sampler, sampler.hidden):
            for index in batches:
                unsteady = np.where(index < 4, 0, epoch % 2)
                loss = np.where((index == 0) & (epoch == 4), 5, unsteady)
                sampler.observe(index, loss=loss.astype(np.float32))


def published(history: dict[int, list[float]], threshold: float, average: int) -> list[int]:
    """The rule of the published code after an epoch (k = 1), in double."""
    excluded = []
    for sample, losses in history.items():
        differences = np.abs(np.diff(losses, 2)).tolist()
        if len(differences) >= average + 1 and sum(differences[-average:]) / average < threshold:
            excluded.append(sample)
    return excluded


def test_epochs_are_those_of_the_published_code() -> None:
    policy, n = ds.IES(), 200
    random = np.random.default_rng(0)
    noise = 10.0 ** -random.uniform(1, 6, n)
    table, history = ds.ScoreTable(n, policy.columns), {i: [] for i in range(n)}
    numbers = set()
    for epoch in range(16):
        wanted = published(history, 1e-3, 3)
        assert hidden_rows(select(policy, table, epoch)) == wanted, epoch
        numbers.add(len(wanted))
        loss = np.float32(0.3**epoch + noise * random.random(n))
        table.observe(np.arange(n), loss=loss, epoch=epoch)
        for i in range(n):
            history[i].append(float(loss[i]))
    assert len(numbers) > 2


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match=r"delta must be in \(0, inf\), got 0"):
        ds.IES(delta=0)
    with pytest.raises(ValueError, match=r"window must be in \[1, 100\], got 0"):
        ds.IES(window=0)
    with pytest.raises(TypeError, match="warmup_epochs must be an integer, got float"):
        ds.IES(warmup_epochs=1.5)
    with pytest.raises(ValueError, match="refresh_every must be in"):
        ds.IES(refresh_every=0)
