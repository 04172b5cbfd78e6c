"""`dynsample export` and `table.to_arrow`: what a sampler knows, as columns of a file."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.cli import main
from dynsample.groups import Group, simulate
from dynsample.policies.registry import POLICIES
from dynsample.run import saved_table

pa = pytest.importorskip("pyarrow")

from pyarrow import feather  # noqa: E402
from pyarrow import parquet as pq  # noqa: E402

from dynsample.table import arrow  # noqa: E402

N, B = 40, 6
VALUES = st.floats(width=32, allow_subnormal=True)


def observe(sampler: ds.Sampler, index: np.ndarray, values: np.ndarray) -> None:
    """Report numbers of the samples; what is asked for beside a loss is made of it."""
    some = values[index]
    sure = np.where(np.isfinite(some), 0.75, 0.5).astype(np.float32)
    given = {"loss": some, "correct": some > 0, "confidence": sure, "probability": sure}
    sampler.observe(index, **given)


def export(folder: Path, out: Path, *more: object) -> pa.Table:
    assert main(["export", str(folder), "-o", str(out), "--force", *map(str, more)]) == 0
    return pq.read_table(out) if out.suffix == ".parquet" else feather.read_table(out)


def bits(column: pa.ChunkedArray) -> bytes:
    return column.to_numpy().tobytes()


def assert_equal(found: pa.Table, expected: pa.Table) -> None:
    assert found.schema.names == expected.schema.names
    for name in {*found.schema.names} - {"key"}:
        assert bits(found[name]) == bits(expected[name]), name


@pytest.mark.filterwarnings("ignore:nothing was observed", "ignore:no value of")
@pytest.mark.filterwarnings("ignore:.*were due for a forward pass")
@given(
    values=st.lists(VALUES, max_size=N),
    ranks=st.integers(1, 3),
    placement=st.sampled_from(["replicated", "sharded"]),
    part=st.booleans(),
    steps=st.integers(0, 9),
    data=st.data(),
)
def test_every_value_comes_back_to_the_bit(
    values: list[float], ranks: int, placement: str, part: bool, steps: int, data: st.DataObject
) -> None:
    n = len(values)
    array = np.array(values, np.float32)
    subset = np.flatnonzero(np.arange(n) % 3 > 0) if part else None
    columns = {"mean": ds.Mean(signal="loss"), "run": ds.RunLength(signal="correct")}
    keys = ds.Keys([f"é{i}" for i in range(n)])
    with tempfile.TemporaryDirectory() as name:
        folder, kept = Path(name) / "state", Path(name) / "kept.npy"

        def body(group: Group) -> pa.Table:
            sampler = ds.Sampler(
                n, ds.Kakurenbo(fraction=0.5, tau=0.6), B, seed=1, group=group, columns=columns,
                placement=placement, subset=subset, keys=keys, groups=np.arange(n) % 2,
            )  # fmt: skip
            for epoch in range(2):
                sampler.set_epoch(epoch)
                for step, index in enumerate(sampler):
                    if epoch and step >= steps:
                        break
                    observe(sampler, index, array)
                if not epoch:
                    for index in sampler.hidden:
                        observe(sampler, index, array)
            hidden = np.isin(sampler.table.index, sampler.plan.hidden)
            sampler.save(folder, consumed=min(steps, len(sampler)))
            sampler.set_epoch(2)
            return sampler.table.to_arrow(keys=keys).append_column("hidden", pa.array(hidden))

        with np.errstate(all="ignore"):
            parts = simulate(ranks, body)
        expected = pa.concat_tables(parts if placement == "sharded" else parts[:1])
        more: tuple[object, ...] = ()
        if subset is not None:
            np.save(kept, subset)
            more = ("--subset", kept)
        suffix = data.draw(st.sampled_from([".parquet", ".arrow", ".feather"]))
        found = export(folder, Path(name) / f"scores{suffix}", *more)
    assert found["weight"].to_pylist() == [1.0] * len(found)
    assert_equal(found.drop_columns(["weight"]), expected)
    assert found["key"].to_pylist() == [f"é{i}" for i in found["index"].to_pylist()]


def run_of(policy: ds.Policy, **options: object) -> ds.Sampler:
    return ds.Sampler(N, policy, B, seed=3, **options)


def in_epoch_two(sampler: ds.Sampler, values: np.ndarray | None = None) -> ds.Sampler:
    """Train two epochs, and a batch of the third."""
    values = np.random.default_rng(0).random(N, np.float32) if values is None else values
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for index in sampler:
            observe(sampler, index, values)
            if epoch == 2:
                break
    return sampler


KNOWN: dict[str, ds.Policy] = {
    "infobatch": ds.InfoBatch(ratio=0.4, epochs=9),
    "scheduled": ds.Kakurenbo(fraction=0.5, schedule=lambda epoch: 1 / (1 + epoch)),
    "importance": ds.ImportanceSampling(num_draws=30),
    "by a column": ds.WeightedRandom("loss", num_draws=30),
    "forgetting": ds.Forgetting(fraction=0.3, static_epochs=1),
    "random": ds.RandomSubset(fraction=0.3),
    "selective": ds.SelectiveBackprop(),
    "uniform": ds.Uniform(),
}


@pytest.mark.filterwarnings("ignore:.*were due for a forward pass")
@pytest.mark.parametrize("name", KNOWN)
def test_the_plan_of_a_method_is_made_again(tmp_path: Path, name: str) -> None:
    sampler = in_epoch_two(run_of(KNOWN[name], order="sequential"))
    sampler.save(tmp_path / "state", consumed=1)
    found = export(tmp_path / "state", tmp_path / "scores.parquet")
    hidden = np.isin(np.arange(N), sampler.plan.hidden)
    np.testing.assert_array_equal(found["hidden"].to_numpy(), hidden)
    weights = np.ones(N, np.float32) if sampler.plan.weights is None else sampler.plan.weights
    assert bits(found["weight"]) == weights.tobytes()
    says = arrow.facts(found.schema)
    assert {name: says[name] for name in ("epoch", "seed", "digest")} == {
        "epoch": 2, "seed": 3, "digest": sampler.plan.digest
    }  # fmt: skip
    assert says["version"] == ds.__version__


class Odd(ds.Policy):
    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return ds.Selection(hidden=table.seen | True)


UNKNOWN: dict[str, tuple[ds.Policy, dict[str, object], str]] = {
    "own": (Odd(), {}, "the policy, Odd, is none of dynsample's own"),
    "array": (ds.WeightedRandom(np.arange(1, N + 1)), {}, "WeightedRandom needs more than"),
    "pages": (ds.Uniform(), {"order": ds.PageLocal(np.arange(N) // 5, 2)}, "its order, page_local"),
    "groups": (ds.ClassBudget(), {"groups": np.arange(N) % 3}, "ClassBudget needs more than"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_plan_that_cannot_be_known_is_left_out_with_a_sentence(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    policy, options, why = UNKNOWN[name]
    sampler = run_of(policy, **options)
    sampler.set_epoch(0)
    sampler.save(tmp_path / "state")
    found = export(tmp_path / "state", tmp_path / "scores.parquet")
    assert not {"hidden", "weight"} & {*found.schema.names}
    said = capsys.readouterr().err
    assert said.startswith("dynsample export: hidden and weight are left out: ")
    assert why in said
    assert said.count("\n") == 1
    known = sampler.table.to_arrow(plan=sampler.plan)  # who has the policy has the plan
    assert known["hidden"].to_pylist() == np.isin(np.arange(N), sampler.plan.hidden).tolist()


def test_a_table_that_was_changed_since_gives_another_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sampler = in_epoch_two(run_of(ds.RandomSubset(fraction=0.5)))
    sampler.save(tmp_path / "state", consumed=1)
    import dynsample.run.saved_table as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module._CLASSES, "RandomSubset", lambda **_: ds.RandomSubset(fraction=0.4))
        found = export(tmp_path / "state", tmp_path / "scores.parquet")
    assert "hidden" not in found.schema.names
    assert "has another digest than the state's" in capsys.readouterr().err


def test_every_method_is_known_or_said_to_be_unknown(tmp_path: Path) -> None:
    given = {"infobatch": {"epochs": 5}, "seta": {"epochs": 5}, "weighted": {"probabilities": "p"}}
    given |= {"curriculum": {"pace": ds.schedules.linear(0.5, 4)}}
    for name, make in POLICIES.items():
        sampler = run_of(make(**given.get(name, {})), groups=np.arange(N) % 2)
        for column in sampler.table.columns:
            with contextlib.suppress(TypeError):  # of a kind that cannot be set
                sampler.table.set_column(column, np.linspace(0, 1, N))
        sampler.set_epoch(0)
        sampler.save(tmp_path / name)
        saved = saved_table.read(tmp_path / name, planned=True)
        assert (saved.plan is None) == bool(saved.unknown)
        if saved.plan is not None:
            assert saved.plan.digest == sampler.plan.digest


def test_an_epoch_that_is_over_has_no_plan_any_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sampler = in_epoch_two(run_of(ds.InfoBatch(epochs=9)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dynsample.run.boundary.make_plan", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sampler.set_epoch(3)
    sampler.save(tmp_path / "state", consumed=1)
    found = export(tmp_path / "state", tmp_path / "scores.parquet")
    assert "hidden" not in found.schema.names
    assert "epoch 2 is over, and its plan came from an older table" in capsys.readouterr().err
    assert bits(found["loss"]) == np.asarray(sampler.table["loss"]).tobytes()


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_ranks_drew_repeatedly_counts_in_the_order_of_the_epoch(tmp_path: Path) -> None:
    columns = {"mean": ds.EMA(0.5, signal="loss"), "last": ds.Last(signal="loss")}

    def body(group: Group) -> pa.Table:
        policy = ds.WeightedRandom(np.arange(1, 9), num_draws=60)
        sampler = ds.Sampler(8, policy, 4, group=group, columns=columns)
        sampler.set_epoch(0)
        for step, index in enumerate(sampler):
            loss = np.float32(step * 10 + group.rank + np.arange(len(index)) / 8)
            sampler.observe(index, loss=loss)
        sampler.save(tmp_path / "state")
        sampler.set_epoch(1)
        return sampler.table.to_arrow()

    expected = simulate(2, body)[0]
    assert_equal(export(tmp_path / "state", tmp_path / "scores.parquet"), expected)


def test_observations_of_an_older_plan_count_as_at_the_next_boundary(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from dynsample.torch import IndexSampler

    columns = {"ema": ds.EMA(0.5, signal="loss"), "mean": ds.Mean(signal="loss")}
    columns["early"] = ds.Mean(signal="loss", until=1)
    sampler = ds.Sampler(N, columns=columns, batch_size=B, issue="external", late=2)
    issued = IndexSampler(sampler)
    values = np.random.default_rng(0).random((4, N), np.float32)
    plans = []
    for epoch in range(3):
        sampler.set_epoch(epoch)
        plans.append(np.array([*issued]))
        for late, ids in enumerate(reversed(plans)):  # a third of this plan, and of the older ones
            some = ids[late * 14 : (late + 1) * 14]
            sampler.observe(some, loss=values[epoch + late - 2][some], epoch=epoch - late)
    sampler.save(tmp_path / "state")
    found = export(tmp_path / "state", tmp_path / "scores.parquet")
    sampler.set_epoch(3)
    assert_equal(found.drop_columns(["hidden", "weight"]), sampler.table.to_arrow())


def test_row_groups_are_of_some_rows_and_scores_have_no_bounds(tmp_path: Path) -> None:
    rows = arrow.ROWS * 2 + 5
    sampler = ds.Sampler(rows, columns={"loss": ds.Last()}, batch_size=rows)
    sampler.table.set_column("loss", np.r_[np.nan, np.arange(rows - 1)])
    sampler.save(tmp_path / "state")
    found = export(tmp_path / "state", tmp_path / "scores.parquet")
    assert bits(found["loss"]) == np.asarray(sampler.table["loss"]).tobytes()
    about = pq.ParquetFile(tmp_path / "scores.parquet").metadata
    assert about.num_row_groups == 3
    assert [about.row_group(1).column(j).is_stats_set for j in range(2)] == [True, False]


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as exit_:
        main(["export", *map(str, arguments)])
    assert exit_.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_wrong_arguments_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, out, kept = tmp_path / "state", tmp_path / "scores.parquet", tmp_path / "kept.npy"
    run_of(ds.Uniform()).save(state)
    np.save(kept, np.arange(5))
    fails = partial(refused, capsys)
    assert "--output must end in .parquet, .arrow, .feather" in fails(state, "-o", "scores.csv")
    assert "holds no saved state" in fails(tmp_path / "none", "-o", out)
    assert "--subset must be left out" in fails(state, "-o", out, "--subset", kept)
    run_of(ds.Uniform(), subset=np.arange(6)).save(tmp_path / "part")
    assert "export it with --subset" in fails(tmp_path / "part", "-o", out)
    assert "5 ids, and others" in fails(tmp_path / "part", "-o", out, "--subset", kept)
    assert [*tmp_path.glob("*scores*")] == []
    out.write_text("mine")
    assert "exists already; --force replaces it" in fails(state, "-o", out)
    assert out.read_text() == "mine"


def test_a_subset_may_be_a_coreset_of_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, subset = ds.Keys([f"é{i}" for i in range(N)]), np.arange(0, N, 3)
    state, out = tmp_path / "state", tmp_path / "scores.parquet"
    run_of(ds.Uniform(), subset=subset, keys=keys).save(state)
    names = keys.names(subset)
    (tmp_path / "kept.txt").write_text("".join(f"{name}\n" for name in names))
    pq.write_table(pa.table({"key": names[::-1]}), tmp_path / "kept.parquet")
    for kept in ("kept.txt", "kept.parquet"):
        assert export(state, out, "--subset", tmp_path / kept)["index"].to_pylist() == [*subset]
    (tmp_path / "kept.txt").write_text("x\n")
    error = refused(capsys, state, "-o", out, "--force", "--subset", tmp_path / "kept.txt")
    assert "export: 1 of 1 names are not among the 40 keys, the first 'x';" in error


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name)
    )
    assert 'pip install "dynsample[arrow]"' in refused(capsys, tmp_path, "-o", "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "dynsample.table.arrow")
    monkeypatch.delattr("dynsample.table.arrow")
    with pytest.raises(ImportError, match=r'need pyarrow.*pip install "dynsample\[arrow\]"'):
        ds.ScoreTable(3, {"loss": ds.Last()}).to_arrow()


KILLED = """
import os, signal, sys
from dynsample.cli import main
from dynsample.table import arrow

arrow.ROWS = 10
made = arrow.pa.RecordBatch.from_arrays
batches = []

class Batch:
    @staticmethod
    def from_arrays(*args, **options):
        batches.append(1)
        if len(batches) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return made(*args, **options)

arrow.pa = type("pa", (), {**vars(arrow.pa), "RecordBatch": Batch})
main(["export", sys.argv[1], "-o", sys.argv[2], "--force"])
"""


@pytest.mark.parametrize("before", [None, b"mine"])
def test_an_export_that_is_killed_leaves_what_was_there(
    tmp_path: Path, before: bytes | None
) -> None:
    state, out = tmp_path / "state", tmp_path / "scores.parquet"
    run_of(ds.Uniform(), columns={"loss": ds.Last()}).save(state)
    if before is not None:
        out.write_bytes(before)
    done = subprocess.run([sys.executable, "-c", KILLED, str(state), str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (out.read_bytes() if out.exists() else None) == before
    assert len(export(state, out)) == N
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.parquet", "state"]
