"""What the study trains on: IDX files, Fashion-MNIST, wrong labels, a tail, reference models."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("PIL")

from dynsample.cli.experiment import fashion, idx, tasks, variants
from dynsample.cli.experiment.result import Run
from dynsample.cli.study.inputs import reference_losses, with_cost


def idx_file(path: Path, array: np.ndarray) -> Path:
    header = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_idx_files_are_read(name: str, tmp_path: Path) -> None:
    array = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(idx.read(idx_file(tmp_path / name, array), 3), array)
    with pytest.raises(idx.DataError, match=r"must begin with 00000801, .* 1 dimension do, got"):
        idx.read(tmp_path / name, 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with 00000801, .* got nothing"),
        (b"\0\0\x08\x01\0", "is cut: its header has 8 bytes, got 5"),
        (b"\0\0\x08\x01\0\0\0\x02a", r"must have 10 bytes for an array of \[2\], got 9"),
        (b"\0\0\x08\x01\0\0\0\x02abc", r"must have 10 bytes for an array of \[2\], got 11"),
        (b"\0\0\x0d\x01\0\0\0\0", "got 00000d01"),
    ],
)
def test_damaged_idx_files_are_errors(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(idx.DataError, match=message):
        idx.read(path, 1)
    packed = tmp_path / "labels.gz"
    packed.write_bytes(gzip.compress(content)[:-5])
    with pytest.raises(idx.DataError, match="is no gzip file, or it is cut"):
        idx.read(packed, 1)


@pytest.fixture
def clothes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set of the form of Fashion-MNIST, much smaller."""
    monkeypatch.setattr(fashion, "SIZES", {"train": 300, "t10k": 20})
    random = np.random.default_rng(0)
    for part, size in fashion.SIZES.items():
        idx_file(tmp_path / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (size, 28, 28)))
        idx_file(tmp_path / f"{part}-labels-idx1-ubyte", np.arange(size) % 10)
    return tmp_path


def test_fashion_is_read_and_checked(clothes: Path) -> None:
    task = tasks.load("fashion", clothes)
    assert task.train_images.shape == (300, 1, 28, 28)
    assert task.test_labels.tolist() == [each % 10 for each in range(20)]
    assert task.train_images.std() == pytest.approx(1, abs=1e-3)
    assert task.model(28, 10, 0)(task.test_images).shape == (20, 10)
    idx_file(clothes / "t10k-labels-idx1-ubyte", np.arange(20))
    with pytest.raises(idx.DataError, match="t10k-labels must be below 10, got 19"):
        tasks.load("fashion", clothes)
    idx_file(clothes / "t10k-labels-idx1-ubyte", np.zeros(19))
    with pytest.raises(idx.DataError, match=r"t10k-labels must be \[20\], got \[19\]"):
        tasks.load("fashion", clothes)


def test_a_fifth_of_the_labels_is_wrong() -> None:
    task = tasks.digits()
    noisy = variants.noise(task)
    wrong = noisy.train_labels != task.train_labels
    assert int(wrong.sum()) == 260
    assert noisy.train_labels.min() == 0
    assert noisy.train_labels.max() == 9
    assert len(set((noisy.train_labels - task.train_labels)[wrong].remainder(10).tolist())) == 9
    assert (variants.noise(task).train_labels == noisy.train_labels).all()
    assert (noisy.test_labels == task.test_labels).all()


def test_the_tail_falls_exponentially(clothes: Path) -> None:
    task = tasks.load("fashion", clothes)
    counts = variants.tail(task).train_labels.bincount().tolist()
    assert counts == [30, 17, 10, 6, 3, 2, 1, 1, 1, 1]
    many = replace(task, train_images=task.train_images.repeat(20, 1, 1, 1),
                   train_labels=task.train_labels.repeat(20))  # fmt: skip
    counts = variants.tail(many).train_labels.bincount().tolist()
    assert (counts[0], counts[-1]) == (600, 6)
    assert len(variants.tail(many).train_images) == sum(counts)


def test_a_reference_model_costs_what_it_used() -> None:
    task = tasks.digits()
    losses, spent = reference_losses(task, 3)
    assert losses.shape == (1300,)
    assert (spent.backward, spent.forward_only) == (650, 1300)
    again, _ = reference_losses(task, 3)
    assert np.array_equal(losses, again)
    run = with_cost(Run(backward=7000, curve=[(7000.0, 90.0)]), spent)
    assert run.cost == 7000 + 650 + 1300 / 3
    assert run.curve[-1] == (run.cost, 90.0)
