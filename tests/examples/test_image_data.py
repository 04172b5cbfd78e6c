"""Readers of data: each format from tiny files, and what is wrong said by name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import image_data
import numpy as np
import pytest
import torch
from PIL import Image

RANDOM = np.random.default_rng(0)


def write_cifar(folder: Path, name: str, count: int, key: bytes, classes: int) -> Any:
    data = RANDOM.integers(256, size=(count, 3072), dtype=np.uint8)
    labels = RANDOM.integers(classes, size=count).tolist()
    content = {b"data": data, key: labels, b"filenames": [b"a.png"] * count}
    (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    return data, labels


def write_tree(root: Path, files: dict[str, int]) -> None:
    for name, grey in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (20, 16), grey).save(path)


@pytest.mark.parametrize("parent", [False, True])
def test_cifar_10_is_read_in_the_order_of_its_batches(tmp_path: Path, parent: bool) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    written = [write_cifar(folder, f"data_batch_{i}", 3, b"labels", 10) for i in range(1, 6)]
    test = write_cifar(folder, "test_batch", 2, b"labels", 10)
    path = tmp_path if parent else folder
    train, val = (
        image_data.load(path, "train", mean=(0,) * 3, std=(1,) * 3),
        image_data.load(path, "val"),
    )
    assert (len(train), len(val), train.num_classes) == (15, 2, 10)
    assert train.labels.tolist() == [label for _, labels in written for label in labels]
    assert val.labels.tolist() == test[1]
    image, label = train[4]
    assert label == written[1][1][1]
    np.testing.assert_allclose(255 * image.numpy().reshape(-1), written[1][0][1], atol=1e-3)


def test_cifar_100_has_fine_labels_and_augments(tmp_path: Path) -> None:
    write_cifar(tmp_path, "train", 4, b"fine_labels", 100)
    write_cifar(tmp_path, "test", 2, b"fine_labels", 100)
    train = image_data.load(tmp_path, "train", augment=True)
    assert train.num_classes == 100
    assert train[0][0].shape == (3, 32, 32)
    assert any(not torch.equal(train[0][0], train[0][0]) for _ in range(5))


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return print, ("run",)

    write_cifar(tmp_path, "test", 2, b"fine_labels", 100)
    (tmp_path / "train").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(pickle.UnpicklingError, match="no place in a batch of CIFAR"):
        image_data.load(tmp_path)


def test_npz_of_one_part_and_of_two(tmp_path: Path) -> None:
    grey = RANDOM.random((6, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "one.npz", x=grey, y=np.arange(6) % 3)
    one = image_data.load(tmp_path / "one.npz")
    assert (len(one), one.num_classes, one[0][0].shape) == (6, 3, (1, 8, 8))
    pixels = np.stack([one[i][0].numpy() for i in range(6)])
    assert abs(pixels.mean()) < 1e-5
    assert abs(pixels.std() - 1) < 1e-5

    colour = RANDOM.integers(256, size=(4, 3, 5, 5), dtype=np.uint8)
    parts = {"x_train": colour, "y_train": np.zeros((4, 1), int)}
    np.savez(tmp_path / "two.npz", **parts, x_test=colour[:2], y_test=np.ones(2, int))
    val = image_data.load(tmp_path / "two.npz", "val", mean=(0,) * 3, std=(1,) * 3)
    assert val.labels.tolist() == [1, 1]
    np.testing.assert_allclose(255 * val[0][0].numpy(), colour[0], atol=1e-3)


@pytest.mark.parametrize("held_out", ["val", "valid", "validation", "test"])
def test_class_folders_are_sorted_and_empty_ones_keep_their_label(
    tmp_path: Path, held_out: str
) -> None:
    (tmp_path / "train" / "n04399382").mkdir(parents=True)  # the empty class of ImageNet-21K
    write_tree(tmp_path / "train", {"n2/b.png": 10, "n2/a.png": 200, "z/c.png": 50})
    write_tree(tmp_path / held_out, {"n2/x.png": 0})
    train = image_data.load(tmp_path, "train", size=8, augment=True)
    assert train.labels.tolist() == [1, 1, 2]
    assert train.num_classes == 3
    assert train[0][0].shape == (3, 8, 8)
    assert image_data.load(tmp_path, "val", size=8).labels.tolist() == [0]
    whole = image_data.load(tmp_path / "train", "train", size=8, mean=(0,) * 3, std=(1,) * 3)
    np.testing.assert_allclose(255 * whole[0][0].numpy(), 200, atol=1e-3)


def test_items_reach_spawned_workers(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a/1.png": 1, "b/2.png": 2})
    tree = pickle.loads(pickle.dumps(image_data.load(tmp_path, size=8, augment=True)))
    assert tree[1][1] == 1
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 4)), y=np.arange(2))
    assert pickle.loads(pickle.dumps(image_data.load(tmp_path / "x.npz")))[1][1] == 1


def test_class_map(tmp_path: Path) -> None:
    path = tmp_path / "mapping_dict.txt"
    np.savetxt(path, [3, 0, 7])  # as published: floats
    assert image_data.class_map(path, 8).tolist() == [3, 0, 7]
    for content, message in (
        ("3 0 7", r"\[0, 7\), got 0 to 7"),
        ("1 1", "names a class twice"),
        ("1.5", "whole number"),
        ("", "whole number"),
        ("a", "one number per line"),
    ):
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            image_data.class_map(path, 7)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, *args: Any, **options: Any) -> None:
        with pytest.raises(error, match=match):
            image_data.load(*args, **options)

    refused(FileNotFoundError, "gone does not exist", tmp_path / "gone")
    refused(ValueError, "part must be one of train, val, test", tmp_path, "all")
    refused(FileNotFoundError, "no batches of CIFAR and no class folders", tmp_path)
    (tmp_path / "a.txt").touch()
    refused(ValueError, r"must be an \.npz file or a folder", tmp_path / "a.txt")
    write_tree(tmp_path, {"tree/a/1.png": 1})
    refused(ValueError, "need a size", tmp_path / "tree")
    refused(FileNotFoundError, "no val or valid or validation or test/", tmp_path / "tree", "val")
    path = tmp_path / "x.npz"
    for arrays, match in (
        ({"a": np.zeros(3)}, "must hold x and y, or x_train and y_train.* it holds a"),
        ({"x": np.zeros((2, 4, 4)), "y": np.zeros(2)}, r"y in .* must be integers \[2\]"),
        ({"x": np.zeros((2, 4, 4)), "y": np.zeros(3, int)}, r"got int64\[3\]"),
        ({"x": np.zeros((2, 16)), "y": np.zeros(2, int)}, r"must be images .* got \[2, 16\]"),
    ):
        np.savez(path, **arrays)
        refused(ValueError, match, path)
    refused(ValueError, "for the part 'val'", path, "val")
    np.savez(path, x=np.zeros((2, 4, 4)), y=np.zeros(2, int))
    refused(ValueError, "size must be that of the arrays, 4, got 8", path, size=8)
    cifar = tmp_path / "cifar-10-batches-py"
    cifar.mkdir()
    write_cifar(cifar, "test_batch", 2, b"labels", 10)
    refused(FileNotFoundError, "data_batch_1 is missing", cifar)
