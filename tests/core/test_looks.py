"""Looks at the data, lengths, and several iterators: an epoch is not used up by them."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

import numpy as np
import pytest
from small_runs import B, N, kakurenbo, make, observe, take, train

from dynsample.groups import Group, simulate
from dynsample.run.passes import Batch
from dynsample.run.views import PassIterator

pytestmark = pytest.mark.filterwarnings("ignore:.*hidden samples were due")


# peek and all


def test_peek_moves_nothing() -> None:
    sampler = make()
    sampler.set_epoch(0)
    first = take(sampler, 1)
    state = sampler.state_dict()
    peeked = np.concatenate(sampler.peek(2))
    assert sampler.state_dict() == state
    rest = take(sampler)
    np.testing.assert_array_equal(peeked, rest[: 2 * B])
    assert sorted([*first, *rest]) == list(range(N))
    assert sampler.peek() == []


def test_peek_before_the_first_epoch_leaves_it_whole() -> None:
    sampler = make()
    sampler.peek(3)
    sampler.set_epoch(0)
    np.testing.assert_array_equal(take(sampler), sampler.plan.order)


def test_all_gives_every_id_once_ascending_and_leaves_no_trace() -> None:
    sampler = kakurenbo()
    train(sampler, 0)
    sampler.set_epoch(1)
    state = sampler.state_dict()
    batches = list(sampler.all(batch_size=7))
    assert [len(batch) for batch in batches] == [7] * 5 + [5]
    assert len(sampler.all(batch_size=7)) == 6
    np.testing.assert_array_equal(np.concatenate(batches), np.arange(N))
    assert sampler.state_dict() == state


@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_is_dealt_over_the_ranks(size: int) -> None:
    subset = np.arange(3, 30, 2)

    def ids(group: Group) -> list[int]:
        sampler = make(group=group, batch_size=4, subset=subset)
        return take(sampler.all()).tolist()

    parts = simulate(size, ids)
    assert sorted(chain(*parts)) == subset.tolist()
    assert all(part == sorted(part) for part in parts)


def test_observing_while_all_is_iterated_is_refused() -> None:
    sampler = kakurenbo()
    sampler.set_epoch(0)
    for index in sampler.all():
        with pytest.raises(RuntimeError, match="observe while batches are only looked at"):
            observe(sampler, index)
        break
    del index
    train(sampler)
    sampler.set_epoch(1)
    assert sampler.stats["unseen"] == 0


def test_all_while_a_pass_is_iterated_is_an_error() -> None:
    sampler = make()
    batches = iter(sampler)
    next(batches)
    with pytest.raises(RuntimeError, match=r"all\(\) while another pass"):
        iter(sampler.all())
    del batches
    assert len(take(sampler.all())) == N


# len


def test_a_length_that_was_asked_too_early_is_said_once() -> None:
    sampler = kakurenbo()
    assert len(sampler) == 5
    train(sampler)
    with pytest.warns(RuntimeWarning, match=r"epoch 1 has 3 batches, and len\(\) said 5 .*set_ep"):
        train(sampler)


def test_a_length_asked_after_set_epoch_is_right_and_nothing_is_said() -> None:
    sampler = kakurenbo()
    for epoch in range(3):
        sampler.set_epoch(epoch)
        expected = len(sampler)
        assert sum(1 for _ in sampler) == expected
        sampler.set_epoch(epoch, restart=True)
        train(sampler)


# Several iterators and threads


def test_a_second_iterator_of_a_pass_ends_the_first_with_an_error() -> None:
    sampler = make()
    pairs = zip(sampler, sampler, strict=True)
    with pytest.raises(RuntimeError, match="another iterator went on with the same pass"):
        list(pairs)


def test_an_iterator_in_several_threads_hands_out_nothing_twice() -> None:
    sampler = make(batch_size=1)
    batches = iter(sampler)
    barrier = threading.Barrier(4)

    def draw() -> list[int]:
        barrier.wait()
        ids = []
        for _ in range(N):
            with suppress(ValueError, StopIteration):  # "already executing", as of a generator
                ids.append(int(next(batches)[0]))
        return ids

    with ThreadPoolExecutor(4) as pool:
        parts = [future.result() for future in [pool.submit(draw) for _ in range(4)]]
    ids = list(chain(*parts))
    assert len(ids) == len(set(ids))


# Batches


def test_batches_iterate_as_pythons_ints_and_pickle() -> None:
    batch = next(iter(make()))
    assert isinstance(batch, Batch)
    assert all(type(i) is int for i in batch)
    copy = pickle.loads(pickle.dumps(batch))
    assert all(type(i) is int for i in copy)
    np.testing.assert_array_equal(copy, batch)


def test_what_can_be_iterated_says_what_it_is() -> None:
    sampler = make()
    assert repr(sampler.all()) == f"AllView(batch_size={B}; nothing planned yet)"
    assert repr(iter(sampler.all(7))) == f"LookIterator({N} samples; none is to be observed)"
    sampler.set_epoch(0)
    at_start = "epoch 0, 0 of 0 hidden positions handed out"
    assert repr(sampler.hidden) == f"HiddenView(batch_size={B}; {at_start})"
    loop = PassIterator(iter(()), sampler.hidden)
    assert repr(loop) == f"PassIterator(HiddenView(batch_size={B}; {at_start}))"
    assert repr(iter(sampler)) == f"BatchIterator(kept samples of epoch 0, 0 of {N} handed out)"
