"""Which data a state is of, and which ids a weight is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.run.state import bring

N, B = 20, 6


def make(**options: object) -> ds.Sampler:
    return ds.Sampler(N, ds.Uniform(), B, **options)


def test_a_state_of_other_data_of_the_same_size_is_refused(tmp_path: Path) -> None:
    make(fingerprint="one").save(tmp_path)
    make(fingerprint="one").load(tmp_path)
    other = make(fingerprint="two")
    with pytest.raises(StateError, match="fingerprint: saved one, here two; allow="):
        other.load(tmp_path)
    other.load(tmp_path, allow={"fingerprint"})


def test_a_fingerprint_that_comes_after_the_load_is_compared_then(tmp_path: Path) -> None:
    make(fingerprint="one").save(tmp_path)
    sampler = make()
    sampler.load(tmp_path)
    with pytest.raises(StateError, match=r"one.*two: its scores belong to other samples"):
        bring(sampler.run, lambda: "two")
    bring(sampler.run, lambda: "one")
    assert sampler.fingerprint == "one"


def test_a_sampler_is_for_one_data_set() -> None:
    sampler = make()
    bring(sampler.run, lambda: "one")
    bring(sampler.run, lambda: "one")
    with pytest.raises(ValueError, match=r"fingerprint two, .* one with one"):
        bring(sampler.run, lambda: "two")


def test_a_state_from_before_there_were_fingerprints_loads(tmp_path: Path) -> None:
    make().save(tmp_path)
    make(fingerprint="one").load(tmp_path)


@pytest.mark.parametrize("wrong", ["", 3, b"one"])
def test_a_fingerprint_is_a_string(wrong: object) -> None:
    with pytest.raises(TypeError, match="fingerprint must be a non-empty string"):
        make(fingerprint=wrong)


def test_torch_data_sets_bring_theirs(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from dynsample.torch import DataLoader

    class Data:
        def __init__(self, fingerprint: str) -> None:
            self.fingerprint = fingerprint

        def __len__(self) -> int:
            return N

        def __getitem__(self, i: int) -> int:
            return i

    sampler = make()
    DataLoader(Data("one"), sampler=sampler)
    sampler.save(tmp_path)
    other = make()
    DataLoader(Data("two"), sampler=other)
    with pytest.raises(StateError, match="fingerprint: saved one, here two"):
        other.load(tmp_path)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (np.array([N]), IndexError, r"must be in \[0, 20\), got id 20"),
        (np.array([-1]), IndexError, "got id -1"),
        (np.ones(N, np.bool_), TypeError, "index must have an integer dtype, got bool"),
        (np.array([1.0]), TypeError, "got float64"),
        ([1, 2], TypeError, "index must be a numpy, torch or DLPack array, got list"),
    ],
)
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
def test_weights_are_asked_for_by_ids(
    index: object, error: type, message: str, placement: str
) -> None:
    sampler = make(placement=placement)
    sampler.set_epoch(0)
    with pytest.raises(error, match=message):
        sampler.weights(index)


def test_weights_of_what_an_epoch_leaves_out_or_a_subset_lacks_are_refused() -> None:
    sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.5), B, subset=np.arange(0, N, 2))
    sampler.set_epoch(0)
    hidden = sampler.plan.hidden[:1]
    with pytest.raises(ValueError, match=f"id {hidden[0]} .*not issued in this epoch"):
        sampler.weights(hidden)
    with pytest.raises(ValueError, match=r"id 3 .*not in the subset"):
        sampler.weights(np.array([3]))
    assert sampler.weights(sampler.plan.order[:2]).tolist() == [1, 1]


def test_padded_rows_of_both_passes_weigh_nothing() -> None:
    """5 kept and 5 hidden samples, 2 a rank: the last step of each pass has a row for one rank."""

    def body(group: Group) -> list[list[float]]:
        sampler = ds.Sampler(10, ds.Kakurenbo(fraction=0.5, tau=0.0), 2, group=group)
        ones = np.ones(2, np.float32)
        for epoch in range(2):
            sampler.set_epoch(epoch)
            weights = []
            for batches in (sampler, sampler.hidden):
                for index in batches:
                    some = ones[: len(index)]
                    sampler.observe(index, loss=some * index[0], correct=some, confidence=some)
                weights.append(sampler.weights(index).tolist())
        return weights

    assert simulate(2, body) == [[[0.0], [0.0]], [[1.0], [1.0]]]


def test_a_loader_is_asked_for_its_fingerprint_once() -> None:
    asked: list[int] = []

    def fingerprint() -> str:
        asked.append(1)
        return "one"

    sampler = make()
    bring(sampler.run, fingerprint)
    assert [sampler.fingerprint for _ in range(3)] == ["one"] * 3
    assert len(asked) == 1
