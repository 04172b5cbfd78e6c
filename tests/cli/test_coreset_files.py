"""`dynsample coreset`: scores from every kind of file, coresets into every kind of file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import dynsample as ds
from dynsample.cli import main
from dynsample.coreset import dyn_unc as history
from dynsample.coreset import files as coreset_files
from dynsample.coreset import score_files
from dynsample.reference import scores as reference

N = 40
NAMES = [f"/class {i % 4}/{i:02}.jpeg" for i in range(N)]
LABELS = np.arange(N) % 4
SCORES = np.random.default_rng(0).permutation(N).astype(np.float32)


@pytest.fixture
def file_list(tmp_path: Path) -> Path:
    path = tmp_path / "file_list.txt"
    lines = [f"{name} {label}\n" for name, label in zip(NAMES, LABELS, strict=True)]
    path.write_text("".join(lines))
    return path


def record(folder: Path, epochs: int, unseen: int | None = None) -> Path:
    values = np.random.default_rng(1).random((epochs, N)).astype(np.float32)
    for epoch in range(epochs):
        seen = np.arange(N) != unseen
        history.write_probabilities(folder, epoch, values[epoch], seen)
    return folder


def run(*arguments: object) -> None:
    assert main(["coreset", *map(str, arguments)]) == 0


def kept_by(tmp_path: Path, *arguments: object) -> list[int]:
    out = tmp_path / "kept.npy"
    run(*arguments, "-o", out, "--force")
    ids = np.load(out)
    assert ids.dtype == np.int64
    return ids.tolist()


def highest(k: int, scores: np.ndarray = SCORES) -> list[int]:
    return ds.coreset.keep_highest(scores, k).tolist()


@pytest.mark.parametrize("window", [2, 10])
@pytest.mark.parametrize("fraction", [0, 0.3, 0.75, 1])
def test_dyn_unc_writes_the_bytes_of_the_published_rule(
    tmp_path: Path, file_list: Path, window: int, fraction: float
) -> None:
    record(tmp_path, 14)
    expected = b"" if not fraction else reference.dyn_unc_lines(
        tmp_path / history.FOLDER, file_list, window, fraction
    )  # fmt: skip
    ours, theirs = tmp_path / "ours.txt", tmp_path / "theirs.txt"
    run("--from", tmp_path / history.FOLDER, "--score", "dyn-unc", "--window", window,
        "--fraction", fraction, "--file-list", file_list, "-o", ours)  # fmt: skip
    run("--input", tmp_path, "--dataset_file_list", file_list, "--fraction", fraction,
        "--window", window, "--output", theirs)  # fmt: skip
    assert ours.read_bytes() == theirs.read_bytes() == expected


def test_what_was_kept_and_the_memory_are_printed(
    tmp_path: Path, file_list: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path, 12, unseen=3)
    summary = tmp_path / "summary.json"
    run("--from", tmp_path, "--fraction", 0.5, "-o", tmp_path / "out.npy", "--json", summary)
    out, err = capsys.readouterr()
    assert err == (
        "dynsample coreset: warning: 1 of 40 samples have no score, NaN: they are kept before all "
        "others\n"
    )
    assert "12 epochs of 40 samples: windows of 10" in out
    assert "prob_0.txt to prob_11.txt" in out
    assert "20 of 40 samples, 1 without a score among them; peak memory" in out
    assert 3 in np.load(tmp_path / "out.npy")
    assert json.loads(summary.read_text())["kept"] == 20


def test_scores_come_from_npy_csv_and_rows_in_any_order(tmp_path: Path, file_list: Path) -> None:
    np.save(tmp_path / "flat.npy", SCORES)
    order = np.random.default_rng(2).permutation(N)
    np.save(tmp_path / "rows.npy", np.stack([order, SCORES[order], LABELS[order]], 1))
    named = [[NAMES[i].lstrip("/"), str(SCORES[i]), str(LABELS[i])] for i in order]
    np.save(tmp_path / "named.npy", np.array(named))
    lines = ["name,el2n,other", *(f"{NAMES[i]},{SCORES[i]},0" for i in order)]
    (tmp_path / "named.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "plain.csv").write_text("el2n\n" + "".join(f"{score}\n" for score in SCORES))
    options = ["--size", 7]
    assert kept_by(tmp_path, "--from", tmp_path / "flat.npy", *options) == highest(7)
    assert kept_by(tmp_path, "--from", tmp_path / "rows.npy", *options) == highest(7)
    assert kept_by(tmp_path, "--from", tmp_path / "plain.csv", *options) == highest(7)
    options += ["--file-list", file_list]
    assert kept_by(tmp_path, "--from", tmp_path / "named.npy", *options) == highest(7)
    options += ["--score", "el2n"]
    assert kept_by(tmp_path, "--from", tmp_path / "named.csv", *options) == highest(7)


def test_scores_come_from_the_table_of_a_saved_sampler(tmp_path: Path) -> None:
    sampler = ds.Sampler(N, columns=ds.score_columns(window=2), batch_size=N)
    for epoch in range(4):
        sampler.set_epoch(epoch)
        for index in sampler:
            logits = torch.randn(N, 4, generator=torch.Generator().manual_seed(epoch))[index]
            sampler.observe(index, logits=logits.numpy(), targets=LABELS[index])
    sampler.save(tmp_path / "state")  # the observations of epoch 3 are not in the table yet
    sampler.set_epoch(4)
    for name in ("aum", "dyn_unc"):
        arguments = ["--from", tmp_path / "state", "--score", name, "--size", 9]
        assert kept_by(tmp_path, *arguments) == highest(9, sampler.table[name])
    events = ds.Forgetting().score(sampler.table)
    np.testing.assert_array_equal(
        score_files.from_sampler(tmp_path / "state", "forgetting"), events
    )


@pytest.mark.parametrize("count", [1, 12])
def test_class_sorted_scores_find_their_samples(tmp_path: Path, count: int) -> None:
    labels = np.random.default_rng(3).permutation(np.arange(12) // count)
    scores = np.arange(12.0)
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "sorted.npy", scores[np.argsort(labels, kind="stable")])
    arguments = ["--from", tmp_path / "sorted.npy", "--index-order", "class-sorted"]
    arguments += ["--labels", tmp_path / "labels.npy", "--size", 3]
    assert kept_by(tmp_path, *arguments) == [9, 10, 11]


def test_an_ambiguous_class_sort_is_an_error_until_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = np.random.default_rng(4).integers(0, 2, 500)
    assert (np.argsort(labels) != np.argsort(labels, kind="stable")).any()
    order = np.argsort(labels, kind="stable")
    scores = np.arange(500.0)
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "sorted.npy", scores[order])
    np.save(tmp_path / "order.npy", order)
    arguments = ["--from", tmp_path / "sorted.npy", "--index-order", "class-sorted"]
    arguments += ["--labels", tmp_path / "labels.npy", "--size", 2]
    with pytest.raises(SystemExit):
        run(*arguments, "-o", tmp_path / "out.npy")
    assert "ambiguous: labels have ties" in capsys.readouterr().err
    assert not (tmp_path / "out.npy").exists()
    for how in ("stable", tmp_path / "order.npy"):
        assert kept_by(tmp_path, *arguments, "--class-sort", how) == [498, 499]
    np.save(tmp_path / "sorted.npy", scores[np.argsort(labels)])
    assert kept_by(tmp_path, *arguments, "--class-sort", "numpy") == [498, 499]


def test_every_way_to_keep_is_that_of_the_module(tmp_path: Path, file_list: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    source = ["--from", tmp_path / "s.npy", "--size", 12]
    keep = ds.coreset
    cases = {
        ("lowest",): keep.keep_lowest(SCORES, 12),
        ("offset", "--offset", 5): keep.keep_offset(SCORES, 12, 5),
        ("random", "--seed", 3): keep.keep_random(N, 12, 3),
        ("drawn", "--seed", 3): keep.keep_drawn(SCORES, 12, 3),
        ("balanced", "--file-list", file_list): keep.keep_balanced(LABELS, 12, SCORES),
        ("strata", "--strata", 4, "--cutoff", 0.1): keep.keep_strata(
            SCORES, 12, strata=4, cutoff=0.1
        ),
    }
    for options, expected in cases.items():
        assert kept_by(tmp_path, *source, "--keep", *options) == expected.tolist(), options
    random = ["--keep", "random", "--size", 12, "--file-list", file_list]
    assert kept_by(tmp_path, *random) == keep.keep_random(N, 12).tolist()


def test_a_list_of_lines_becomes_ids_and_back(tmp_path: Path, file_list: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    part = tmp_path / "part.txt"
    run("--from", tmp_path / "s.npy", "--size", 11, "--file-list", file_list, "-o", part)
    lines = file_list.read_bytes().splitlines(keepends=True)
    assert part.read_bytes() == b"".join(lines[i] for i in highest(11))
    assert kept_by(tmp_path, "--from", part, "--file-list", file_list) == highest(11)
    load = coreset_files.load
    assert load(part, N, file_list=file_list).tolist() == highest(11)
    assert load(tmp_path / "kept.npy", N).tolist() == highest(11)


def test_json_knows_its_data_set(tmp_path: Path, file_list: Path) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    out = tmp_path / "out.json"
    run("--from", tmp_path / "s.npy", "--size", 4, "--file-list", file_list, "-o", out)
    assert coreset_files.load(out, N, file_list=file_list).tolist() == highest(4)
    assert json.loads(out.read_text())["rule"]["keep"] == "highest"
    with pytest.raises(ValueError, match="of a data set of 40 samples, not 41"):
        coreset_files.load(out, N + 1)
    file_list.write_text(file_list.read_text().replace("jpeg", "png"))
    with pytest.raises(ValueError, match="fingerprints differ"):
        coreset_files.load(out, N, file_list=file_list)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "1", "-o", "{}/o.npy"], "--from is needed to keep the highest"),
        (["--from", "{}/s.npy", "-o", "{}/o.npy"], "--fraction or --size is needed"),
        (["--from", "{}/s.npy", "--size", "1", "-o", "{}/o"], "--output must end in .txt, .npy"),
        (["--from", "{}/s.npy", "--size", "1", "-o", "{}/o.txt"], "lines of a file list"),
        (["--from", "{}/s.npy", "--fraction", "2", "-o", "{}/o.npy"], "must be in [0, 1], got 2"),
        (["--from", "{}/s.npy", "--size", "41", "-o", "{}/o.npy"], "k must be in [0, 40], got 41"),
        (["--from", "{}/cube.npy", "--size", "1", "-o", "{}/o.npy"], "rows of index, score"),
        (["--from", "{}", "--size", "1", "-o", "{}/o.npy"], "holds no prob_<epoch>.txt"),
        (
            ["--from", "{}/s.npy", "--size", "1", "--file-list", "{}/short", "-o", "{}/o.npy"],
            "has 1 samples, and there are 40 scores",
        ),
        (["--from", "{}/s.npy", "--keep", "balanced", "--size", "1", "-o", "{}/o.npy"], "--labels"),
        (["--from", "{}/twice.npy", "--size", "1", "-o", "{}/o.npy"], "two scores for sample 1"),
    ],
)
def test_a_wrong_argument_is_named(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "s.npy", SCORES)
    np.save(tmp_path / "cube.npy", np.zeros((2, 2, 2)))
    np.save(tmp_path / "twice.npy", np.array([[1, 2.0, 0], [1, 3.0, 0]]))
    (tmp_path / "short").write_text("a.jpeg 0\n")
    with pytest.raises(SystemExit) as caught:
        main(["coreset", *(argument.format(tmp_path) for argument in arguments)])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
