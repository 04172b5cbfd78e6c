"""A store gives back what was written, by epoch and sample, or says what is wrong with it."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import CLASSES, SIZE, N, facts, logits_of, write

from dynsample.payload import Facts, PayloadError, Store, Views, Writer, fingerprint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return write(tmp_path_factory.mktemp("whole") / "store", facts(fingerprint="ours"))[0]


@pytest.fixture
def copy(whole: Store, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole.path, tmp_path / "copy"))


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_it_gives_back_what_was_written_in_any_order(mix: str, crops: bool, tmp_path: Path) -> None:
    store, views = write(tmp_path, facts(mix=mix, crops=crops))
    index = np.array([5, 0, 49, 5, 17])
    for epoch in (1, 0):
        found = store.batch(epoch, index)
        np.testing.assert_array_equal(found.pop("logits"), logits_of(epoch, index))
        expected = views.batch(epoch, index)
        assert set(found) == set(expected)
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values)


def test_it_is_a_safetensors_file(whole: Store) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    columns = numpy.load_file(whole.path / "epoch-00001.safetensors")
    np.testing.assert_array_equal(columns["logits"], logits_of(1, np.arange(N)))


def test_no_rows_and_an_unpickled_store_are_fine(whole: Store) -> None:
    again = pickle.loads(pickle.dumps(whole))
    assert again.batch(0, np.arange(0))["logits"].shape == (0, CLASSES)
    again.read_ahead(1)
    again.read_ahead(1, np.array([3]))
    np.testing.assert_array_equal(again.batch(1, np.array([3]))["lam"], whole.columns(1)["lam"][3])


def test_an_epoch_beyond_the_store_names_both_lengths(whole: Store) -> None:
    with pytest.raises(PayloadError, match=r"training asks for 3 epochs, .* holds 2"):
        whole.batch(2, np.array([0]))
    with pytest.raises(PayloadError, match=r"training asks for 90 epochs, .* holds 2"):
        whole.require(90)
    whole.require(2)


def test_the_store_of_another_data_set_is_refused(whole: Store) -> None:
    Store(whole.path, fingerprint="ours")
    with pytest.raises(PayloadError, match=r"made for .* fingerprint ours, yours is theirs"):
        Store(whole.path, fingerprint="theirs")


def test_fingerprints_know_labels_order_and_names() -> None:
    prints = [fingerprint([0, 1]), fingerprint([1, 0]), fingerprint([0, 1], ["a", "b"])]
    assert len({*prints, fingerprint([0, 1], ["b", "a"])}) == 4
    assert fingerprint(np.array([0, 1]), [b"a", b"b"]) == prints[2]


def test_every_byte_of_an_epoch_is_checked(copy: Path) -> None:
    file = copy / "epoch-00001.safetensors"
    content = bytearray(file.read_bytes())
    for at in (3, 20, len(content) // 3, len(content) // 2, len(content) - 1):
        content[at] ^= 1
        file.write_bytes(content)
        with pytest.raises(PayloadError, match=r"damaged|version|truncated|renamed"):
            Store(copy)
        content[at] ^= 1
    file.write_bytes(content[:-1])
    with pytest.raises(PayloadError, match="was truncated: it has"):
        Store(copy, verify=False)


def test_gaps_empty_folders_and_renamed_files_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match="holds no payload"):
        Store(tmp_path)
    (copy / "epoch-00000.safetensors").rename(copy / "epoch-00005.safetensors")
    with pytest.raises(PayloadError, match=r"epoch-00000.safetensors is missing"):
        Store(copy)
    (copy / "epoch-00005.safetensors").unlink()
    (copy / "epoch-00001.safetensors").rename(copy / "epoch-00000.safetensors")
    with pytest.raises(PayloadError, match="holds epoch 1: it was renamed"):
        Store(copy)


def test_an_epoch_is_whole_or_absent(copy: Path) -> None:
    writer, views = Writer(copy, facts(fingerprint="ours")), Views(facts())
    index = np.arange(7)
    with (
        pytest.raises(PayloadError, match="43 of 50 samples were not added, the first is 7"),
        writer.epoch(2) as rows,
    ):
        rows.add(index, logits_of(2, index), **views.batch(2, index))
    with pytest.raises(KeyboardInterrupt), writer.epoch(1):
        raise KeyboardInterrupt
    assert sorted(path.name for path in copy.iterdir()) == [
        "epoch-00000.safetensors",
        "epoch-00001.safetensors",
    ]
    assert Store(copy).num_epochs == 2
    assert writer.missing(4) == [2, 3]


def test_a_store_of_other_facts_is_not_added_to(copy: Path) -> None:
    with pytest.raises(PayloadError, match="mix is 'cutmix' and not 'mixup'"):
        Writer(copy, facts(fingerprint="ours", mix="mixup"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"index": np.array([0, 50])}, r"index must hold ids in \[0, 50\), got 0 to 50"),
        ({"index": np.array([1, 1])}, "index must hold each sample once an epoch"),
        ({"logits": np.zeros((2, 3))}, r"logits must have shape \[2, 12\], got \[2, 3\]"),
        ({"logits": np.full((2, 12), np.nan)}, "logits must be finite, got nan"),
        ({"logits": np.full((2, 12), 1e6)}, r"logits must be in \[-65504, 65504\]"),
        ({"lam": np.array([0.5, 1.5])}, r"lam must be in \[0, 1\], got 1.5"),
        ({"partner": np.array([0, -1])}, r"partner must hold ids in \[0, 50\)"),
        ({"partner": np.array([0.0, 1.0])}, "partner must have dtype int64, got float64"),
        ({"crop": np.full((2, 4), 0.7, np.float32)}, "crop must be .* inside of"),
        ({"box": np.tile(np.int32([0, 0, 17, 24]), (2, 1))}, r"box must be .* \[16, 24\]"),
        ({"extra": np.zeros(2)}, "a view must have crop, flip, partner"),
    ],
)
def test_what_cannot_be_kept_is_named(change: dict, message: str, tmp_path: Path) -> None:
    index = np.arange(2)
    batch = {"index": index, "logits": logits_of(0, index), **Views(facts()).batch(0, index)}
    error = pytest.raises((ValueError, TypeError, IndexError), match=message)
    with error, Writer(tmp_path, facts()).epoch(0) as rows:
        rows.add(**{**batch, **change})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": "fp8"}, "labels must be 'fp16', 'uint8' or 'top<k>'"),
        ({"labels": "top13"}, r"k of labels must be in \[1, 12\], got 13"),
        ({"mix": "both"}, "mix must be one of 'none', 'mixup', 'cutmix', got 'both'"),
        ({"mix": "cutmix"}, r"size must be \(height, width\)"),
        ({"mix": "cutmix", "size": 8}, r"size must be \(height, width\) .*, got 8"),
        ({"size": (8, 8, 3)}, r"size must be \(height, width\) .*, got \(8, 8, 3\)"),
    ],
)
def test_facts_that_make_no_sense_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Facts(N, CLASSES, **arguments)


finite = st.floats(-1000, 1000, width=32)


@given(st.integers(1, 20).flatmap(lambda c: st.lists(st.tuples(*[finite] * c), min_size=1)))
def test_quantised_logits_are_within_half_a_step(rows: list) -> None:
    logits = np.array(rows, np.float32)
    codec = Facts(1, logits.shape[1], labels="uint8").codec
    found = codec.decode(codec.encode(logits))
    step = np.ptp(logits, 1, keepdims=True) / 255
    assert (np.abs(found - logits) <= 0.51 * step + 1e-3).all()


@given(st.integers(1, 12), st.integers(0, 2**32))
def test_the_highest_logits_keep_their_place_and_the_others_their_mean(k: int, seed: int) -> None:
    logits = np.random.default_rng(seed).integers(-20, 20, (5, 12)).astype(np.float32) / 4
    codec = Facts(1, 12, labels=f"top{k}").codec
    found = codec.decode(codec.encode(logits))
    for row, kept in zip(logits, found, strict=True):
        top = np.argsort(-row, kind="stable")[:k]
        np.testing.assert_array_equal(kept[top], row[top])
    np.testing.assert_allclose(found.sum(1), logits.sum(1), atol=1e-4)


def test_views_are_a_function_of_seed_and_epoch() -> None:
    index = np.arange(N)
    first = Views(facts(), seed=1).batch(4, index)
    again = Views(facts(), seed=1)
    for epoch in (4, 5, 4):
        drawn = again.batch(epoch, index[::-1])
        same = [np.array_equal(drawn[name][::-1], first[name]) for name in first]
        assert all(same) == (epoch == 4)
    assert not np.array_equal(first["crop"], Views(facts(), seed=2).batch(4, index)["crop"])


def test_views_fit_and_partners_are_a_permutation_with_their_own_crops() -> None:
    drawn = Views(facts(), area=(0.3, 1.0)).batch(0, np.arange(N))
    top_left, size = drawn["crop"][:, :2], drawn["crop"][:, 2:]
    assert (top_left >= 0).all()
    assert (top_left + size <= 1 + 1e-6).all()
    assert (size.prod(1) > 0.29).all()
    assert sorted(drawn["partner"]) == list(range(N))
    np.testing.assert_array_equal(drawn["partner_crop"], drawn["crop"][drawn["partner"]])
    box = drawn["box"]
    share = (box[:, 2:] - box[:, :2]).prod(1) / np.prod(SIZE)
    assert (share <= 1 - drawn["lam"] + 1e-9).all()


def test_a_store_that_is_cut_while_it_is_open_is_an_error(copy: Path) -> None:
    store = Store(copy)
    index = np.arange(3)
    store.batch(1, index)
    os.truncate(copy / "epoch-00001.safetensors", 5000)
    with pytest.raises(PayloadError, match=r"epoch-00001\.safetensors was cut to 5000 bytes of"):
        store.batch(1, index)


def test_a_file_of_the_users_is_not_written_over_and_not_counted(tmp_path: Path) -> None:
    (tmp_path / "epoch-notes.safetensors").write_bytes(b"mine")
    (tmp_path / "epoch-00001.safetensors").write_bytes(b"mine too")
    with pytest.raises(PayloadError, match="or not a payload that dynsample wrote"):
        Writer(tmp_path, facts())
    (tmp_path / "epoch-00001.safetensors").unlink()
    writer = Writer(tmp_path, facts())
    (tmp_path / "epoch-00000.safetensors").write_bytes(b"mine too")
    error = pytest.raises(PayloadError, match="it is not written over: remove it first")
    with error, writer.epoch(0):
        pass
    assert (tmp_path / "epoch-00000.safetensors").read_bytes() == b"mine too"


def test_a_pipe_is_no_store_and_not_waited_for(copy: Path) -> None:
    (copy / "epoch-00001.safetensors").unlink()
    os.mkfifo(copy / "epoch-00001.safetensors")
    with pytest.raises(PayloadError, match="not a regular file"):
        Store(copy)
