"""Plans that are open, below the sampler: matching by plan, names in a log, interrupts, damage."""

from __future__ import annotations

import copy
import random
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from damage import damage_state
from external_runs import ids_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_interrupts import Interrupter, again
from test_late_rules import Kept, N, observe

import dynsample as ds
from dynsample import _core
from dynsample.disk.checkpoint import StateError
from dynsample.run.boundary import ObservationError
from dynsample.table.log import ObservationLog, Portion

ROWS = 5


def matched(
    plans: list[list[int]], observed: list[tuple[int, int]]
) -> list[tuple[int, int] | None]:
    """Give each (row, plan) the first free place, of its plan or, for plan -1, of any."""
    free = [(p, place) for p, rows in enumerate(plans) for place in range(len(rows))]
    found: list[tuple[int, int] | None] = []
    for row, named in observed:
        fits = [at for at in free if plans[at[0]][at[1]] == row and named in (-1, at[0])]
        found.append(fits[0] if fits else None)
        free = [at for at in free if at not in fits[:1]]
    return found


@settings(max_examples=200)
@given(st.data())
def test_an_observation_takes_the_first_free_place_of_the_plan_that_it_names(
    data: st.DataObject,
) -> None:
    rows = st.lists(st.integers(0, ROWS - 1), max_size=6)
    plans = data.draw(st.lists(rows, min_size=1, max_size=4))
    one = st.tuples(st.integers(0, ROWS - 1), st.integers(-1, len(plans) - 1))
    observed = data.draw(st.lists(one, max_size=20))
    starts = [0, *np.cumsum([len(plan) for plan in plans]).tolist()]
    issued = np.array([row for plan in plans for row in plan], np.uint32)
    given_rows, names = np.array([*zip(*observed, strict=True)] or [[], []])
    places = _core.match_plans(
        issued, starts, given_rows.astype(np.uint32), names.astype(np.int32), ROWS
    )
    expected = [-1 if at is None else starts[at[0]] + at[1] for at in matched(plans, observed)]
    assert places.tolist() == expected


@pytest.mark.parametrize(
    ("starts", "plans", "error", "message"),
    [
        ([0, 2], [0, 0], ValueError, "starts must ascend from 0 to the end"),
        ([1, 3], [0, 0], ValueError, "starts must ascend"),
        ([], [0, 0], ValueError, "starts must ascend"),
        ([0, 3], [0, 1], IndexError, "plans must be below 1, got 1"),
        ([0, 3], [0], ValueError, "plans must have one entry per observation"),
    ],
)
def test_what_cannot_be_matched_is_refused(
    starts: list[int], plans: list[int], error: type[Exception], message: str
) -> None:
    rows, names = np.zeros(3, np.uint32), np.array(plans, np.int32)
    with pytest.raises(error, match=message):
        _core.match_plans(rows, starts, rows[:2], names, ROWS)


def test_a_log_keeps_what_a_batch_names_through_its_parts() -> None:
    log, one = ObservationLog(ROWS, ["loss"]), np.array([1])
    log.set_allowed(None, {3: None, 4: np.arange(ROWS) != 2})
    signals = {"loss": np.zeros(1, np.float32)}

    def append(*plans: int | None) -> None:
        for plan in plans:
            log.append(one, signals, plan)

    append(None, None)
    log.close()
    assert log.named() is None
    append(3, 3, None)
    log.close()
    append(None, 4)
    log.close()
    append(3)
    named = log.named()
    assert named is not None
    assert named.tolist() == [-1, -1, 3, 3, -1, -1, 4]
    log.drop_closed()
    log.close()
    named = log.named()
    assert named is not None
    assert named.tolist() == [3]
    log.append(np.array([2]), {"loss": np.ones(1)}, 3)  # converted
    with pytest.raises(ValueError, match=r"id 2 \(row 0 of the batch\) was not issued in epoch 4"):
        log.append(np.array([2]), signals, 4)
    with pytest.raises(ValueError, match="epoch 5 is not open"):
        append(5)
    log.clear()
    append(None)
    log.close()
    assert log.named() is None


def test_portions_that_do_not_fit_change_nothing() -> None:
    table = ds.ScoreTable(ROWS, {"loss": ds.Last()})
    log = ObservationLog(ROWS, ["loss"])
    log.append(np.array([1, 2]), {"loss": np.ones(2, np.float32)})
    log.close()
    good = Portion(0, np.array([0, -1]))
    for bad in (np.array([0]), np.array([0, 2**32])):
        with pytest.raises(ValueError, match="tickets must"):
            table.fold_portions(log, [good, Portion(1, bad)])
        assert (log.num_closed, table.seen.any()) == (2, False)
    table.fold_portions(log, [good, Portion(1, np.array([-1, 0]))])
    assert np.flatnonzero(table.seen).tolist() == [1, 2]


def in_flight() -> ds.Sampler:
    """A sampler with observations of three plans in its log, at the end of the third."""
    sampler = ds.Sampler(N, Kept(), issue="external", late=2)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        ids = list(ids_of(sampler))
        observe(sampler, ids[epoch : epoch + 5], float(epoch), epoch=epoch)
    observe(sampler, ids[:4], 7.0, epoch=0)
    observe(sampler, ids[2:8], 8.0)
    return sampler


def after(sampler: ds.Sampler) -> list[object]:
    state = {name: array.tobytes() for name, array in sampler.table.state().items()}
    return [sampler.epoch, sampler.outstanding.tolist(), state]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_an_interrupt_between_two_epochs_folds_what_is_late_once() -> None:
    before = in_flight()
    counter = Interrupter(None)
    undisturbed = copy.deepcopy(before)
    counter.call(partial(undisturbed.set_epoch, 3))
    undisturbed.set_epoch(4)
    expected = after(undisturbed)
    for line in np.random.default_rng(0).integers(1, counter.lines, 150).tolist():
        sampler, interrupter = copy.deepcopy(before), Interrupter(line)
        again(interrupter, partial(sampler.set_epoch, 3))
        sampler.set_epoch(4)
        assert interrupter.hit
        assert after(sampler) == expected, f"interrupted at line {line}"


def test_a_damaged_state_with_open_plans_is_loaded_or_refused(tmp_path: Path) -> None:
    sampler, refused = in_flight(), 0
    for seed in range(120):
        (folder := tmp_path / str(seed)).mkdir()
        sampler.save(folder / "state")
        damage_state(folder, random.Random(seed))
        other = ds.Sampler(N, Kept(), issue="external", late=2)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other.load(folder / "state")
                other.set_epoch(3)
                other.set_epoch(4)
        except (StateError, ObservationError):
            refused += 1
    assert refused > 0
