"""Odd scores, lists and labels for `dynsample coreset`: the right rows, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from dynsample.cli import main
from dynsample.coreset import files as coreset_files
from dynsample.coreset import score_files

N = 6
SCORES = [0.5, 3.0, 1.5, 0.25, 9.0, 2.0]
HIGHEST = [1, 4, 5]
ROWS = [4, 0, 5, 2, 1, 3]  # an order that is not the data set's


def rows(form: str = "{0},{1}\n", heading: str = "index,el2n\n") -> str:
    return heading + "".join(form.format(row, SCORES[row], row % 2) for row in ROWS)


def coreset(tmp_path: Path, source: Path, *options: object) -> list[int]:
    out = tmp_path / "kept.npy"
    arguments = ["--from", source, *(options or ["--size", 3]), "-o", out]
    assert main(["coreset", *map(str, arguments)]) == 0
    return np.load(out).tolist()


def refused(capsys: pytest.CaptureFixture[str], run: Callable[[], object]) -> str:
    with pytest.raises(SystemExit) as caught:
        run()
    assert caught.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture
def file_list(tmp_path: Path) -> Path:
    path = tmp_path / "file_list.txt"
    path.write_text("".join(f"/c/{row}.jpg {row % 2}\n" for row in range(N)))
    return path


RIGHT = {
    "plain": rows(),
    "a byte order mark": "\N{BOM}" + rows(),
    "line ends of Windows": rows().replace("\n", "\r\n"),
    "line ends of old Macs": rows().replace("\n", "\r"),
    "a heading in capitals": rows(heading="Index,el2n\n"),
    "spaces around": rows("{0} , {1}\n", " index , el2n\n"),
    "quotes": rows('"{0}","{1}"\n', '"index","el2n"\n'),
    "ids as pandas writes them beside a gap": rows("{0}.0,{1}\n"),
    "blank lines between rows with ids": rows().replace("\n", "\n\n"),
    "signs and exponents": rows("{0},+{1}e0\n"),
    "called sample": rows(heading="sample,el2n\n"),
    "called id": rows("{1},{0}\n", "el2n,id\n"),
}


@pytest.mark.parametrize("case", RIGHT)
def test_the_same_scores_in_other_text_are_the_same_coreset(tmp_path: Path, case: str) -> None:
    (tmp_path / "s.csv").write_bytes(RIGHT[case].encode())
    assert coreset(tmp_path, tmp_path / "s.csv") == HIGHEST


LINES = rows().splitlines(keepends=True)
COLUMNS = "has columns 'uid', 'el2n': none of them"
WRONG = {
    "an unnamed column": (rows(heading=",el2n\n"), "has columns '', 'el2n': none of them"),
    "a column named by pandas": (rows(heading="Unnamed: 0,el2n\n"), "'Unnamed: 0', 'el2n': none"),
    "a column oddly named": (rows(heading="uid,el2n\n"), COLUMNS),
    "scores in order beside a label": (rows("{1},{2}\n", "el2n,label\n"), "--in-order says that"),
    "two columns that may be it": (rows("{0},{0},{1}\n", "id,index,el2n\n"), "2 of them may say"),
    "a heading twice": (rows("{0},{1},{1}\n", "index,el2n,el2n\n"), "'el2n' is there more than"),
    "semicolons": (rows().replace(",", ";"), "line 1: columns must be separated by commas, found"),
    "tabs": (rows().replace(",", "\t"), "found tabs: 'index\\tel2n'"),
    "no headings": (rows(heading=""), "has columns '4', '9.0': none of them"),
    "UTF-16": (rows().encode("utf-16"), "is in UTF-16; save it as CSV in UTF-8"),
    "an underscore": (rows().replace("1.5", "1_5"), "line 5, column 'el2n': expected a number"),
    "two signs": (rows().replace("1.5", "+-1"), "line 5, column 'el2n': expected a number"),
    "a hexadecimal number": (rows().replace("1.5", "0x10"), "line 5, column 'el2n': expected"),
    "a decimal comma": (rows().replace("1.5", '"1,5"'), "line 5, column 'el2n': expected a number"),
    "digits of another script": (rows().replace("1.5", "\u0661"), "line 5, column 'el2n': exp"),
    "a word": (rows().replace("1.5", "NA"), "line 5, column 'el2n': expected a number, got 'NA'"),
    "a number too large": (rows().replace("1.5", "1e999"), "line 5, column 'el2n': expected a num"),
    "an empty score": (rows().replace("1.5", ""), "expected a number (nan for a sample without a"),
    "an empty id": (LINES[0] + ",1.0\n", "line 2, column 'index': expected an id, or a name of"),
    "an id with an underscore": (rows().replace("5,2.0", "1_5,2.0"), "column 'index': expected an"),
    "an id with zeros before it": (rows().replace("5,2.0", "005,2.0"), "got '005'"),
    "a broken id": (rows().replace("5,2.0", "5.5,2.0"), "line 4, column 'index': expected an id"),
    "an id below 0": (rows().replace("5,2.0", "-1,2.0"), "line 4, column 'index': an id must be"),
    "an id beyond int64": (rows().replace("5,2.0", f"{2**64},2.0"), "column 'index': expected an"),
    "an id far away": (rows().replace("5,2.0", "10000000000,2.0"), "an id must be in [0, 42949"),
    "an id twice": (rows() + "2,1.5\n", "line 8, column 'index': sample 2 has a row already, see"),
    "no row for an id": ("".join(LINES[:4] + LINES[5:]), "each of 6 samples must have a row, 1 ha"),
    "a short row": (rows().replace("2,1.5", "2"), "line 5: has 1 cells, and there are 2 headings"),
    "a long row": (rows().replace("2,1.5", "2,1.5,"), "line 5: has 3 cells, and there are 2"),
    "no line break at the end": (rows()[:-1], "last line: has no line break, as if the file were"),
    "a quote that is not closed": (rows() + '7,"1.0\n', "line 8: unexpected end of data"),
    "nothing": ("", "is empty: expected a line of headings"),
    "headings alone": (LINES[0], "must have a row for each sample below its headings, has none"),
    "a blank first line": ("\n" + rows(), "line 1: expected headings, found none"),
    "file names without a list": (rows("c/{0}.jpg,{1}\n"), "'c/4.jpg'; --file-list gives the"),
    "ids below a heading of names": (rows(heading="name,el2n\n"), "got '4'; --file-list gives the"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_csv_that_could_be_read_wrongly_is_an_error_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    text, message = WRONG[case]
    path = tmp_path / "s.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    said = refused(capsys, lambda: coreset(tmp_path, path))
    assert message in said
    assert str(path) in said
    assert not (tmp_path / "kept.npy").exists()


def test_a_flag_names_the_column_of_ids_or_says_that_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.csv"
    for heading in ("uid", "", "Unnamed: 0"):
        path.write_text(rows(heading=f"{heading},el2n\n"))
        assert coreset(tmp_path, path, "--size", 3, "--index", heading) == HIGHEST
    path.write_text("el2n,label\n" + "".join(f"{score},0\n" for score in SCORES))
    options = ["--size", 3, "--score", "el2n"]
    assert coreset(tmp_path, path, *options, "--in-order") == HIGHEST
    said = refused(capsys, lambda: coreset(tmp_path, path, *options, "--index", "uid"))
    assert "--index must be one of 'el2n', 'label', got 'uid'; " in said
    np.save(tmp_path / "s.npy", SCORES)
    said = refused(capsys, lambda: coreset(tmp_path, tmp_path / "s.npy", *options, "--in-order"))
    assert "--index and --in-order are for a .csv" in said


def test_one_column_is_in_order_and_a_blank_line_in_it_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.csv"
    path.write_text("el2n\n" + "".join(f"{score}\n" for score in SCORES) + "\n\n")
    assert coreset(tmp_path, path) == HIGHEST
    path.write_text("el2n\n0.5\n\n1.5\n")
    assert "line 3: is blank" in refused(capsys, lambda: coreset(tmp_path, path, "--size", 1))
    path.write_text("".join(f"{score}\n" for score in SCORES))
    said = refused(capsys, lambda: coreset(tmp_path, path))
    assert "line 1: expected headings, got '0.5'; --score 0.5 says that it is one" in said


def test_every_cut_of_a_csv_is_an_error(tmp_path: Path, file_list: Path) -> None:
    whole = rows("/c/{0}.jpg,{1}\n", "path,el2n\n").encode()
    names = [b"/c/%d.jpg" % row for row in range(N)]
    path = tmp_path / "s.csv"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"s\.csv"):
            score_files.from_csv(path, names=names)
    path.write_bytes(whole)
    assert score_files.from_csv(path, names=names).tolist() == SCORES


# A carriage return, tab and page break, a next line and line separator of Unicode, not UTF-8.
ODD_NAMES = [b"a\rb", b"a\x0bb", b"\x0cb", b"a\xc2\x85b", b"\xe2\x80\xa8b", b"\xff b"]


def test_every_reader_of_a_file_list_counts_the_same_samples(tmp_path: Path) -> None:
    lines = [b"/%s %d\n" % (name, row) for row, name in enumerate(ODD_NAMES)]
    full = tmp_path / "full.txt"
    full.write_bytes(b"\xef\xbb\xbf\n" + lines[0] + b"\n \r\n" + b"".join(lines[1:])[:-1])
    np.save(tmp_path / "s.npy", SCORES)
    part = tmp_path / "part.txt"
    options = ["--file-list", full, "--size", 3]
    assert coreset(tmp_path, tmp_path / "s.npy", *options) == HIGHEST
    assert (
        main(["coreset", "--from", str(tmp_path / "s.npy"), *map(str, options), "-o", str(part)])
        == 0
    )
    assert part.read_bytes() == lines[1] + lines[4] + lines[5][:-1]
    assert coreset_files.load(part, N, file_list=full).tolist() == HIGHEST
    by_name = b"".join(b'"%s",%r\n' % pair for pair in zip(ODD_NAMES, SCORES, strict=True))
    (tmp_path / "named.csv").write_bytes(b"file,el2n\n" + by_name)
    assert coreset(tmp_path, tmp_path / "named.csv", *options) == HIGHEST


def test_rows_by_a_name_that_the_list_repeats_or_lacks_are_an_error(
    tmp_path: Path, file_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.csv"
    path.write_text(rows("c/{0}.jpg,{1}\n", "file,el2n\n"))
    options = ["--size", 3, "--file-list", file_list]
    assert coreset(tmp_path, path, *options) == HIGHEST
    path.write_text(path.read_text().replace("c/2.jpg", "c/7.jpg"))
    said = refused(capsys, lambda: coreset(tmp_path, path, *options))
    assert "line 5, column 'file': expected a name of the file list, got 'c/7.jpg'" in said
    file_list.write_text(file_list.read_text().replace("5.jpg", "4.jpg"))
    said = refused(capsys, lambda: coreset(tmp_path, path, *options))
    assert "must not repeat names when scores go by name: 1 are repeated" in said


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[0, 0.5], [1.5, 1.0]]), "s.npy, [1, 0]: expected an id, got 1.5"),
        (np.array([[0, 0.5], [np.nan, 1.0]]), "s.npy, [1, 0]: expected an id, got nan"),
        (np.array([[0, 0.5], [-1, 1.0]]), "s.npy, [1, 0]: an id must be in [0, 1), got -1"),
        (np.array([["0", "1_2"], ["1", "1.0"]]), "s.npy, [0, 1]: expected a number, got '1_2'"),
        (np.array([["0", "1"], ["01", "2"]]), "s.npy, [1, 0]: expected an id, or a name of"),
        (np.array([[1j, 2], [3, 4]]), "rows of index, score and class, [N, 3]; got complex128[2"),
    ],
)  # fmt: skip
def test_rows_of_an_array_are_checked_as_those_of_a_csv(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], array: np.ndarray, message: str
) -> None:
    np.save(tmp_path / "s.npy", array)
    assert message in refused(capsys, lambda: coreset(tmp_path, tmp_path / "s.npy", "--size", 1))


def test_bytes_of_an_array_name_files_as_text_does(tmp_path: Path, file_list: Path) -> None:
    named = [(f"c/{row}.jpg".encode(), str(SCORES[row]).encode()) for row in ROWS]
    np.save(tmp_path / "s.npy", np.array(named))
    options = ["--size", 3, "--file-list", file_list]
    assert coreset(tmp_path, tmp_path / "s.npy", *options) == HIGHEST


@pytest.mark.parametrize("damage", ["empty", "cut", "archive", "text"])
@pytest.mark.parametrize("flag", ["--from", "--labels", "--class-sort"])
def test_a_damaged_array_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, damage: str
) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    np.save(tmp_path / "labels.npy", np.arange(N))
    bad = tmp_path / "bad.npy"
    np.save(bad, np.arange(N))
    content = {"empty": b"", "cut": bad.read_bytes()[:-3], "text": b"0 1 2\n"}
    if damage == "archive":
        with bad.open("wb") as file:
            np.savez(file, np.arange(N))
    else:
        bad.write_bytes(content[damage])
    given = {"--from": tmp_path / "s.npy", "--labels": tmp_path / "labels.npy", flag: bad}
    options = [word for pair in given.items() for word in pair if pair[0] != "--from"]
    options += ["--index-order", "class-sorted", "--size", "1"]
    said = refused(capsys, lambda: coreset(tmp_path, given["--from"], *options))
    assert f"{bad} " in said


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((N, 1), np.int64), "must hold one integer a sample, got int64[6, 1]"),
        (np.zeros(N), "must hold one integer a sample, got float64[6]"),
        (np.zeros(N - 1, np.int64), "has 5 labels, "),
    ],
)
def test_labels_are_one_integer_for_each_sample(
    tmp_path: Path,
    file_list: Path,
    capsys: pytest.CaptureFixture[str],
    labels: np.ndarray,
    message: str,
) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    np.save(tmp_path / "labels.npy", labels)
    options = ["--size", 3, "--keep", "balanced", "--labels", tmp_path / "labels.npy"]
    options += ["--file-list", file_list]
    assert message in refused(capsys, lambda: coreset(tmp_path, tmp_path / "s.npy", *options))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [0, 1.7]}, r"ids must be integers in \[0, 6\), got 1.7"),
        ({"ids": [0, "1"]}, r"ids must be integers in \[0, 6\), got '1'"),
        ({"ids": [0, True]}, r"ids must be integers in \[0, 6\), got True"),
        ({"ids": [0, 10**30]}, r"ids must be integers in \[0, 6\), got 1000"),
        ({"ids": "012"}, r"ids must be integers in \[0, 6\), got '012'"),
        ({"ids": [1, 1]}, "subset must not repeat ids"),
        ({"num_samples": "6"}, "is of a data set of 6 samples, not 6"),
        ({"num_samples": None}, "is of a data set of None samples"),
        ({"version": "1"}, "has version 1, this dynsample reads 1"),
        ({"format": None}, "is not a coreset that dynsample wrote"),
    ],
)
def test_a_coreset_in_json_is_taken_as_it_is_written_or_not_at_all(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "kept.json"
    coreset_files.write(path, np.array([0, 3]), N)
    content = json.loads(path.read_text())
    assert coreset_files.load(path, N).tolist() == [0, 3]
    path.write_text(json.dumps(content | change))
    with pytest.raises(ValueError, match=message):
        coreset_files.load(path, N)
    path.write_text(json.dumps(content)[:-4])
    with pytest.raises(ValueError, match=r"kept.json is not JSON, or it is cut short"):
        coreset_files.load(path, N)


def test_only_force_replaces_a_file_that_holds_something_else(
    tmp_path: Path, file_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    before = file_list.read_bytes()
    common = ["coreset", "--from", str(tmp_path / "s.npy"), "--file-list", str(file_list)]
    np.save(tmp_path / "other.npy", SCORES)
    for out in (file_list, tmp_path / "other.npy"):
        run = partial(main, [*common, "--size", "3", "-o", str(out)])
        assert "exists already; --force replaces it" in refused(capsys, run)
    arguments = [*common, "--size", "3", "-o", str(tmp_path / "o.npy"), "--json", str(file_list)]
    assert "exists already; --force replaces it" in refused(capsys, lambda: main(arguments))
    both = [
        *common,
        "--size",
        "3",
        "-o",
        str(tmp_path / "o.json"),
        "--json",
        str(tmp_path / "o.json"),
    ]
    assert "must be two files" in refused(capsys, lambda: main(both))
    assert file_list.read_bytes() == before
    out = tmp_path / "o.txt"
    for size, force in (("3", []), ("3", []), ("2", ["--force"])):
        assert main([*common, "--size", size, "-o", str(out), *force]) == 0
        assert len(out.read_bytes().splitlines()) == int(size)


@pytest.mark.parametrize(
    ("ids", "count", "message"),
    [
        (np.ones(N, np.bool_), N, "subset must be a one-dimensional integer array, got bool"),
        (np.array([0, -1]), N, r"subset must hold ids in \[0, 6\), got -1 to 0"),
        (np.array([0, 1]), N + 1, "must have 7 lines, got 6"),
    ],
)
def test_only_ids_of_the_data_set_are_written(
    tmp_path: Path, file_list: Path, ids: np.ndarray, count: int, message: str
) -> None:
    with pytest.raises((TypeError, ValueError, IndexError), match=message):
        coreset_files.write(tmp_path / "part.txt", ids, count, file_list=file_list)
    assert not (tmp_path / "part.txt").exists()
