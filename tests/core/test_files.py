"""Lists of image files: class folders, list files, and what is wrong with either."""

from __future__ import annotations

import io
import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dynsample import files
from dynsample._core import is_cut_short, join_names, name_range
from dynsample.files import file_list
from dynsample.payload import fingerprint as payload_fingerprint

Tree = dict[str, list[str]]
EARLIER = "404d2784d550938a84dae0708958dd39"  # in saved states of 0.1.0


def make_tree(root: Path, tree: Tree) -> Path:
    for folder, names in tree.items():
        (root / folder).mkdir(parents=True)
        for name in names:
            (root / folder / name).write_bytes(f"{folder}/{name}".encode())
    return root


def contents(samples: files.Samples) -> list[str]:
    return [samples.read(i).tobytes().decode() for i in range(len(samples))]


def test_folders_and_files_are_sorted_by_their_bytes(tmp_path: Path) -> None:
    tree = {"b": ["9.jpg", "10.jpg"], "B": ["é.JPG", "z.jpg"], "été": ["a b.jpeg"]}
    samples = files.from_folders(make_tree(tmp_path, tree))
    expected = ["B/z.jpg", "B/é.JPG", "b/10.jpg", "b/9.jpg", "été/a b.jpeg"]
    assert contents(samples) == expected
    assert samples.labels.tolist() == [0, 0, 1, 1, 2]
    assert [samples.path(i) for i in range(5)] == [f"{tmp_path}/{name}" for name in expected]


def test_an_empty_folder_keeps_its_label_and_other_files_are_skipped(tmp_path: Path) -> None:
    root = make_tree(tmp_path, {"a": ["1.jpg", "notes.txt"], "b": [], "c": ["2.png"]})
    (root / "file_list.txt").write_text("/a/1.jpg 0\n")
    (root / "c" / "folder.jpg").mkdir()
    samples = files.from_folders(root)
    assert contents(samples) == ["a/1.jpg", "c/2.png"]
    assert samples.labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("tree", "message"),
    [({}, "found none in"), ({"a": ["x.txt"]}, "file_root must hold images, found none")],
)
def test_a_tree_without_images_is_refused(tmp_path: Path, tree: Tree, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        files.from_folders(make_tree(tmp_path, tree))


def test_a_list_may_have_slashes_spaces_tabs_and_windows_line_ends(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "data", {"a b": ["1 2.jpg", "3.jpg"], "c": ["4.jpg"]})
    lines = b"/a b/1 2.jpg 7\na b/3.jpg\t-1\r\n\n  \nc/4.jpg   2147483647"
    (root / "list.txt").write_bytes(lines)
    (tmp_path / "elsewhere.txt").write_bytes(lines)
    for samples in (
        files.from_list(root / "list.txt"),
        files.from_list(tmp_path / "elsewhere.txt", root),
    ):
        assert contents(samples) == ["a b/1 2.jpg", "a b/3.jpg", "c/4.jpg"]
        assert samples.labels.tolist() == [7, -1, 2147483647]


def test_paths_of_a_list_may_be_absolute_or_repeated(tmp_path: Path) -> None:
    root = make_tree(tmp_path / "data", {"a": ["1.jpg"]})
    (tmp_path / "list.txt").write_text(f"{root}/a/1.jpg 0\n" * 2)
    assert contents(files.from_list(tmp_path / "list.txt")) == ["a/1.jpg"] * 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("/a/1.jpg 0\n/a/2.jpg\n", "line 2: expected a path, a space and an integer label, got"),
        ("/a/1.jpg cat\n", "line 1: expected .* got '/a/1.jpg cat'"),
        ("/a/1.jpg 2147483648\n", "line 1"),
        ("17\n", "line 1"),
        ("/a/1.jpg 1_2\n", "line 1: expected .* got '/a/1.jpg 1_2'"),
        ("/a/1.jpg +1\n", "line 1"),
        ("/a/1.jpg 0x10\n", "line 1"),
        ("/a/1.jpg 1.0\n", "line 1"),
        ("/a/1.jpg 1\n/a/\0.jpg 1\n", "line 2"),
        ("/a/1.jpg " + "9" * 10_000 + "\n", "line 1"),
        ("\n \n", "file_list must name at least one file"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "list.txt").write_text(lines)
    with pytest.raises(ValueError, match=message):
        files.from_list(tmp_path / "list.txt")


ODD_LINES = [
    ("a mark at the front", b"\xef\xbb\xbfa.jpg 1\n", [(b"a.jpg", 1)]),
    ("a carriage return", b"a\rb.jpg 3\r\n", [(b"a\rb.jpg", 3)]),
    ("other white space", b"a\x0bb.jpg\x0c2\n", [(b"a\x0bb.jpg", 2)]),
    ("a next line of Unicode", b"\xc2\x85.jpg 1\n", [(b"\xc2\x85.jpg", 1)]),
    ("a line separator of Unicode", b"\xe2\x80\xa8 1\n", [(b"\xe2\x80\xa8", 1)]),
    ("bytes that are not UTF-8", b"\xff \xfe.jpg 1\n", [(b"\xff \xfe.jpg", 1)]),
    ("blank lines", b"\n\r\na 1\n \t\n\x0c\nb 2", [(b"a", 1), (b"b", 2)]),
    ("space around", b" a b  007 \n", [(b" a b", 7)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "expected"), [case[1:] for case in ODD_LINES], ids=[case[0] for case in ODD_LINES]
)
def test_an_odd_line_is_one_sample(
    tmp_path: Path, lines: bytes, expected: list[tuple[bytes, int]]
) -> None:
    (tmp_path / "list.txt").write_bytes(lines)
    assert list(zip(*files.parse_list(tmp_path / "list.txt"), strict=True)) == expected


def line_by_line(text: bytes) -> list[tuple[bytes, int, bytes]] | int:
    """Names, labels and lines of a list as regular expressions read it, or the wrong line."""
    found = []
    for number, line in enumerate(text.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        match = re.fullmatch(rb"([^\0]*[^\s\0])\s+(-?[0-9]+)\s*", line)
        if match and len(match[2]) <= 20 and -(2**31) <= int(match[2]) < 2**31:
            found.append((match[1], int(match[2]), line))
        elif line.strip():
            return number
    return found


PIECES = st.sampled_from(
    [b"a", b"/", b".jpg", b"\xff", b"\xef\xbb\xbf", b" ", b"\t", b"\r", b"\x0b", b"\x0c", b"\0",
     b"\n", b"-", b"0", b"7", b" 12\n", b" 2147483648", b" -2147483648\n", b"0" * 18, b"\x1c"]
)  # fmt: skip


@given(st.lists(PIECES).map(b"".join))
def test_any_text_is_the_list_that_it_is_line_by_line(text: bytes) -> None:
    expected = line_by_line(text)
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        if isinstance(expected, int):
            with pytest.raises(ValueError, match=f"line {expected}: "):
                file_list.read(file.name)
            return
        found = file_list.read(file.name, may_be_empty=True)
    assert found.names == [name for name, _, _ in expected]
    assert found.labels.tolist() == [label for _, label, _ in expected]
    whole = [line.removesuffix(b"\n") for line in found.lines]
    assert whole == [line for _, _, line in expected]
    assert b"".join(found.lines[:-1]).count(b"\n") == max(len(whole) - 1, 0)


@pytest.mark.parametrize(
    ("begins", "ends"), [([-1], [2]), ([0], [4]), ([2], [1]), ([0, 2**62], [1, 2**62 + 1])]
)
def test_names_outside_of_their_text_are_refused(begins: list[int], ends: list[int]) -> None:
    with pytest.raises(ValueError, match="names must be inside of their text"):
        join_names(b"/", b"abc", np.array(begins), np.array(ends))
    with pytest.raises(ValueError, match="inside of their text"):
        name_range(np.frombuffer(b"abc", np.uint8), np.array([0, 5]))


def fingerprint_of_names(samples: files.Samples) -> str:
    """Return the fingerprint as it was first defined, name by name."""
    names = samples.paths.tobytes().split(b"\0")[:-1]
    folders = [os.path.dirname(name) for name in (min(names), max(names))] if names else [b""]
    skip = len(os.path.join(os.path.commonpath(folders), b""))
    return payload_fingerprint(samples.labels, (name[skip:] for name in names))


NAMES = st.lists(st.text("ab./\xe9", min_size=1, max_size=12).map(os.fsencode), min_size=1)


@pytest.mark.parametrize("root", ["/", "/data", "//data/x", "relative"])
@given(names=NAMES)
def test_a_fingerprint_is_what_it_always_was(root: str, names: list[bytes]) -> None:
    samples = files.from_names(root, names, [i % 3 for i in range(len(names))])
    assert samples.fingerprint == fingerprint_of_names(samples)


def test_a_fingerprint_of_an_earlier_state_is_of_the_same_files(tmp_path: Path) -> None:
    names = [b"n%02d/%d.jpg" % (i % 7, i) for i in range(100)]
    for root, listed in ((tmp_path, names), (tmp_path / "moved", [b"/x/" + n for n in names])):
        samples = files.from_names(root, listed, [i % 7 for i in range(100)])
        assert samples.fingerprint == EARLIER


def test_a_fingerprint_does_not_depend_on_how_many_names_are_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_NAMES_AT_ONCE", 3)
    test_a_fingerprint_of_an_earlier_state_is_of_the_same_files(tmp_path)


def test_a_list_whose_files_are_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("/a/1.jpg 0\n")
    with pytest.raises(FileNotFoundError, match=r"names a/1\.jpg first.* below .*, nor /a/1\.jpg"):
        files.from_list(tmp_path / "list.txt")
    with pytest.raises(NotADirectoryError, match="file_root must be a folder of class folders"):
        files.open_samples(tmp_path / "list.txt", None)
    with pytest.raises(TypeError, match="file_root or file_list is needed"):
        files.open_samples(None, None)


@pytest.mark.parametrize(("content", "message"), [(None, "No such file"), (b"", "file is empty")])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    samples = files.from_folders(make_tree(tmp_path, {"a": ["1.jpg"]}))
    path = tmp_path / "a" / "1.jpg"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(files.SampleError, match=f"sample 0, {path}: .*{message}"):
        samples.read(0)


def jpeg(**options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **options)
    return buffer.getvalue()


JPEGS = [
    jpeg(),
    jpeg(progressive=True),
    jpeg(restart_marker_blocks=2),
    jpeg(progressive=True, restart_marker_rows=1, subsampling=1),
    jpeg(comment=b"\xff\xd9"),
]


@given(st.sampled_from(JPEGS), st.data())
def test_a_jpeg_is_cut_short_at_every_place_before_its_end_marker(
    image: bytes, data: st.DataObject
) -> None:
    size = data.draw(st.integers(2, len(image) - 3))
    if image[:size].endswith(b"\xff\xd9"):  # inside the comment
        size -= 1
    assert is_cut_short(image[:size])
    assert not is_cut_short(image)
    assert not is_cut_short(image + data.draw(st.binary(min_size=1)))


@given(st.sampled_from(JPEGS), st.binary(max_size=300))
def test_a_jpeg_with_all_of_its_picture_is_whole_without_the_marker(
    image: bytes, trailer: bytes
) -> None:
    assert not is_cut_short(image[:-2])
    assert not is_cut_short(image[:-2] + bytes(64))
    assert not is_cut_short(image[:-2] + b"\0\0SEFT" + trailer)


@pytest.mark.parametrize("image", JPEGS)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.7])
def test_half_a_jpeg_that_was_given_its_length_is_cut_short(image: bytes, share: float) -> None:
    half = image[: int(share * len(image))]
    assert is_cut_short(half + bytes(len(image) - len(half)))


@given(st.sampled_from(JPEGS), st.data())
def test_any_bytes_behind_the_beginning_of_a_jpeg_are_looked_at_safely(
    image: bytes, data: st.DataObject
) -> None:
    changed = bytearray(image[:-2])
    for _ in range(data.draw(st.integers(1, 9))):
        changed[data.draw(st.integers(2, len(changed) - 1))] = data.draw(st.integers(0, 255))
    assert is_cut_short(bytes(changed)) in (True, False)


def test_a_pipe_is_no_image_and_not_waited_for(tmp_path: Path) -> None:
    samples = files.from_folders(make_tree(tmp_path, {"a": ["1.jpg"]}))
    (tmp_path / "a" / "1.jpg").unlink()
    os.mkfifo(tmp_path / "a" / "1.jpg")
    with pytest.raises(files.SampleError, match=r"sample 0, .*1\.jpg: not a regular file"):
        samples.read(0)
