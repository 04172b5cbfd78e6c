"""`dynsample chaos`: it finds nothing where nothing is wrong, and finds what is."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dynsample.cli import main
from dynsample.cli.chaos import driver, generations, late, launch, records, sets
from dynsample.cli.chaos.compare import Life, gaps
from dynsample.cli.chaos.model import Model
from dynsample.cli.chaos.scenario import PHASES, Orders

SHORT = ["chaos", "--kills", "5", "--ranks", "1..2", "--policy", "kakurenbo"]
EXTERNAL = ["--issue", "external"]
Damage = Callable[[Orders], None]


def require(group: str) -> None:
    if reason := launch.missing(group):
        pytest.skip(reason)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ranks", "0..2"], "must be A..B with 1 <= A <= B <= 8, or one number, got 0..2"),
        (["--ranks", "3..1"], "or one number, got 3..1"),
        (["--ranks", "1..9"], "or one number, got 1..9"),
        (["--ranks", "two"], "or one number, got two"),
        (["--kills", "0"], "must be a whole number of at least 5, one for each of step, observe"),
        (["--kills", "many"], "got many"),
        (["--group", "smoke"], "invalid choice: 'smoke'"),
        (["--issue", "smoke"], "invalid choice: 'smoke'"),
        (["--policy", "kakurembo"], "invalid choice: 'kakurembo'"),
        (["--late", "4"], "must be a whole number in [0, 4), as a run has 4 epochs, got 4"),
        (["--late", "1"], "--late must be 0 without --issue external, got 1"),
        (["--seed", "-1"], "must be a whole number in [0, 2**32), got -1"),
        (["--json", "missing/f.json"], "--json: cannot write missing/f.json"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "missing", lambda group: None)
    with pytest.raises(SystemExit) as exit_:
        main(["chaos", *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "absent", "message"),
    [
        ("mpi", "mpi4py", 'needs mpi4py, not installed here: pip install "dynsample[mpi-local]"'),
        ("torch", "torch", 'needs torch, not installed here: pip install "dynsample[torch]"'),
    ],
)
def test_a_missing_package_is_named(
    group: str,
    absent: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == absent else find(name)
    )
    with pytest.raises(SystemExit):
        main(["chaos", "--group", group])
    assert message in capsys.readouterr().err


def test_a_missing_launcher_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mpi4py")
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(SystemExit):
        main(["chaos"])
    assert "needs mpiexec of MPICH, not found here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "kills", "more"),
    [
        ("mpi", 6, ["--ranks", "1..3", "--policy", "kakurenbo"]),
        ("mpi", 6, [*EXTERNAL, "--ranks", "1..3", "--policy", "kakurenbo", "--late", "3"]),
        pytest.param("mpi", 20, [], marks=pytest.mark.whole),
        pytest.param("mpi", 20, [*EXTERNAL], marks=pytest.mark.whole),
        pytest.param("mpi", 20, [*EXTERNAL, "--late", "3"], marks=pytest.mark.whole),
        pytest.param(
            "torch", 5, ["--ranks", "1..2", "--policy", "kakurenbo"], marks=pytest.mark.whole
        ),
    ],
)
def test_runs_that_are_killed_end_like_one_that_is_not(
    group: str, kills: int, more: list[str], tmp_path: Path
) -> None:
    require(group)
    file = tmp_path / "chaos.json"
    command = ["chaos", "--kills", str(kills), "--group", group, "--json", str(file), *more]
    run = subprocess.run(
        [sys.executable, "-m", "dynsample", *command], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    result = json.loads(file.read_text())
    assert result["mismatches"] == []
    assert sum(result["kills"].values()) >= kills
    assert all(result["kills"][phase] for phase in PHASES)
    assert all(count >= kills // 10 for count in result["kills_by_kind"].values())
    assert sum(result["kills_by_kind"].values()) == sum(result["kills"].values())
    if positions := result["positions"]:
        assert positions["late"] > 0
        assert (positions["lost"], positions["twice"]) == (0, 0)
    assert result["resumes"]
    assert result["issue"] == ("external" if "external" in more else "sampler")
    assert result["issue"] == "sampler" or set(result["lives_by_placement"]) == {"replicated"}


def alter_a_loss(orders: Orders) -> None:
    path = orders.records(0)
    lines = [records.unseal(line) for line in path.read_text().splitlines(keepends=True)]
    kept = [line for line in lines if line]
    if record := next((line for line in kept if line.get("losses")), None):
        record["losses"] = record["losses"][:-1] + "0123456789abcdef"[record["losses"][-1] == "0"]
    path.write_text("".join(map(records.seal, kept)))


def tear_a_record(orders: Orders) -> None:
    path = orders.records(0)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0][:-9] + "\n", *lines[1:]]))


def tear_the_checkpoint(orders: Orders) -> None:
    for folder in Path(orders.folder).glob("step-*/sampler/generation-*"):
        path = folder / "table-00000.safetensors"
        path.write_bytes(path.read_bytes()[:-5])


def tear_the_model(orders: Orders) -> None:
    for path in Path(orders.folder).glob("step-*/model"):
        path.write_text(path.read_text()[:-20])


def lose_a_generation(orders: Orders) -> None:
    number = generations.newest(Path(orders.folder))
    if number:
        shutil.rmtree(generations.directory(Path(orders.folder), number))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (alter_a_loss, "losses differ"),
        (tear_a_record, "a record of rank 0 is torn"),
        (tear_the_checkpoint, "the checkpoint cannot be loaded"),
        (tear_the_model, "model is damaged"),
        (lose_a_generation, "generation 0 is left of"),
    ],
)
def test_what_is_not_right_is_found(
    damage: Damage,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    require("mpi")
    run = launch.run

    def damaging(orders: Orders) -> launch.Outcome:
        outcome = run(orders)
        if orders.group:
            damage(orders)
        return outcome

    monkeypatch.setattr(launch, "run", damaging)
    monkeypatch.setattr(driver, "_MOST_FAILURES", 1)
    monkeypatch.setattr(driver.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    assert main(SHORT) == 1
    output = capsys.readouterr().out
    assert message in output
    assert "scenario 1 (kakurenbo, seed" in output


def test_a_life_that_hangs_is_ended_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    require("mpi")
    monkeypatch.setattr(launch, "LIFE_LIMIT", 0.0)
    monkeypatch.setattr(driver, "_MOST_FAILURES", 1)
    monkeypatch.setattr(driver.tempfile, "mkdtemp", lambda prefix: str(tmp_path))
    assert main(SHORT) == 1
    assert "hung in rank 0: start" in capsys.readouterr().out


def test_a_phase_without_kills_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require("mpi")
    draw = driver.Chaos.draw
    monkeypatch.setattr(driver.Chaos, "draw", lambda *args, kill: draw(*args, kill=False))
    monkeypatch.setattr(driver, "_MOST_IDLE", 1)
    assert main(SHORT) == 1
    assert "No rank died in: step, observe, exchange, hidden, save" in capsys.readouterr().out


def test_a_final_step_that_a_rank_did_not_record_is_named() -> None:
    reference = Life(0, 1, start=0, steps={0: [{"rows": 4}], 1: [{"rows": 4}]})
    one_row = {"ids": 16 * "0"}
    life = Life(1, 2, start=0, steps={0: [one_row] * 4, 1: [one_row] * 3}, ends=[{}, {}])
    assert list(gaps([life], reference)) == ["life 1, step 1: 3 of 4 rows are recorded"]


def of_set(step: int, ids: list[int], **other: object) -> dict[str, object]:
    """A record of a loop over a plan that others hand out."""
    values = np.array(ids, np.float32)
    return {
        "step": step,
        "rank": 0,
        "epoch": 2,
        "kind": "kept",
        "digest": "d",
        "model": "m",
        "ids": records.bits(np.array(ids, np.int64)),
        "weights": records.bits(np.ones(len(ids), np.float32)),
        "losses": records.bits(values),
        **other,
    }


def lives_of_sets(*steps: list[int]) -> list[Life]:
    """A life for each list of ids, that began behind the steps before it."""
    lives = [
        Life(number, 1, start=number, steps={number: [of_set(number, ids)]}, ends=[{}])
        for number, ids in enumerate(steps)
    ]
    lives[0].steps[1] = [of_set(1, [9, 9])]  # done, and not saved
    return lives


REFERENCE = Life(0, 1, start=0, steps={0: [of_set(0, [1, 2])], 1: [of_set(1, [3, 4])]})


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([[4, 1], [2, 3]], []),
        ([[4, 1], [2]], ["epoch 2, kept: 1 lost, such as 3"]),
        ([[4, 1], [2, 3, 1, 4]], ["epoch 2, kept: 2 too many, such as 1, 4"]),
        ([[3, 4], []], ["epoch 2, kept: 2 lost, such as 1, 2"]),
    ],
)
def test_samples_that_were_lost_or_came_twice_are_named(
    steps: list[list[int]], found: list[str]
) -> None:
    assert list(sets.gaps(lives_of_sets(*steps), REFERENCE)) == found


@pytest.mark.parametrize(
    ("steps", "counts", "found"),
    [
        ([[4, 1], [2, 3]], [1, 1, 1, 1], []),
        ([[4, 1], [2]], [1, 1, 0, 1], ["epoch 2, kept: 1 lost, such as 3"]),
        ([[4, 1], [2, 3, 4]], [1, 1, 1, 2], ["epoch 2, kept: 1 too many, such as 4"]),
        ([[4, 1], [2, 3]], [1, 1, 1, 0], ["has 0 observations of sample 4, and there were 1"]),
    ],
)
def test_positions_of_plans_that_were_open_over_epochs_come_once(
    steps: list[list[int]], counts: list[int], found: list[str]
) -> None:
    lives = lives_of_sets(*steps)
    for life in lives:
        for done in life.steps.values():
            done[0]["now"] = 3
    bits = {name: records.bits(np.array(ids)) for name, ids in {"kept": [1, 2, 3, 4]}.items()}
    lives[0].plans[2] = {**bits, "hidden": ""}
    table = {"losses/count": records.bits(np.array([0, *counts], np.uint32))}
    lives[-1].ends = [{"rank": 0, "first": 0, "table": table}]
    lines = list(late.gaps(lives, REFERENCE))
    assert len(lines) == len(found)
    assert all(line.endswith(end) for line, end in zip(lines, found, strict=True))
    account = late.account(lives)
    assert (account["positions"], account["late"]) == (4, sum(map(len, steps)))
    assert account["lost"] + account["twice"] == ("kept" in "".join(found))


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({}, []),
        ({"model": "n"}, ["model is n, undisturbed m"]),
        ({"digest": "e"}, ["digest is e, undisturbed d"]),
        ({"epoch": 3}, ["the undisturbed run has none"]),
        ({"losses": records.bits(np.array([4, 2], np.float32))}, ["losses differ of sample 1"]),
        ({"ids": records.bits(np.array([4, 7]))}, ["weights or losses differ of sample 7"]),
    ],
)
def test_what_differs_of_a_sample_is_named(other: dict[str, object], found: list[str]) -> None:
    life = Life(1, 2, start=0, steps={5: [of_set(5, [4, 1]) | other]})
    lines = list(sets.differences(life, REFERENCE))
    assert len(lines) == len(found)
    for line, end in zip(lines, found, strict=True):
        assert line.startswith("life 1, rank 0 of 2, step 5 (kept, epoch")
        assert line.endswith(end)


def test_a_torn_last_line_is_left_out_and_others_are_told(tmp_path: Path) -> None:
    path = tmp_path / "records"
    whole = records.seal({"step": 1})
    path.write_text(whole + whole[:-4])
    assert records.read(path) == ([{"step": 1}], True)
    path.write_text(whole[:-4] + "\n" + whole)
    assert records.read(path) == ([{"step": 1}], False)


def test_the_model_gives_the_same_bits_whatever_the_batch() -> None:
    model = Model(300, seed=1)
    index = np.arange(300)
    weights = np.linspace(0, 3, 300, dtype=np.float32)
    for _ in range(3):
        whole = model.forward(index)
        parts = [model.forward(part) for part in np.array_split(index, 7)]
        for name in ("loss", "correct", "confidence"):
            joined = np.concatenate([getattr(part, name) for part in parts])
            assert joined.tobytes() == getattr(whole, name).tobytes()
        gradient = model.gradient(index, whole, weights)
        sums = sum(
            model.gradient(index[part], model.forward(index[part]), weights[part])
            for part in np.array_split(index, 5)
        )
        assert np.array_equal(gradient, sums)
        model.update(gradient, 1.0)
    assert model.forward(index).correct.mean() > 0.5
