"""Reports: what a run leaves behind, whole lines, the same at any number of ranks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import dynsample as ds
from dynsample import groups, report
from dynsample.policies.base import Policy
from dynsample.report import Report, ReportError
from dynsample.report.histogram import BINS, QUANTILES, histogram

N, EPOCHS = 600, 4
LABELS = np.arange(N) % 5
MEASURED = {"fold_seconds", "plan_seconds"}


def train(
    group: groups.Group,
    folder: Any,
    policy: Policy | None = None,
    epochs: int = EPOCHS,
    **arguments: Any,
) -> ds.Sampler:
    """A run whose scores are a function of sample and epoch."""
    policy = policy or ds.Kakurenbo(fraction=0.4)
    sampler = ds.Sampler(N, policy, 48 // group.size, group=group, report=folder, **arguments)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for samples in (sampler, sampler.hidden):
            for index in samples:
                observe(sampler, index, epoch)
    return sampler


def observe(sampler: ds.Sampler, index: np.ndarray, epoch: int) -> None:
    score = ((index * 7919 + epoch * 101) % 997 / 100).astype(np.float32)
    sure = (1 - score / 20).astype(np.float32)
    correct = (score < 8).astype(np.float32)
    sampler.observe(index, loss=score, correct=correct, confidence=sure)


def comparable(run: report.Run) -> list[dict[str, Any]]:
    """All that does not tell how long it took, or on how many ranks."""
    lines = []
    for line in run.epochs:
        stats = {name: value for name, value in line["stats"].items() if name not in MEASURED}
        previous = line["previous"] and line["previous"]["epoch"]
        kept = {**line, "stats": stats, "previous": previous, "run": {**line["run"], "ranks": 0}}
        lines.append(kept)
    return lines


# What a line says


def test_a_run_without_report_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train(groups.single(), None)
    assert not list(tmp_path.iterdir())


def test_a_line_for_every_epoch_with_the_figures_of_the_sampler(tmp_path: Path) -> None:
    sampler = train(groups.single(), tmp_path)
    run = report.read(tmp_path)
    assert [line["epoch"] for line in run.epochs] == list(range(EPOCHS))
    assert not run.torn
    assert not run.replaced
    assert run.epochs[-1]["stats"] == pytest.approx(sampler.stats)
    assert {path.name for path in tmp_path.iterdir()} == {"epochs.jsonl"}


def test_a_line_stays_small_when_the_data_set_grows(tmp_path: Path) -> None:
    for size in (1_000, 100_000):
        sampler = ds.Sampler(size, ds.Kakurenbo(), report=tmp_path / str(size))
        sampler.set_epoch(0)
        index = np.arange(size)
        sampler.table.observe(
            index,
            loss=np.linspace(0, 1, size, dtype=np.float32),
            correct=np.ones(size, np.float32),
            confidence=np.ones(size, np.float32),
        )
        sampler.set_epoch(1)
        assert (tmp_path / str(size) / "epochs.jsonl").stat().st_size < 20_000


def test_the_hardest_easiest_and_those_that_came_back(tmp_path: Path) -> None:
    group = groups.single()
    sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.4), 48, group=group, report=tmp_path)
    hidden = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        hidden.append(set(sampler.plan.hidden.tolist()))
        loss = sampler.table["loss"].copy()
        for samples in (sampler, sampler.hidden):
            for index in samples:
                observe(sampler, index, epoch)
    last = report.read(tmp_path).epochs[-1]
    ascending = sorted(range(N), key=lambda i: (loss[i], i))
    descending = sorted(range(N), key=lambda i: (-loss[i], i))
    assert last["easiest"]["ids"] == ascending[:32]
    assert last["hardest"]["ids"] == descending[:32]
    assert last["hardest"]["scores"] == [float(loss[i]) for i in descending[:32]]
    back = hidden[1] - hidden[2]
    assert last["came_back"]["count"] == len(back) > 0
    assert set(last["came_back"]["ids"]) <= back


def test_hidden_samples_are_counted_by_class(tmp_path: Path) -> None:
    settings = Report(tmp_path, labels=LABELS, hidden=True)
    sampler = train(groups.single(), settings)
    run = report.read(tmp_path)
    hidden = sampler.plan.hidden
    assert run.epochs[-1]["classes"] == {
        "samples": [N // 5] * 5,
        "hidden": np.bincount(LABELS[hidden], minlength=5).tolist(),
    }
    found = run.hidden(run.epochs[-1])
    assert found is not None
    np.testing.assert_array_equal(found, hidden)
    np.testing.assert_array_equal(run.labels, LABELS)


def test_labels_that_are_in_the_folder_are_used(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", LABELS)
    train(groups.single(), tmp_path, epochs=1)
    assert report.read(tmp_path).epochs[0]["classes"]["hidden"] == [0] * 5


def test_ids_of_a_subset_are_those_of_the_data_set(tmp_path: Path) -> None:
    subset = np.arange(100, 500, 3)
    sampler = train(groups.single(), Report(tmp_path, labels=LABELS, hidden=True), subset=subset)
    run = report.read(tmp_path)
    last = run.epochs[-1]
    assert set(last["hardest"]["ids"]) <= set(subset.tolist())
    assert sum(last["classes"]["samples"]) == len(subset)
    found = run.hidden(last)
    assert found is not None
    np.testing.assert_array_equal(found, sampler.plan.hidden)


@pytest.mark.parametrize(
    "policy",
    [ds.Uniform(), ds.InfoBatch(epochs=EPOCHS), ds.ImportanceSampling(), ds.Forgetting()],
    ids=lambda policy: type(policy).__name__,
)
def test_every_policy_has_a_report(tmp_path: Path, policy: Policy) -> None:
    train(groups.single(), tmp_path, policy)
    assert len(report.read(tmp_path).epochs) == EPOCHS


def test_seconds_are_those_between_hand_outs(tmp_path: Path) -> None:
    train(groups.single(), tmp_path)
    run = report.read(tmp_path)
    for before, line in zip(run.epochs, run.epochs[1:], strict=False):
        assert line["previous"]["epoch"] == before["epoch"]
        assert line["previous"]["kept_rows"] == before["stats"]["num_positions"]
        assert line["previous"]["hidden_rows"] == before["stats"]["num_hidden"]
        assert line["previous"]["kept_seconds"] > 0
    balance = report.costs(run)
    assert balance[0].saved == 0
    assert balance[2].saved is not None
    assert balance[2].saved > 0
    assert balance[-1].saved is None


# Histograms


@given(
    arrays.arrays(
        np.float32,
        st.integers(1, 60),
        elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
    ),
    st.sampled_from(["loss", "confidence", "margin"]),
)
def test_counts_are_exact_between_their_edges(values: np.ndarray, name: str) -> None:
    table = ds.ScoreTable(len(values), {name: ds.Last()})
    table.observe(np.arange(len(values)), **{name: values})
    found = histogram(table, name, groups.single())
    finite = values[np.isfinite(values)]
    edges = np.array(found["edges"])
    assert len(found["counts"]) == BINS
    assert (np.diff(edges) > 0).all()
    inner = np.searchsorted(edges[1:-1], finite.astype(np.float64), side="right")
    assert found["counts"] == np.bincount(inner, minlength=BINS).tolist()
    if not len(finite):
        assert found["quantiles"] is None
        return
    exact = np.sort(finite)[np.ceil(np.array(QUANTILES) * len(finite)).astype(int) - 1]
    exact = exact.astype(np.float64)
    low = np.array(found["quantiles"], np.float64)
    assert (low <= exact).all()
    assert (exact - low <= np.maximum(np.abs(exact), np.abs(low)) / 127 + 1e-38).all()


# Many ranks


@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("size", [2, 3, 8])
def test_any_number_of_ranks_writes_the_same_report(
    tmp_path: Path, size: int, placement: str
) -> None:
    settings = {"labels": LABELS, "hidden": True}
    train(groups.single(), Report(tmp_path / "one", **settings))

    def rank(group: groups.Group) -> None:
        train(group, Report(tmp_path / "many", **settings), placement=placement)

    groups.simulate(size, rank)
    one, many = report.read(tmp_path / "one"), report.read(tmp_path / "many")
    assert comparable(one) == comparable(many)
    for line in one.epochs:
        np.testing.assert_array_equal(one.hidden(line), many.hidden(line))


def test_ranks_that_disagree_about_the_report_are_stopped(tmp_path: Path) -> None:
    def rank(group: groups.Group) -> None:
        train(group, tmp_path if group.rank else None, placement="sharded")

    with pytest.raises(RuntimeError, match="report"):
        groups.simulate(2, rank)


# Files


def test_a_torn_last_line_is_ignored_and_then_replaced(tmp_path: Path) -> None:
    sampler = train(groups.single(), tmp_path)
    file = tmp_path / "epochs.jsonl"
    whole = file.read_bytes()
    for cut in (1, 100, len(whole.splitlines()[-1])):
        file.write_bytes(whole[:-cut])
        run = report.read(tmp_path)
        assert [line["epoch"] for line in run.epochs] == list(range(EPOCHS - 1))
        assert run.torn
    file.write_bytes(whole[:-100])
    sampler.set_epoch(EPOCHS)
    assert [line["epoch"] for line in report.read(tmp_path).epochs] == [0, 1, 2, EPOCHS]
    assert not report.read(tmp_path).torn


def test_a_file_that_is_one_torn_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "epochs.jsonl").write_bytes(b'{"version":1,"epoch":0,' + b"{" * 100_000)
    assert report.read(tmp_path).epochs == []
    train(groups.single(), tmp_path, epochs=1)
    assert len(report.read(tmp_path).epochs) == 1


def test_epochs_that_were_done_again_count_once(tmp_path: Path) -> None:
    train(groups.single(), tmp_path, seed=1)
    train(groups.single(), tmp_path, epochs=2)
    run = report.read(tmp_path)
    assert [line["run"]["seed"] for line in run.epochs] == [0, 0]
    assert run.replaced == EPOCHS


def test_a_resumed_run_goes_on_with_the_report(tmp_path: Path) -> None:
    sampler = train(groups.single(), tmp_path / "a", epochs=3)
    sampler.save(tmp_path / "state")
    other = ds.Sampler(
        N, ds.Kakurenbo(fraction=0.4), 48, group=groups.single(), report=tmp_path / "a"
    )
    other.load(tmp_path / "state")
    other.set_epoch(3)
    train(groups.single(), tmp_path / "b")
    resumed, whole = report.read(tmp_path / "a"), report.read(tmp_path / "b")
    assert comparable(resumed) == comparable(whole)


def test_a_folder_without_a_report_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ReportError, match=r"holds no report: there is no epochs\.jsonl"):
            report.read(folder)


def test_an_empty_report_has_no_epochs(tmp_path: Path) -> None:
    (tmp_path / "epochs.jsonl").touch()
    assert report.read(tmp_path).epochs == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\xff\xfe", "line 1: not a line of a report, it is damaged"),
        (b"{", "line 1: not a line of a report, it is damaged"),
        (b"[]", "line 1: not a line of a report"),
        (b'{"epoch": 1}', "line 1: not a line of a report"),
        (b'{"version": 1, "epoch": 1}', "run, stats, columns missing"),
        (b'{"version": 99, "epoch": 1}', "has version 99, this dynsample reads up to 1"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    (tmp_path / "epochs.jsonl").write_bytes(line + b"\n")
    with pytest.raises(ReportError, match=message):
        report.read(tmp_path)


def test_lines_are_json_without_nan(tmp_path: Path) -> None:
    sampler = ds.Sampler(8, ds.Kakurenbo(), group=groups.single(), report=tmp_path)
    assert len(list(sampler)) == 1
    nothing = np.full(8, np.nan, np.float32)
    sampler.observe(np.arange(8), loss=nothing, correct=nothing, confidence=nothing)
    with pytest.warns(RuntimeWarning, match="no value of 'loss' is finite after epoch 0"):
        sampler.set_epoch(1)
    for line in (tmp_path / "epochs.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_a_folder_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match="the report is not complete"):
        sampler = train(groups.single(), tmp_path / "file")
    assert sampler.epoch == EPOCHS - 1


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (np.zeros(3), TypeError, "one-dimensional integer array, got float64"),
        (np.zeros((2, 2), int), TypeError, r"of shape \(2, 2\)"),
        (np.array([0, -1]), ValueError, "labels must not be negative, got -1"),
        (np.array([0, 10_000]), ValueError, r"labels must be in \[0, 10000\), got 10000"),
    ],
)
def test_wrong_labels_are_named(
    tmp_path: Path, labels: np.ndarray, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Report(tmp_path, labels=labels)


def test_too_few_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="labels must be one for each sample, got 10"):
        train(groups.single(), Report(tmp_path, labels=LABELS[:10]))


# TensorBoard


def test_without_tensorboard_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(groups.single(), tmp_path, epochs=1)
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        report.to_tensorboard(tmp_path, tmp_path / "events")


def test_tensorboard_reads_the_events(tmp_path: Path) -> None:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", exc_type=ImportError
    )
    train(groups.single(), tmp_path)
    assert report.to_tensorboard(tmp_path, tmp_path / "events") == EPOCHS
    events = accumulator.EventAccumulator(str(tmp_path / "events"))
    events.Reload()
    line = report.read(tmp_path).epochs[-1]
    hidden = events.Scalars("sampler/num_hidden")
    assert [event.step for event in hidden] == list(range(EPOCHS))
    assert hidden[-1].value == line["stats"]["num_hidden"]
    assert "scores/loss" in {*events.Tags()["histograms"], *events.Tags()["tensors"]}
