"""Packs: what comes out is what went in, and nothing else is accepted."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample import files
from dynsample.disk.files import whole
from dynsample.files import pack


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


def test_every_image_that_cannot_be_packed_is_named_at_once(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "data", [30, 1, 17, 5])
    Path(samples.path(1)).write_bytes(b"")
    Path(samples.path(3)).unlink()
    with pytest.raises(files.SampleError) as caught:
        pack.write(samples, tmp_path / "data.pack")
    first, *others = str(caught.value).splitlines()
    assert first == "2 of 4 samples cannot be packed:"
    assert [line.split(",")[0].strip() for line in others] == ["sample 1", "sample 3"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def with_index(content: bytes, change: Callable[[np.ndarray, np.ndarray], object]) -> bytes:
    """A pack whose starts and offsets are changed, and whose checksums are right."""
    fields = list(pack.HEADER.unpack(content[: pack.HEADER.size]))
    at, n = pack.HEADER.size + fields[3], fields[2] + 1
    bounds = np.frombuffer(content[at : at + 16 * n], "<i8").copy()
    change(bounds[:n], bounds[n:])
    rest = bounds.tobytes() + content[at + 16 * n :]
    fields[5], fields[6] = zlib.crc32(rest), 0
    fields[6] = zlib.crc32(pack.HEADER.pack(*fields))
    return pack.HEADER.pack(*fields) + content[pack.HEADER.size : at] + rest


@pytest.mark.parametrize("which", ["starts", "offsets"])
@pytest.mark.parametrize("value", [-1, -(2**40), 0, 10**12, 2**63 - 1])
def test_bounds_that_lead_out_of_the_file_are_refused_behind_right_checksums(
    packed: Path, tmp_path: Path, which: str, value: int
) -> None:
    def change(starts: np.ndarray, offsets: np.ndarray) -> None:
        (starts if which == "starts" else offsets)[1] = value

    (tmp_path / "pack").write_bytes(with_index(packed.read_bytes(), change))
    for verify in (True, False):
        with pytest.raises(pack.PackError, match=f"altered: {which} must ascend"):
            pack.open_pack(tmp_path / "pack", verify=verify)


def test_a_pack_that_is_cut_while_it_is_open_is_an_error(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "pack"
    copy.write_bytes(packed.read_bytes())
    opened = pack.open_pack(copy)
    os.truncate(copy, pack.HEADER.size + 3)
    with pytest.raises(files.SampleError, match=r"sample 1, .*/1\.jpg: .* was cut to"):
        opened.read(1)


def test_what_is_no_pack_is_not_written_over(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "data", [30, 1])
    (tmp_path / "mine").write_bytes(b"my own file")
    with pytest.raises(FileExistsError, match="is there and is no pack"):
        pack.write(samples, tmp_path / "mine")
    assert (tmp_path / "mine").read_bytes() == b"my own file"


def test_a_pipe_is_no_pack_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        pack.open_pack(tmp_path / "pipe")


def test_what_a_killed_run_left_is_removed_by_the_next_and_nothing_else(tmp_path: Path) -> None:
    samples = make_samples(tmp_path / "data", [30, 1])
    code = f"""
import os, signal
from dynsample import files
from dynsample.files import pack
samples = files.from_names({str(tmp_path / "data")!r}, [b"c0/0.jpg", b"c1/1.jpg"], [0, 1])
pack.write(samples, {str(tmp_path / "data.pack")!r},
           progress=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    run = subprocess.run([sys.executable, "-c", code], check=False)
    assert run.returncode == -9
    (left,) = tmp_path.glob(".*.partial")
    mine = tmp_path / ".data.pack.1234.partial"
    mine.write_bytes(b"mine")
    pack.write(samples, tmp_path / "data.pack")
    assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "data.pack", mine.name}


def test_a_file_that_another_process_still_writes_is_not_removed(tmp_path: Path) -> None:
    with whole(tmp_path / "out") as first:
        first.write(b"first")
        with whole(tmp_path / "out") as second:
            second.write(b"second")
    assert (tmp_path / "out").read_bytes() == b"first"


def test_what_the_system_refuses_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    def fill(path: Path, error: OSError | None = None) -> None:
        with whole(path):
            if error is not None:
                raise error

    path = tmp_path / "out"
    with pytest.raises(OSError, match=r"\[Errno 28\] No space left on device: '.*/out'$"):
        fill(path, OSError(28, "No space left on device"))
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*/missing/out'$"):
        fill(tmp_path / "missing" / "out")
    with pytest.raises(FileNotFoundError, match="'another'"):
        fill(path, FileNotFoundError(2, "No such file or directory", "another"))
    assert [*tmp_path.iterdir()] == []
    path.mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '.*/out'$"):
        fill(path)
    assert [*tmp_path.iterdir()] == [path]
