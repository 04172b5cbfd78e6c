"""`dynsample coreset` from a column of a file, and coresets as columns or as lists of keys."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynsample as ds
from dynsample.cli import main
from dynsample.coreset import files

pa = pytest.importorskip("pyarrow")

from pyarrow import feather  # noqa: E402
from pyarrow import parquet as pq  # noqa: E402

from dynsample.coreset import arrow_files  # noqa: E402

N = 40
SCORES = np.random.default_rng(0).permutation(N).astype(np.float32)
ORDER = np.random.default_rng(1).permutation(N)
NAMES = [f"train/{i:03}.jpg" for i in range(N)]
KEYS = ds.Keys(NAMES)


def columns(**more: object) -> dict[str, object]:
    """Rows in an order of their own."""
    named = {"index": ORDER, "key": [NAMES[i] for i in ORDER], "el2n": SCORES[ORDER]}
    return {name: values for name, values in {**named, **more}.items() if values is not None}


def put(path: Path, **more: object) -> Path:
    table = pa.table(columns(**more))
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=7)
    else:
        feather.write_feather(table, path)
    return path


def run(source: object, out: Path, *more: object) -> list[int]:
    given = ["coreset", "--from", source, "--size", 9, "-o", out, "--force", *more]
    assert main([str(each) for each in given]) == 0
    return files.load(out, N, keys=KEYS).tolist()


def highest(k: int = 9, scores: np.ndarray = SCORES) -> list[int]:
    return ds.coreset.keep_highest(scores, k).tolist()


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".feather"])
@pytest.mark.parametrize("out", [".npy", ".parquet", ".arrow", ".feather", ".json", ".txt"])
def test_rows_of_any_order_are_matched_by_their_index(
    tmp_path: Path, suffix: str, out: str
) -> None:
    source, kept = put(tmp_path / f"scores{suffix}"), tmp_path / f"kept{out}"
    assert run(f"{source}:el2n", kept) == highest()
    if out == ".txt":
        assert kept.read_text() == "".join(f"{NAMES[i]}\n" for i in highest())
    if out == ".parquet":
        found = pq.read_table(kept)
        assert found.to_pydict() == {"index": highest(), "key": [NAMES[i] for i in highest()]}
    sampler = ds.Sampler(N, batch_size=4, subset=ds.coreset.load(kept, N, keys=KEYS))
    assert sorted(np.concatenate([*sampler]).tolist()) == highest()


@settings(max_examples=20)
@given(st.lists(st.floats(width=32), min_size=1, max_size=30, unique=True), st.randoms())
def test_any_scores_are_those_of_an_array(scores: list[float], random: object) -> None:
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "scores.parquet"
        table = {"index": order, "s": pa.array([scores[i] for i in order], pa.float32())}
        pq.write_table(pa.table(table), path)
        found, names_of = arrow_files.read_scores(path, "s")
    np.testing.assert_array_equal(found, np.array(scores, np.float32))
    assert names_of is None


def test_a_null_is_a_sample_without_a_score(tmp_path: Path) -> None:
    scores = [None if i == 3 else float(SCORES[i]) for i in ORDER]
    source = put(tmp_path / "scores.parquet", el2n=pa.array(scores, pa.float64()))
    assert 3 in run(f"{source}:el2n", tmp_path / "kept.npy")


@pytest.mark.parametrize("kind", [pa.int32(), pa.uint64(), pa.float16(), pa.bool_()])
def test_scores_are_numbers_of_any_kind(tmp_path: Path, kind: pa.DataType) -> None:
    values = pa.array(SCORES[ORDER]).cast(pa.int32() if kind != pa.bool_() else kind)
    if kind == pa.float16():
        values = pa.array(SCORES[ORDER].astype(np.float16))
    source = put(tmp_path / "scores.parquet", el2n=values.cast(kind))
    scores = SCORES if kind != pa.bool_() else (SCORES != 0).astype(np.float32)
    assert run(f"{source}:el2n", tmp_path / "kept.npy") == highest(scores=scores)


def test_the_column_may_be_named_apart_or_be_the_only_one(tmp_path: Path) -> None:
    source, out = put(tmp_path / "scores.parquet"), tmp_path / "kept.npy"
    assert run(source, out) == run(source, out, "--score", "el2n") == highest()
    source = put(tmp_path / "uids.parquet", index=None, row=ORDER)
    assert run(f"{source}:el2n", out, "--index", "row") == highest()


@pytest.mark.parametrize("column", ["loss:mean", 'a "b" .c', ":"])
def test_a_column_may_have_any_name(tmp_path: Path, column: str) -> None:
    source = put(tmp_path / "scores.parquet", **{column: SCORES[ORDER], "el2n": -SCORES[ORDER]})
    assert run(f"{source}:{column}", tmp_path / "kept.npy") == highest()


ODD = np.where(ORDER == 5, 6, ORDER)
WRONG: dict[str, tuple[dict[str, object], str]] = {
    "twice": ({"index": ODD}, "sample 6 has a row already, see"),
    "none": ({"index": np.where(ORDER == 5, N, ORDER)}, "1 have none, the first is 5"),
    "negative": ({"index": np.where(ORDER == 5, -1, ORDER)}, "must be in [0, 40), got -1"),
    "null": ({"index": pa.array([None, *ORDER[1:]])}, "must hold an id each, got int64 with 1"),
    "text": ({"index": [str(i) for i in ORDER]}, "must hold an id each, got string"),
    "no index": ({"index": None}, "--index must be one of"),
    "words": ({"el2n": ["a"] * N}, "must hold a number each, got string"),
    "large": ({"el2n": np.where(ORDER == 5, 2**60 + 1, ORDER)}, "parquet: column 'el2n': Integer"),
    "large id": (
        {"index": np.where(ORDER == 5, np.uint64(2**63), ORDER.astype(np.uint64))},
        "parquet: column 'index': Integer value 9223372036854775808 not in range",
    ),
    "no column": ({"el2n": None, "loss": SCORES, "aum": SCORES}, "must be one of"),
}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["coreset", *map(str, arguments)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("name", WRONG)
def test_rows_that_cannot_be_meant_are_refused(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more, message = WRONG[name]
    source = put(tmp_path / "scores.parquet", **more)
    out = tmp_path / "kept.npy"
    assert message in refused(capsys, "--from", f"{source}:el2n", "--size", 3, "-o", out)
    assert not out.exists()


def test_wrong_arguments_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = put(tmp_path / "scores.parquet", aum=SCORES)
    end = ["--size", 3, "-o", tmp_path / "kept.npy"]
    assert "name one, as" in refused(capsys, "--from", source, *end)
    assert "--in-order is for a .csv" in refused(capsys, "--from", source, "--in-order", *end)
    both = ["--from", f"{source}:aum", "--score", "el2n"]
    assert "--score must be left out beside" in refused(capsys, *both, *end)
    (tmp_path / "cut.parquet").write_bytes(source.read_bytes()[:-20])
    assert "is no .parquet file, or" in refused(capsys, "--from", tmp_path / "cut.parquet", *end)
    (tmp_path / "odd.arrow").write_bytes(b"ARROW1")
    assert "is no .arrow file, or" in refused(capsys, "--from", tmp_path / "odd.arrow", *end)
    assert "No such file" in refused(capsys, "--from", tmp_path / "none.parquet:x", *end)
    summary = ["--from", f"{source}:aum", "--json", tmp_path / "none" / "summary.json"]
    assert "none/summary.json: No such file" in refused(capsys, *summary, *end)
    bare = put(tmp_path / "bare.parquet", key=None)
    arguments = ["--from", f"{bare}:el2n", "--size", 3, "-o", tmp_path / "kept.txt"]
    assert "or keys: neither is there" in refused(capsys, *arguments)
    named = put(tmp_path / "named.parquet", key=[f"{i}\n" for i in range(N)])
    arguments = ["--from", f"{named}:el2n", "--size", 3, "-o", tmp_path / "kept.txt"]
    assert "which holds a line break" in refused(capsys, *arguments)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name)
    )
    assert 'pip install "dynsample[arrow]"' in refused(capsys, "--from", f"{source}:aum", *end)


def test_a_state_with_keys_gives_them_to_its_coreset(tmp_path: Path) -> None:
    sampler = ds.Sampler(N, columns={"loss": ds.Last()}, keys=KEYS)
    sampler.table.set_column("loss", SCORES)
    sampler.save(tmp_path / "state")
    assert main(["export", str(tmp_path / "state"), "-o", str(tmp_path / "scores.arrow")]) == 0
    for source in (tmp_path / "state", f"{tmp_path / 'scores.arrow'}:loss"):
        for name in ("kept.txt", "kept.parquet"):
            assert run(source, tmp_path / name) == highest()
    assert pq.read_table(tmp_path / "kept.parquet")["key"].to_pylist() == [
        NAMES[i] for i in highest()
    ]


KINDS = [
    [b"%d\xff" % i for i in range(N)],
    [7 * i - 3 for i in range(N)],
    [2**64 + i for i in range(N)],
    [f"{i}\udcff" for i in range(N)],
    ["x" * i for i in range(N)],
]


@pytest.mark.parametrize("names", KINDS)
@pytest.mark.parametrize("suffix", [".txt", ".parquet"])
@pytest.mark.parametrize("kept", [[3, 5, 39], [0]])
def test_keys_of_every_kind_are_read_back(
    tmp_path: Path, names: list[str | bytes | int], suffix: str, kept: list[int]
) -> None:
    keys = ds.Keys(names)
    files.write(tmp_path / f"kept{suffix}", np.array(kept), N, names_of=keys.names)
    assert files.load(tmp_path / f"kept{suffix}", N, keys=keys).tolist() == kept


@pytest.mark.parametrize("names", KINDS)
def test_keys_of_every_kind_come_through_an_export(
    tmp_path: Path, names: list[str | bytes | int]
) -> None:
    keys = ds.Keys(names)
    sampler = ds.Sampler(N, columns={"loss": ds.Last()}, keys=keys)
    sampler.table.set_column("loss", SCORES)
    sampler.save(tmp_path / "state")
    source = tmp_path / "scores.parquet"
    assert main(["export", str(tmp_path / "state"), "-o", str(source)]) == 0
    arguments = ["coreset", "--from", f"{source}:loss", "--size", "9", "-o"]
    for kept in (tmp_path / "kept.parquet", tmp_path / "kept.txt"):
        assert main([*arguments, str(kept)]) == 0
        assert files.load(kept, N, keys=keys).tolist() == highest()


def test_an_empty_coreset_is_one(tmp_path: Path) -> None:
    for suffix in (".txt", ".parquet", ".arrow", ".npy", ".json"):
        path = tmp_path / f"kept{suffix}"
        files.write(path, np.empty(0, np.int64), N, names_of=KEYS.names)
        assert files.load(path, N, keys=KEYS).tolist() == []


def test_a_coreset_of_other_data_is_refused(tmp_path: Path) -> None:
    path, text = tmp_path / "kept.parquet", tmp_path / "kept.txt"
    for out in (path, text):
        files.write(out, np.arange(4), N, names_of=KEYS.names)
    other = ds.Keys(NAMES[::-1])
    with pytest.raises(ValueError, match="is of a data set of 40 samples, not 39"):
        files.load(path, 39)
    with pytest.raises(ValueError, match="its row 0 has id 0, and its key has 39 here"):
        files.load(path, N, keys=other)
    with pytest.raises(KeyError, match="4 of 4 names are not among"):
        files.load(text, N, keys=ds.Keys([f"other/{i}" for i in range(N)]))
    with pytest.raises(ValueError, match="keys must have num_samples = 41 names, got 40"):
        files.load(text, 41, keys=KEYS)
    with pytest.raises(ValueError, match="file_list, the full one, is missing, or keys"):
        files.load(text, N)


def test_what_others_selected_is_a_coreset(tmp_path: Path) -> None:
    path = tmp_path / "selected.parquet"
    pq.write_table(pa.table({"index": [7, 3], "loss": [1.0, 2.0]}), path)
    assert files.load(path, N).tolist() == [3, 7]
    pq.write_table(pa.table({"key": [NAMES[7], NAMES[3]]}), path)
    assert files.load(path, N, keys=KEYS).tolist() == [3, 7]
    with pytest.raises(ValueError, match="must have a column index, or key beside keys"):
        files.load(path, N)
    pq.write_table(pa.table({"index": [7, 7]}), path)
    with pytest.raises(ValueError, match="must not repeat ids"):
        files.load(path, N)
    pq.write_table(pa.table({"index": [N]}), path)
    with pytest.raises(IndexError, match=r"must hold ids in \[0, 40\)"):
        files.load(path, N)


def test_the_same_coreset_once_more_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "kept.parquet"
    for _ in range(2):
        files.write(path, np.arange(4), N, force=False)
    with pytest.raises(FileExistsError, match="--force replaces it"):
        files.write(path, np.arange(5), N, force=False)


def test_duckdb_and_polars_select(tmp_path: Path) -> None:
    duckdb, polars = pytest.importorskip("duckdb"), pytest.importorskip("polars")
    sampler = ds.Sampler(N, columns={"loss": ds.Last()}, keys=KEYS)
    sampler.table.set_column("loss", np.where(SCORES == 30, np.nan, SCORES))
    sampler.save(tmp_path / "state")
    path = tmp_path / "scores.parquet"
    assert main(["export", str(tmp_path / "state"), "-o", str(path)]) == 0
    expected = np.flatnonzero((SCORES > 20) & (SCORES != 30)).tolist()
    where = f"from '{path}' where loss > 20 and not isnan(loss)"
    found = duckdb.sql(f"select index {where}").fetchnumpy()["index"]
    assert ds.Sampler(N, subset=found).subset.tolist() == expected
    loss = polars.col("loss")
    frame = polars.scan_parquet(path).filter((loss > 20) & loss.is_not_nan()).collect()
    assert ds.Sampler(N, subset=frame["index"].to_numpy()).subset.tolist() == expected
    duckdb.sql(f"copy (select key {where}) to '{tmp_path / 'kept.parquet'}'")
    assert files.load(tmp_path / "kept.parquet", N, keys=KEYS).tolist() == expected
