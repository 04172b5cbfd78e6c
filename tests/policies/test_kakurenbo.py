"""KAKURENBO."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import EPOCHS, SEEDS, check, hidden_rows, select, table_of, tables

import dynsample as ds

COLUMNS = ds.Kakurenbo().columns


@st.composite
def policies(draw: st.DrawFn) -> ds.Kakurenbo:
    return ds.Kakurenbo(
        fraction=draw(st.floats(0, 1, exclude_max=True)),
        tau=draw(st.sampled_from([0.0, 0.7, 0.9, 1.0])),
        schedule=draw(st.sampled_from([None, ds.schedules.kakurenbo(90)])),
        warmup_epochs=draw(st.integers(0, 5) | st.floats(0, 5)),
        refresh_every=draw(st.integers(1, 4)),
        lr=draw(st.sampled_from(["maximum", "realised"])),
    )


@given(policies(), tables(COLUMNS), EPOCHS, SEEDS)
def test_it_is_its_oracle(policy, table, epoch, seed) -> None:
    selection = check(policy, table, epoch, seed)
    assert selection.weights is None
    assert selection.counts is None
    stats = selection.stats
    assert stats["candidates"] - stats["moved_back"] == len(hidden_rows(selection))
    assert not (selection.hidden & ~table.seen).any()


def test_lowest_losses_are_hidden_and_the_unsure_moved_back_without_refill() -> None:
    table = table_of(
        COLUMNS,
        loss=[5, 1, 2, 3, 4],
        correct=[1, 1, 0, 1, 1],
        confidence=[0.9, 0.9, 0.9, 0.6, 0.9],
    )
    selection = select(ds.Kakurenbo(fraction=0.6), table, epoch=1)
    assert hidden_rows(selection) == [1]
    assert selection.stats == {"max_fraction": 0.6, "candidates": 3, "moved_back": 2}
    assert selection.lr_scale == 1 / (1 - 0.6)
    realised = select(ds.Kakurenbo(fraction=0.6, lr="realised"), table, epoch=1)
    assert realised.lr_scale == 1 / (1 - 1 / 5)


def test_epoch_0_hides_nothing_and_warm_up_leaves_the_learning_rate() -> None:
    table = table_of(COLUMNS, loss=[1, 2], correct=[1, 1], confidence=[1, 1])
    policy = ds.Kakurenbo(fraction=0.5, warmup_epochs=3)
    assert [hidden_rows(select(policy, table, e)) for e in range(3)] == [[], [0], [0]]
    assert [select(policy, table, e).lr_scale for e in range(5)] == [1, 1, 1, 2, 2]
    policy = ds.Kakurenbo(fraction=0.5, warmup_epochs=1.5)  # epoch 1 begins in it
    assert [select(policy, table, e).lr_scale for e in range(4)] == [1, 1, 2, 2]


def test_ties_go_to_the_smaller_index() -> None:
    table = table_of(COLUMNS, loss=[1.0] * 6, correct=[1] * 6, confidence=[1] * 6)
    assert hidden_rows(select(ds.Kakurenbo(fraction=0.5), table, 1)) == [0, 1, 2]


def test_the_confidence_that_equals_tau_is_sure() -> None:
    table = table_of(COLUMNS, loss=[1, 1], correct=[1, 1], confidence=[0.7, 0.69])
    assert hidden_rows(select(ds.Kakurenbo(fraction=0.99), table, 1)) == [0]


def test_the_schedule_scales_the_fraction() -> None:
    policy = ds.Kakurenbo(fraction=0.5, schedule=ds.schedules.kakurenbo(90))
    assert [policy.max_fraction(e) for e in (1, 30, 60, 80)] == [0.5, 0.4, 0.3, 0.2]
    with pytest.raises(ValueError, match=r"fraction \* schedule\(4\) must be in \[0, 1\), got 1.5"):
        select(ds.Kakurenbo(fraction=0.5, schedule=lambda e: 3.0), ds.ScoreTable(1, COLUMNS), 4)


def test_refresh_is_due_every_so_many_epochs() -> None:
    table = table_of(COLUMNS, loss=[1], correct=[1], confidence=[1])
    due = [select(ds.Kakurenbo(refresh_every=3), table, e).refresh for e in range(7)]
    assert due == [True, False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fraction": 1.0}, r"fraction must be in \[0, 1\), got 1.0"),
        ({"tau": 1.5}, r"tau must be in \[0, 1\], got 1.5"),
        ({"warmup_epochs": -1}, r"warmup_epochs must be in \[0, inf\), got -1"),
        ({"warmup_epochs": math.nan}, r"warmup_epochs must be in \[0, inf\), got nan"),
        ({"refresh_every": 0}, r"refresh_every must be in \[1, "),
        ({"confidence": "both"}, "confidence must be one of 'max', 'target', got 'both'"),
        ({"lr": "real"}, "lr must be one of 'maximum', 'realised', got 'real'"),
    ],
)
def test_bad_options_are_errors(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        ds.Kakurenbo(**options)


def test_the_fingerprint_holds_the_fields_and_the_value_of_the_schedule() -> None:
    policy = ds.Kakurenbo(schedule=ds.schedules.kakurenbo(90))
    assert policy.fingerprint(30)["class"] == "Kakurenbo"
    assert policy.fingerprint(30)["schedule"] == {"at_epoch": 30, "value": 0.8}
    assert policy.fingerprint(29) != policy.fingerprint(30)
    assert policy.fingerprint(30) != ds.Kakurenbo().fingerprint(30)
    assert policy.state() == {}
    with pytest.raises(ValueError, match="Kakurenbo has no state"):
        policy.load_state({"x": np.zeros(1)})


@pytest.mark.parametrize("epochs", [90, 200, 600])
def test_published_schedules_step_at_their_milestones(epochs: int) -> None:
    schedule = ds.schedules.kakurenbo(epochs)
    assert [schedule(m - 1) for m in schedule.milestones] == [1.0, 0.8, 0.6]
    assert [schedule(m) for m in schedule.milestones] == [0.8, 0.6, 0.4]
    with pytest.raises(ValueError, match="must be 90, 200 or 600, got 100"):
        ds.schedules.kakurenbo(100)
    with pytest.raises(ValueError, match="factors must have 3 entries"):
        ds.schedules.Steps((1, 2), (1.0,))
    with pytest.raises(ValueError, match="ascend"):
        ds.schedules.Steps((2, 2), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="factors must be in"):
        ds.schedules.Steps((), (math.inf,))
