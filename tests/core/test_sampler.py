"""Life of a sampler: epochs, cursors, observations, the hidden pass."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

import dynsample as ds
from dynsample.sampler import ObservationError

N = 103


def signals(index: np.ndarray, epoch: int = 0) -> dict[str, np.ndarray]:
    word = (index * 2654435761 + epoch * 40503) % 2**32
    loss = (word / 2**32).astype(np.float32)
    return {"loss": loss, "correct": (loss < 0.9).astype(np.float32), "confidence": 1 - loss / 4}


def make(policy: ds.Policy | None = None, n: int = N, **options: object) -> ds.Sampler:
    return ds.Sampler(n, policy or ds.Kakurenbo(fraction=0.4), batch_size=10, seed=3, **options)


def run_epoch(sampler: ds.Sampler, epoch: int, hidden: bool = True) -> np.ndarray:
    sampler.set_epoch(epoch)
    seen = []
    for batches in (sampler, sampler.hidden) if hidden else (sampler,):
        for index in batches:
            sampler.observe(index, **signals(index, epoch))
            seen.append(index)
    return np.concatenate(seen)


def test_an_epoch_issues_every_sample_once_kept_first_then_hidden() -> None:
    sampler = make()
    for epoch in range(4):
        ids = run_epoch(sampler, epoch)
        np.testing.assert_array_equal(np.sort(ids), np.arange(N))
        np.testing.assert_array_equal(ids[: len(sampler.plan.order)], sampler.plan.order)
    assert sampler.plan.num_hidden > 0
    np.testing.assert_array_equal(
        np.sort(ids[len(sampler.plan.order) :]), np.sort(sampler.plan.hidden)
    )


def test_batches_are_int64_of_batch_size_but_the_last() -> None:
    sampler = make(ds.Uniform())
    batches = list(sampler)
    assert [len(b) for b in batches] == [10] * 10 + [3]
    assert len(sampler) == 11 == sampler.max_batches
    assert all(b.dtype == np.int64 for b in batches)


def test_drop_last_leaves_out_what_does_not_fill_a_batch() -> None:
    sampler = make(ds.Uniform(), drop_last=True)
    assert [len(b) for b in sampler] == [10] * 10
    assert len(sampler) == 10 == sampler.max_batches


def test_hidden_samples_ignore_drop_last() -> None:
    sampler = make(drop_last=True)
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    assert sampler.plan.num_hidden % 10
    assert sum(len(b) for b in sampler.hidden) == sampler.plan.num_hidden


def test_epochs_differ_in_order_and_seeds_do_too() -> None:
    first, other = make(ds.Uniform()), ds.Sampler(N, ds.Uniform(), seed=4)
    orders = [first.plan.order]
    first.set_epoch(1)
    orders += [first.plan.order, other.plan.order]
    assert len({order.tobytes() for order in orders}) == 3


def test_iterating_goes_on_after_a_break_and_plans_the_next_epoch_at_the_end() -> None:
    sampler = make(ds.Uniform())
    for count, _ in enumerate(sampler, 1):
        if count == 4:
            break
    assert len(list(sampler)) == 7
    assert sampler.epoch == 0
    assert len(list(sampler)) == 11
    assert sampler.epoch == 1


def test_restart_drops_the_observations_and_starts_over() -> None:
    sampler = make()
    iterator = iter(sampler)
    index = next(iterator)
    sampler.observe(index, **signals(index))
    sampler.set_epoch(0, restart=True)
    np.testing.assert_array_equal(next(iter(sampler)), index)
    with pytest.warns(RuntimeWarning, match="nothing was observed"):
        sampler.set_epoch(1)
    assert not sampler.table.seen.any()


def test_an_iterator_of_an_epoch_that_was_left_says_so() -> None:
    sampler = make(ds.Uniform())
    iterator = iter(sampler)
    next(iterator)
    sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match="epoch 0 was left while it was being iterated"):
        next(iterator)


def test_observing_before_an_epoch_is_planned_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="call set_epoch, or iterate, first"):
        make().observe(np.arange(3), **signals(np.arange(3)))


def test_an_unknown_signal_is_named_and_an_unused_known_one_ignored() -> None:
    sampler = make()
    index = next(iter(sampler))
    with pytest.raises(ValueError, match="unknown signals los; known are confidence, correct"):
        sampler.observe(index, los=signals(index)["loss"])
    sampler.observe(index, el2n=np.zeros(10, np.float32), **signals(index))


def test_a_missing_signal_is_named() -> None:
    sampler = make()
    index = next(iter(sampler))
    with pytest.raises(ValueError, match="confidence"):
        sampler.observe(index, loss=signals(index)["loss"], correct=signals(index)["correct"])


def test_a_sample_that_the_epoch_hides_is_refused_in_the_step() -> None:
    sampler = make(ds.RandomSubset(fraction=0.5), columns={"loss": ds.Last()})
    sampler.set_epoch(0)
    hidden = sampler.plan.hidden[:1]
    with pytest.raises(ValueError, match=f"{hidden[0]}.*not issued"):
        sampler.observe(hidden, loss=np.zeros(1, np.float32))


def test_a_batch_observed_twice_is_raised_at_the_boundary_once() -> None:
    sampler = make()
    for index in sampler:
        sampler.observe(index, **signals(index))
    sampler.observe(index, **{name: v + 9 for name, v in signals(index).items()})
    with pytest.raises(ObservationError, match="3 observations of epoch 0"):
        sampler.set_epoch(1)
    assert sampler.stats["not_issued"] == 3
    np.testing.assert_array_equal(sampler.table["loss"], signals(np.arange(N))["loss"])
    sampler.set_epoch(1)
    assert sampler.epoch == 1


def test_an_observation_of_what_was_not_drawn_yet_is_raised_at_the_boundary() -> None:
    sampler = make()
    next(iter(sampler))
    late = sampler.plan.order[50:53]
    sampler.observe(late, **signals(late))
    with pytest.raises(ObservationError, match="3 observations"):
        sampler.set_epoch(1)
    assert not sampler.table.seen.any()


def test_a_due_refresh_that_was_not_done_is_warned_of_once() -> None:
    sampler = make()
    run_epoch(sampler, 0)
    run_epoch(sampler, 1, hidden=False)
    with pytest.warns(RuntimeWarning, match="were due for a forward pass"):
        sampler.set_epoch(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_epoch(sampler, 2, hidden=False)
        sampler.set_epoch(3)


def test_an_epoch_without_observations_is_warned_of() -> None:
    sampler = make()
    list(sampler)
    with pytest.warns(RuntimeWarning, match="nothing was observed in epoch 0"):
        sampler.set_epoch(1)


def test_the_hidden_view_is_empty_without_a_due_refresh() -> None:
    sampler = make(ds.Kakurenbo(fraction=0.4, refresh_every=2))
    run_epoch(sampler, 0)
    run_epoch(sampler, 1)
    assert sampler.plan.num_hidden > 0
    assert len(sampler.hidden) == 0 == len(list(sampler.hidden))
    sampler.set_epoch(2)
    assert sum(len(b) for b in sampler.hidden) == sampler.plan.num_hidden > 0


def test_weights_are_by_id_and_of_the_kind_of_the_index() -> None:
    torch = pytest.importorskip("torch")
    sampler = make(ds.InfoBatch(ratio=0.5, delta=1.0))
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    index = next(iter(sampler))
    weights = sampler.weights(index)
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(weights, sampler.plan.weights[index])
    assert set(np.unique(sampler.plan.weights)) > {1.0}
    tensor = sampler.weights(torch.from_numpy(index))
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), weights)


def test_weights_are_one_when_the_policy_gives_none() -> None:
    np.testing.assert_array_equal(make(ds.Uniform()).weights(np.arange(4)), np.ones(4, np.float32))


def test_stats_say_what_the_epoch_does() -> None:
    sampler = make()
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    stats = sampler.stats
    assert stats["num_hidden"] == sampler.plan.num_hidden
    assert stats["num_hidden"] + stats["moved_back"] == stats["candidates"] == int(0.4 * N)
    assert stats["fraction"] == sampler.plan.num_hidden / N
    assert stats["lr_scale"] == sampler.lr_scale == pytest.approx(1 / 0.6)
    assert (stats["unseen"], stats["non_finite"], stats["not_issued"]) == (0, 0, 0)


def test_values_that_are_not_finite_are_counted_and_never_hidden() -> None:
    sampler = make()
    for index in sampler:
        values = signals(index)
        values["loss"][index == 7] = np.nan
        values["loss"][index == 8] = -np.inf
        sampler.observe(index, **values)
    sampler.set_epoch(1)
    assert sampler.stats["non_finite"] == 2
    assert not {7, 8} & set(sampler.plan.hidden.tolist())


def test_progress_is_epochs_as_a_fraction() -> None:
    sampler = make(ds.Uniform(), n=40)
    assert sampler.progress == 0
    iterator = iter(sampler)
    next(iterator)
    assert sampler.progress == 0.25
    list(iterator)
    assert sampler.progress == 1
    sampler.set_epoch(5)
    assert sampler.progress == 5


def test_a_subset_trains_on_its_ids_alone_and_composes_with_a_policy() -> None:
    subset = np.array([5, 99, 7, 20, 21, 22, 23, 24, 60, 1])
    sampler = make(subset=subset)
    for epoch in range(3):
        np.testing.assert_array_equal(np.sort(run_epoch(sampler, epoch)), np.sort(subset))
    assert 0 < sampler.plan.num_hidden <= 4
    assert set(sampler.plan.hidden) <= set(subset)
    with pytest.raises(ValueError, match=r"id 6 .*not issued"):
        sampler.observe(np.array([6]), **signals(np.array([6])))


def test_weights_of_a_subset_go_by_id() -> None:
    subset = np.array([50, 3, 77, 12])
    sampler = make(ds.InfoBatch(ratio=0.5, delta=1.0), subset=subset)
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    kept = np.isin(np.sort(subset), sampler.plan.order)
    by_row = sampler.plan.weights[kept]
    np.testing.assert_array_equal(sampler.weights(np.sort(subset)[kept]), by_row)


@pytest.mark.parametrize(
    ("subset", "error", "message"),
    [
        ([1, 1, 2], ValueError, "1 are repeated"),
        ([1, N], IndexError, r"ids in \[0, 103\), got 1 to 103"),
        ([-1, 2], IndexError, "got -1 to 2"),
        ([0.5], TypeError, "integer array, got float64"),
        ([[1]], TypeError, "one-dimensional"),
    ],
)
def test_a_bad_subset_is_refused(subset: list[object], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make(subset=np.array(subset))


def test_sequential_order_is_by_id() -> None:
    np.testing.assert_array_equal(make(ds.Uniform(), order="sequential").plan.order, np.arange(N))


def test_page_local_order_stays_inside_windows_of_pages() -> None:
    pages = np.arange(N) // 8
    sampler = make(ds.Uniform(), order=ds.PageLocal(pages, window=3))
    order = sampler.plan.order
    np.testing.assert_array_equal(np.sort(order), np.arange(N))
    start, windows = 0, 0
    while start < N:  # a window ends where its pages are used up
        stop = start
        taken: set[int] = set()
        while stop < N and (pages[order[stop]] in taken or len(taken) < 3):
            taken.add(int(pages[order[stop]]))
            stop += 1
        assert stop - start == np.isin(pages, list(taken)).sum()
        start, windows = stop, windows + 1
    assert windows == -(-13 // 3)
    assert not np.array_equal(pages[order], np.sort(pages[order]))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"num_samples": -1}, ValueError, r"num_samples must be in \[0, 4294967295\], got -1"),
        ({"num_samples": 2**32}, ValueError, "num_samples must be in"),
        ({"num_samples": 5.0}, TypeError, "num_samples must be an integer, got float"),
        ({"num_samples": 5, "batch_size": 0}, ValueError, "batch_size must be in"),
        ({"num_samples": 5, "seed": -1}, ValueError, "seed must be in"),
        ({"num_samples": 5, "order": "shuffled"}, ValueError, "got 'shuffled'"),
    ],
)
def test_bad_arguments_are_refused(options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        ds.Sampler(**options)


@pytest.mark.parametrize("n", [0, 1])
def test_tiny_data_sets_work(n: int) -> None:
    sampler = make(n=n)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        ids = [i for b in (*sampler, *sampler.hidden) for i in b.tolist()]
        assert ids == list(range(n))
        for i in ids:
            sampler.observe(np.array([i]), **signals(np.array([i])))


def test_state_is_small_and_json_able() -> None:
    sampler = make()
    next(iter(sampler))
    state = json.loads(json.dumps(sampler.state_dict()))
    assert state["positions"] == 10
    assert len(json.dumps(state)) < 400


def test_state_dict_resumes_a_policy_that_needs_no_table() -> None:
    sampler, other = make(ds.Uniform()), make(ds.Uniform())
    sampler.set_epoch(2)
    iterator = iter(sampler)
    next(iterator)
    other.load_state_dict(sampler.state_dict())
    np.testing.assert_array_equal(np.concatenate(list(other)), np.concatenate(list(iterator)))


def test_state_dict_of_another_table_asks_for_load() -> None:
    sampler = make()
    run_epoch(sampler, 0)
    sampler.set_epoch(1)
    with pytest.raises(ValueError, match=r"load the table with sampler\.load"):
        make().load_state_dict(sampler.state_dict())
