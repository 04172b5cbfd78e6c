"""Names of samples: to rows and back, refused when two are one, and part of what a state is of."""

from __future__ import annotations

import copy
import enum
import pickle
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.groups.agreement import DisagreementError
from dynsample.kernels import keys as module
from tests.core.small_runs import N, make

NAMES = [f"train/{i:03}.jpg" for i in range(N)]
KEYS = ds.Keys(NAMES)
KINDS = st.one_of(
    st.lists(st.text(), unique=True),
    st.lists(st.binary(), unique=True),
    st.lists(st.integers(), unique=True),
)


@given(KINDS, st.randoms(use_true_random=False))
def test_names_go_to_rows_and_back(names: list[str | bytes | int], random: object) -> None:
    keys = ds.Keys(names)
    assert len(keys) == len(names)
    assert keys.rows(names).tolist() == [*range(len(names))]
    assert keys.names(range(len(names))) == names
    order = list(range(len(names)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert keys.rows([names[i] for i in order]).tolist() == order
    restored = ds.Keys.restored(keys.state())
    assert restored.fingerprint == keys.fingerprint
    assert restored.names(order) == [names[i] for i in order]


def test_arrays_paths_and_numbers_of_numpy_are_names() -> None:
    assert ds.Keys(np.array(NAMES)).fingerprint == KEYS.fingerprint
    assert ds.Keys(map(PurePosixPath, NAMES)).fingerprint == KEYS.fingerprint
    assert ds.Keys([np.int64(3), 2**70]).names([1, 0]) == [2**70, 3]
    assert ds.Keys(np.array([5, 7], np.uint8)).kind == "int"
    assert KEYS.rows([PurePosixPath(NAMES[3])]).tolist() == [3]
    odd = "a\udcff"  # a file's name that is no text
    assert ds.Keys([odd]).names([0]) == [odd]


class Split(str, enum.Enum):
    TRAIN = "train"


def test_a_name_is_what_it_holds_and_not_how_it_is_shown() -> None:
    assert ds.Keys([Split.TRAIN]).names([0]) == ["train"]
    digests = [bytes([row, 0]) for row in range(3)]
    assert ds.Keys(np.array(digests, "V2")).names(range(3)) == digests


def test_a_column_of_arrow_in_parts_is_names() -> None:
    pa = pytest.importorskip("pyarrow")
    column = pa.table({"key": pa.chunked_array([["a"], ["b", "c"]])})["key"]
    assert ds.Keys(column).names([2, 0]) == ["c", "a"]
    assert ds.Keys(["c", "b"]).rows(column.slice(1)).tolist() == [1, 0]


def test_lines_of_a_file_are_whole_numbers_as_they_are_written() -> None:
    keys = ds.Keys([12, 0, -3])
    assert keys.decoded([b"12", b"0", b"-3"]) == [12, 0, -3]
    for line in (b"1_2", b"+12", b" 12", b"012", b"12\r", b"-0", b"", b"x"):
        with pytest.raises(ValueError, match="a name must be an integer, as the keys are, got b'"):
            keys.decoded([line])


def test_what_tells_keys_apart_is_names_kind_and_order() -> None:
    every = [["1", "2"], ["2", "1"], [b"1", b"2"], [1, 2], ["1", "3"], ["1"], ["12", ""]]
    assert len({ds.Keys(names).fingerprint for names in every}) == len(every)


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="names must differ, got 'b' at 1 and at 3"):
        ds.Keys(["a", "b", "c", "b"])


def test_names_that_collide_are_refused_with_both(monkeypatch: pytest.MonkeyPatch) -> None:
    true = module._hash
    monkeypatch.setattr(module, "_hash", lambda name: true(b"b" if name == b"d" else name))
    with pytest.raises(ValueError, match="the same of 'b' at 1 and of 'd' at 3"):
        ds.Keys(["a", "b", "c", "d"])


@pytest.mark.parametrize("upper", [b"\0", b"\xff"])
def test_half_a_hash_is_not_enough(monkeypatch: pytest.MonkeyPatch, upper: bytes) -> None:
    true = module._hash
    monkeypatch.setattr(module, "_hash", lambda name: upper * 8 + true(name)[8:])
    keys = ds.Keys(NAMES)
    assert keys.rows(NAMES[::-1]).tolist() == [*range(N)][::-1]
    with pytest.raises(KeyError, match=f"2 of 3 names are not among the {N} keys, the first 'x'"):
        keys.rows([NAMES[0], "x", "y"])


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ("abc", TypeError, "names must be many, as in a list, got str 'abc'"),
        (7, TypeError, "names must be many, as in a list, got int 7"),
        ([True], TypeError, "a name must be a str, bytes, an int or a path, got bool True"),
        ([1.5], TypeError, "a name must be a str, bytes, an int or a path, got float 1.5"),
        (["a", 1], TypeError, "names must be of one kind, str, got int 1 at 1"),
        ([1, "a"], TypeError, "names must be of one kind, int, got str 'a' at 1"),
        ({"a", "b"}, TypeError, "names must be in an order, as in a list, got a set"),
        (np.array("ab"), TypeError, "names must have one dimension, got ndarray with 0"),
        (np.array([["a"]]), TypeError, "names must have one dimension, got ndarray with 2"),
        (np.zeros(2, "M8[ns]"), TypeError, r"text, bytes or integers, got datetime64\[ns\]"),
        (["\ud800"], ValueError, r"a name must be text, got '\\ud800': surrogates not allowed"),
    ],
)
def test_what_is_no_name_is_refused(names: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ds.Keys(names)  # type: ignore[arg-type]


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="1 of 1 names are not among the 40 keys, the first 'x'"):
        KEYS.rows(["x"])
    with pytest.raises(KeyError, match=r"the first 'x{79}\"$"):
        KEYS.rows(["x" * 1000])
    with pytest.raises(KeyError, match="1 of 1 names are not among the 0 keys"):
        ds.Keys([]).rows(["x"])
    with pytest.raises(TypeError, match="names must be of one kind, str, got int 3 at 0"):
        KEYS.rows([3])
    with pytest.raises(IndexError, match=r"ids must be in \[0, 40\), got 40"):
        KEYS.names([0, N])
    for wrong in ([True, False], ["0"], [0.5], np.array([0.5]), 1):
        with pytest.raises((TypeError, ValueError), match="ids must "):
            KEYS.names(wrong)
    assert ds.Keys([]).rows([]).dtype == np.int64
    assert repr(ds.Keys(["a"])) == "Keys(['a'], num_samples=1)"
    assert repr(KEYS).endswith(", ...], num_samples=40)")


def test_keys_do_not_change_and_travel() -> None:
    with pytest.raises(AttributeError, match="keys do not change"):
        KEYS.kind = "int"
    assert pickle.loads(pickle.dumps(KEYS)).rows(NAMES[5:7]).tolist() == [5, 6]
    assert copy.deepcopy(KEYS) is KEYS


@pytest.mark.parametrize(
    "saved", [{}, {"str": np.zeros(3, np.uint8)}, {"what": np.zeros(0), "lengths": np.zeros(0)}]
)
def test_what_are_no_keys_is_not_restored(saved: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="keys must be names and lengths"):
        ds.Keys.restored(saved)
    with pytest.raises(ValueError, match=r"names must be uint8\[4\], by their lengths, got uint8"):
        ds.Keys.restored({"str": np.zeros(3, np.uint8), "lengths": np.full(2, 2, np.uint32)})
    with pytest.raises(ValueError, match=r"lengths must be uint32, one for each name, got int64\["):
        ds.Keys.restored({"str": np.zeros(4, np.uint8), "lengths": np.array([2**40, 4 - 2**40])})


def run(keys: ds.Keys | None = KEYS, **options: object) -> ds.Sampler:
    return make(ds.InfoBatch(epochs=9), keys=keys, **options)


@pytest.mark.parametrize("subset", [None, np.arange(0, N, 3)])
def test_a_step_may_go_by_keys(subset: np.ndarray | None) -> None:
    by_id, by_key = run(None, subset=subset), run(subset=subset)
    for epoch in range(3):
        for sampler in (by_id, by_key):
            sampler.set_epoch(epoch)
        for index, _ in zip(by_id, by_key, strict=True):
            loss, names = (index * 7 % 11).astype(np.float32), KEYS.names(index)
            by_id.observe(index, loss=loss)
            by_key.observe(keys=names, loss=loss)
            np.testing.assert_array_equal(by_key.weights(keys=names), by_id.weights(index))
        assert by_key.plan.digest == by_id.plan.digest
    assert by_key.keys is KEYS


def test_ids_or_keys_and_one_of_them() -> None:
    sampler = run()
    index = next(iter(sampler))
    with pytest.raises(TypeError, match="either index or keys must be given, got neither"):
        sampler.observe(loss=np.ones(8))
    with pytest.raises(TypeError, match="either index or keys must be given, got both"):
        sampler.weights(index, keys=KEYS.names(index))
    with pytest.raises(ValueError, match="make the sampler with keys="):
        run(None).weights(keys=["a"])
    with pytest.raises(KeyError, match="1 of 2 names"):
        sampler.observe(keys=[NAMES[0], "x"], loss=np.ones(2))
    with pytest.raises(ValueError, match="keys must have num_samples = 40 names, got 39"):
        run(ds.Keys(NAMES[1:]))
    with pytest.raises(TypeError, match=r"keys must be a dynsample.Keys, got list"):
        run(NAMES)  # type: ignore[arg-type]


def test_a_state_is_of_its_keys(tmp_path: Path) -> None:
    run().save(tmp_path / "with")
    run().load(tmp_path / "with")
    run(ds.Keys(NAMES)).load(tmp_path / "with")
    with pytest.raises(ds.StateError, match=f"keys: saved {KEYS.fingerprint}, here "):
        run(ds.Keys(NAMES[::-1])).load(tmp_path / "with")
    run(None).load(tmp_path / "with")  # what one of the two does not have is not compared
    run(None).save(tmp_path / "without")
    run().load(tmp_path / "without")


def test_a_state_without_keys_says_nothing_of_them(tmp_path: Path) -> None:
    run(None).save(tmp_path)
    assert "keys" not in (tmp_path / "index.json").read_text()
    assert [*tmp_path.rglob("keys*")] == []


def test_ranks_have_the_same_keys() -> None:
    def body(group: Group) -> None:
        run(KEYS if group.rank else ds.Keys(NAMES[::-1]), group=group).set_epoch(0)

    with pytest.raises(DisagreementError, match="keys: rank 0 has"):
        simulate(2, body)


@pytest.mark.whole
def test_a_million_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"images/{i:07}.jpeg" for i in range(10**6)]
    keys, options = ds.Keys(names), {"batch_size": 1 << 14}
    ds.Sampler(len(names), **options, keys=keys).save(tmp_path)
    ds.Sampler(len(names), **options, keys=ds.Keys(names)).load(tmp_path)
    other = ds.Keys([*names[:-1], "another"])
    with pytest.raises(ds.StateError, match="keys: saved"):
        ds.Sampler(len(names), **options, keys=other).load(tmp_path)
    true, last = module._hash, names[-1].encode()
    monkeypatch.setattr(
        module, "_hash", lambda name: true(names[3].encode() if name == last else name)
    )
    with pytest.raises(ValueError, match=f"at 3 and of {names[-1]!r} at 999999"):
        ds.Keys(names)
