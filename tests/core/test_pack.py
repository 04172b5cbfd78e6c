"""Packs: what comes out is what went in, and nothing else is accepted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample import files, pack


def make_samples(root: Path, sizes: list[int]) -> files.Samples:
    """Make samples of these sizes, of random bytes."""
    random = np.random.default_rng(0)
    names = [f"c{i % 2}/{i}.jpg".encode() for i in range(len(sizes))]
    for name, size in zip(names, sizes, strict=True):
        path = root / name.decode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.bytes(size))
    return files.from_names(root, names, [i % 2 - 1 for i in range(len(sizes))])


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pack")
    pack.write(make_samples(root / "data", [30, 1, 17]), root / "data.pack")
    return root / "data.pack"


def test_a_pack_gives_the_bytes_labels_and_paths_that_were_packed(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "data", [30, 1, 1000, 17])
    steps: list[None] = []
    pack.write(samples, tmp_path / "data.pack", progress=lambda: steps.append(None))
    assert len(steps) == 4
    opened = pack.open_pack(tmp_path / "data.pack")
    assert len(opened) == 4
    np.testing.assert_array_equal(opened.labels, samples.labels)
    for i in range(4):
        np.testing.assert_array_equal(opened.read(i), samples.read(i))
        assert opened.path(i) == samples.path(i)


def test_a_pack_of_many_pieces_is_verified_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pack, "_CHECKED_AT_ONCE", 50)
    samples = make_samples(tmp_path / "data", [7, 120, 1, 49, 51, 3])
    pack.write(samples, tmp_path / "data.pack")
    content = (tmp_path / "data.pack").read_bytes()
    assert len(pack.open_pack(tmp_path / "data.pack")) == 6
    offsets = np.cumsum([0, 7, 120, 1, 49, 51])
    for i, offset in enumerate(offsets.tolist()):
        at = pack.HEADER.size + offset
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        (tmp_path / "data.pack").write_bytes(changed)
        with pytest.raises(pack.PackError, match=f"altered: sample {i}, .*/{i}.jpg"):
            pack.open_pack(tmp_path / "data.pack")


@given(st.data())
def test_a_pack_with_a_changed_bit_is_refused(
    packed: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(packed.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= 1 << data.draw(st.integers(0, 7))
    altered = tmp_path_factory.mktemp("altered") / "pack"
    altered.write_bytes(content)
    with pytest.raises(pack.PackError):
        pack.open_pack(altered)


def test_a_pack_that_was_cut_or_grew_is_refused_without_reading_its_images(
    packed: Path, tmp_path: Path
) -> None:
    content = packed.read_bytes()
    other = tmp_path / "pack"
    for size in range(len(content)):
        other.write_bytes(content[:size])
        with pytest.raises(pack.PackError, match=r"is not a pack|was truncated"):
            pack.open_pack(other, verify=False)
    other.write_bytes(content + b"x")
    with pytest.raises(pack.PackError):
        pack.open_pack(other, verify=False)


def test_an_image_that_cannot_be_packed_is_named_and_no_pack_is_left(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "data", [30, 1])
    pack.write(samples, tmp_path / "data.pack")
    before = (tmp_path / "data.pack").read_bytes()
    Path(samples.path(1)).write_bytes(b"\xff\xd8\xff\xe0 cut short")
    with pytest.raises(files.SampleError, match=r"sample 1, .*1\.jpg: a JPEG that ends too soon"):
        pack.write(samples, tmp_path / "data.pack")
    assert (tmp_path / "data.pack").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"data", "data.pack"}
