import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynsample.priority import PriorityTree
from dynsample.reference import priority as reference

PRIORITIES = st.one_of(
    st.floats(0, 100, width=32), st.sampled_from([0.0, -0.0, 1.0, 1e-30, 1e-8, 65536.0])
)


def filled(priorities):
    tree = PriorityTree(len(priorities))
    tree.update(np.arange(len(priorities)), np.asarray(priorities, np.float32))
    return tree


def leaves(tree):
    return tree.state_dict()["units"].tolist()


@given(st.lists(PRIORITIES, min_size=1, max_size=70), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_update_and_draw_equal_the_oracle(priorities, k, step):
    tree = filled(priorities)
    wanted = reference.units(np.float32(priorities), tree.unit)
    assert leaves(tree) == wanted
    assert tree.total == pytest.approx(sum(wanted) * tree.unit, rel=1e-15)
    if not any(wanted):
        return
    index, probability = tree.draw(k, seed=7, step=step)
    expected, expected_probability = reference.draw(wanted, k, seed=7, step=step)
    np.testing.assert_array_equal(index, expected, strict=True)
    np.testing.assert_array_equal(probability, expected_probability, strict=True)


@pytest.mark.parametrize("size", [1, 7, 8, 9, 511, 512, 513, 32767, 32769, 70_000])
def test_trees_of_every_height_equal_the_oracle(size):
    rng = np.random.default_rng(size)
    priorities = rng.exponential(size=size).astype(np.float32)
    priorities[rng.random(size) < 0.3] = 0
    priorities[-1] = 1
    tree = filled(priorities)
    index, probability = tree.draw(300, seed=2**64 - 1, step=3)
    wanted = reference.units(priorities, tree.unit)
    expected, expected_probability = reference.draw(wanted, 300, seed=2**64 - 1, step=3)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(probability, expected_probability)
    for count in {0, 1, 8, 9, 64, 512, 513, 4096, 32768, size - 1, size}:
        if count <= size:
            assert tree.sum(0, count) == sum(wanted[:count]) * tree.unit
            assert tree.sum(count) == sum(wanted[count:]) * tree.unit


@settings(max_examples=30)
@given(st.integers(1, 600), st.integers(0, 2**31))
def test_the_order_of_updates_leaves_no_trace(size, seed):
    rng = np.random.default_rng(seed)
    wandering = PriorityTree(size)
    for _ in range(5):
        ids = rng.integers(0, size, 50)
        wandering.update(ids, rng.exponential(100, 50).astype(np.float32))
    final = rng.random(size).astype(np.float32)
    order = rng.permutation(size)
    wandering.update(order, final[order])
    straight = filled(final)
    assert wandering.total == straight.total
    for mine, theirs in zip(
        wandering.draw(64, seed=1, step=2), straight.draw(64, seed=1, step=2), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


def test_of_a_repeated_id_the_last_counts():
    tree = PriorityTree(3)
    tree.update(np.array([1, 1, 1]), np.float32([5, 0, 2]))
    assert tree.total == 2
    index, probability = tree.draw(4, seed=0, step=0)
    assert index.tolist() == [1] * 4
    assert probability.tolist() == [1.0] * 4


def test_strata_give_every_sample_its_share():
    tree = filled([1, 0, 2, 5])
    index, probability = tree.draw(800, seed=0, step=0)
    np.testing.assert_array_equal(np.bincount(index), [100, 0, 200, 500])
    assert set(probability.tolist()) == {0.125, 0.25, 0.625}


def test_steps_and_seeds_draw_differently():
    tree = filled(np.ones(1000))
    first = tree.draw(50, seed=0, step=0)[0].tolist()
    assert tree.draw(50, seed=0, step=0)[0].tolist() == first
    assert tree.draw(50, seed=0, step=1)[0].tolist() != first
    assert tree.draw(50, seed=1, step=0)[0].tolist() != first


def test_the_largest_priorities_fit():
    tree = PriorityTree(1000)
    tree.update(np.arange(1000), np.full(1000, tree.priority_limit, np.float32))
    assert tree.total == pytest.approx(1000 * tree.priority_limit)
    index, _ = tree.draw(1000, seed=0, step=0)
    np.testing.assert_array_equal(index, np.arange(1000))


@given(st.lists(PRIORITIES, min_size=1, max_size=70), st.data())
def test_priorities_sums_and_minima_are_those_of_the_oracle(priorities, data):
    tree = filled(priorities)
    kept = [unit * tree.unit for unit in reference.units(np.float32(priorities), tree.unit)]
    ids = st.integers(0, len(kept) - 1)
    index = data.draw(st.lists(ids, max_size=9))
    assert tree[index].tolist() == [kept[i] for i in index]
    assert tree[index[:1] or [0]].dtype == np.float64
    one = data.draw(ids)
    for way in (int, np.int64, np.array, torch.tensor):
        assert tree[way(one)] == kept[one]
        assert isinstance(tree[way(one)], float)
    start, end = sorted(data.draw(st.tuples(ids, ids)))
    assert tree.sum(start, end) == sum(kept[start:end])
    assert tree.min(start, end) == min((p for p in kept[start:end] if p), default=np.inf)
    assert tree.sum(start) == sum(kept[start:])
    assert tree.sum() == tree.total == sum(kept)
    assert tree.min() == min((p for p in kept if p), default=np.inf)


def test_new_rows_get_the_largest_priority_ever_seen():
    tree = PriorityTree(9)
    assert tree.max_priority == 1
    tree.update([0], [0.0])
    assert tree.max_priority == 1
    tree.update([1, 2], [0.25, 0.125])
    assert tree.max_priority == 0.25  # not the 1 from before there was one
    tree.update(torch.tensor([3]), torch.tensor([7.0], requires_grad=True))
    tree.update([3], [0.5])
    assert tree.max_priority == 7
    with pytest.raises(ValueError, match="for id 5"):
        tree.update([4, 5], [9.0, 1e30])
    assert tree.max_priority == 7
    tree.update([4], [tree.max_priority])
    assert tree[4] == 7
    assert repr(tree) == "PriorityTree(num_samples=9, total=7.875, max_priority=7)"


def test_a_state_without_the_largest_priority_has_the_largest_there_is():
    tree, other = filled([1, 5, 2]), PriorityTree(3)
    tree.update([1], [3.0])
    state = tree.state_dict()
    other.load_state_dict(state)
    assert other.max_priority == 5
    del state["max_priority"]
    other.load_state_dict(state)
    assert other.max_priority == 3


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t[3], IndexError, r"index must be in \[0, 3\), got id 3"),
        (lambda t: t[[0, -1]], IndexError, "got id -1"),
        (lambda t: t[0.5], TypeError, "index must be a one-dimensional integer array"),
        (lambda t: t[True], TypeError, "index must be a one-dimensional integer array, got bool"),
        (lambda t: t["a"], TypeError, "index must be a sequence of numbers, got str 'a'"),
        (lambda t: t.sum(0, 4), ValueError, r"end must be in \[0, 3\], got 4"),
        (lambda t: t.min(2, 1), ValueError, r"start must be in \[0, 1\], got 2"),
        (lambda t: t.sum(-1), ValueError, r"start must be in \[0, 3\], got -1"),
        (lambda t: t.update([0], None), TypeError, "priorities must be a sequence of numbers"),
        (lambda t: t.update([0], ["a"]), TypeError, "priorities must be a sequence of numbers"),
        (lambda t: t.update([0.0], [1.0]), TypeError, "index must have an integer dtype"),
        (lambda t: t.draw(1.5, seed=0, step=0), TypeError, "k must be an integer, got float 1.5"),
    ],
)
def test_what_a_tree_cannot_answer_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(filled([1, 2, 3]))


def test_a_state_brings_back_the_tree():
    tree = filled(np.random.default_rng(0).random(3000))
    other = PriorityTree(3000)
    other.load_state_dict(tree.state_dict())
    other.update(np.array([5]), np.float32([3]))
    tree.update(np.array([5]), np.float32([3]))
    assert other.total == tree.total
    for mine, theirs in zip(
        other.draw(99, seed=0, step=0), tree.draw(99, seed=0, step=0), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("index", "priorities", "error", "message"),
    [
        ([0, 1], [1, np.nan], ValueError, r"got nan for id 1 \(row 1 of the batch\)"),
        ([0, 1], [1, -1], ValueError, r"priorities must be in \[0, .*\], got -1"),
        ([0, 1], [1, np.inf], ValueError, "got inf"),
        ([0, 3], [1, 1], IndexError, r"index must be in \[0, 3\), got id 3 \(row 1"),
        ([0, -1], [1, 1], IndexError, "got id -1"),
        ([0, 1], [1], ValueError, "priorities must have one value per id: it has 1, index 2"),
    ],
)
def test_a_refused_update_changes_nothing(index, priorities, error, message):
    tree = filled([1, 2, 3])
    with pytest.raises(error, match=message):
        tree.update(np.array(index), np.float32(priorities))
    assert leaves(tree) == leaves(filled([1, 2, 3]))


def test_other_refusals():
    tree = PriorityTree(3)
    with pytest.raises(ValueError, match="priorities must have a positive one before a draw"):
        tree.draw(1, seed=0, step=0)
    assert len(tree.draw(0, seed=0, step=0)[0]) == 0
    with pytest.raises(ValueError, match=r"step must be in \[0, 4294967295\], got -1"):
        tree.draw(1, seed=0, step=-1)
    with pytest.raises(ValueError, match="units must have 3 entries, got 2"):
        tree.load_state_dict({"version": 1, "units": np.zeros(2, np.int64)})
    with pytest.raises(ValueError, match=r"units must be in \[0, "):
        tree.load_state_dict({"version": 1, "units": np.array([0, -1, 0])})
    with pytest.raises(ValueError, match="version of the state must be 1, got 2"):
        tree.load_state_dict({"version": 2})
    with pytest.raises(ValueError, match=r"num_samples must be in \[1, 4294967295\], got 0"):
        PriorityTree(0)
