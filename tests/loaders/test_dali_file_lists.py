"""A file list is to us what it is to the reader of DALI, line by line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("nvidia.dali")

from nvidia.dali import Pipeline, fn

from dynsample.files import parse_list

FILES = (b"a.jpg", b" a.jpg", b"a b.jpg", b"a\rb.jpg", b"a\x0b.jpg", b"\xc2\x85.jpg", b"\xff.jpg")
READ = (
    b"a.jpg 1", b"a.jpg 007  ", b" a.jpg 1", b"a b.jpg\t1\r", b"a\rb.jpg 3", b"a\x0b.jpg\x0c1",
    b"\xc2\x85.jpg 1", b"\xff.jpg 1", b"\n\r\na.jpg 1\n\n \r\na b.jpg 2",
)  # fmt: skip
REFUSED = (
    b"a.jpg", b"17", b" 1", b"a.jpg1", b"a.jpg +1", b"a.jpg 1_2", b"a.jpg 0x10", b"a.jpg 1.0",
    b"a.jpg 1,", b"a.jpg 1\na.jpg", b"\n",
)  # fmt: skip


def listed_by_dali(path: Path, root: Path) -> list[tuple[bytes, int]]:
    """Contents of the files, and labels."""
    pipeline = Pipeline(batch_size=4, num_threads=1, device_id=None)
    with pipeline:
        encoded, label = fn.readers.file(name="R", file_list=str(path), file_root=str(root))
        pipeline.set_outputs(encoded, label)
    pipeline.build()
    count = pipeline.reader_meta("R")["epoch_size"]
    encoded, label = pipeline.run()
    return [(bytes(encoded.at(i)), int(label.at(i)[0])) for i in range(count)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Files that hold their own names."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in FILES:
        (folder / os.fsdecode(name)).write_bytes(name)
    return folder


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("line", READ)
def test_a_line_is_the_sample_that_it_is_to_dali(
    tmp_path: Path, root: Path, line: bytes, end: bytes
) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(line + end)
    assert list(zip(*parse_list(path), strict=True)) == listed_by_dali(path, root)


@pytest.mark.parametrize("line", REFUSED)
def test_a_line_that_dali_refuses_is_refused(tmp_path: Path, root: Path, line: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(line + b"\n")
    with pytest.raises(RuntimeError):
        listed_by_dali(path, root)
    with pytest.raises(ValueError, match=r"list\.txt"):
        parse_list(path)
