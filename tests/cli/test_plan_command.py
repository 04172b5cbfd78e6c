"""`dynsample plan` prints one digest, whoever launches it on however many ranks."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from dynsample import _core
from dynsample.cli import main
from dynsample.cli.plan import POLICIES, random_scores
from tests.ranks import launchers

N = 20011
ARGUMENTS = ("--num-samples", str(N), "--scores", "random", "--seed", "7", "--batch-size", "96")


def alone(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Last word of the command on this process."""
    assert main(["plan", *ARGUMENTS, *arguments]) == 0
    return capsys.readouterr().out.split()[-1]


def launched(launcher: str, size: int, folder: Path, *arguments: str) -> list[str]:
    launchers.require("gloo" if launcher == "torchrun" else launcher)
    command = ["-m", "dynsample", "plan", *ARGUMENTS, *arguments]
    with launchers.world(launcher, size, folder, *command) as world:
        assert world.wait() == [0], world.output()
        return world.output().splitlines()


@pytest.mark.parametrize("policy", POLICIES)
def test_both_placements_give_one_digest_for_every_policy(
    policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = alone(capsys, "--policy", policy, "--digest")
    assert re.fullmatch("[0-9a-f]{32}", digest)
    assert alone(capsys, "--policy", policy, "--placement", "sharded") == digest


@pytest.mark.parametrize("policy", ["kakurenbo", "infobatch", "importance", "random"])
@pytest.mark.parametrize("placement", ["replicated", "sharded"])
@pytest.mark.parametrize("size", [1, launchers.whole(2), 3, launchers.whole(4)])
def test_any_number_of_ranks_gives_the_digest_of_one_process(
    size: int, placement: str, policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = launched(
        "mpich", size, tmp_path, "--policy", policy, "--placement", placement, "--digest"
    )
    assert lines == [alone(capsys, "--policy", policy)]


@pytest.mark.parametrize("placement", [launchers.whole("replicated"), launchers.whole("sharded")])
def test_torchrun_gives_the_digest_of_one_process(
    placement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = launched("torchrun", 2, tmp_path, "--placement", placement, "--digest")
    assert lines[-1] == alone(capsys)


def test_another_seed_or_epoch_gives_another_digest(capsys: pytest.CaptureFixture[str]) -> None:
    more = [(), ("--seed", "8"), ("--epoch", "2")]
    assert len({alone(capsys, *arguments) for arguments in more}) == len(more)


def test_figures_of_the_plan_stand_above_the_digest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", *ARGUMENTS, "--policy", "random"]) == 0
    rows = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert list(rows)[-1] == "digest"
    assert rows["digest"] == alone(capsys, "--policy", "random", "--digest")
    assert int(rows["num_positions"]) + int(rows["num_hidden"]) == N
    assert (rows["ranks"], rows["placement"]) == ("1", "replicated")
    assert {"lr_scale", "seconds"} < rows.keys()


@pytest.mark.parametrize("policy", ["kakurenbo", "infobatch", "importance", "random"])
def test_sharded_ranks_hold_their_share_of_table_and_order(policy: str, tmp_path: Path) -> None:
    size = 3
    lines = launched(
        "mpich", size, tmp_path, "--policy", policy, "--placement", "sharded", "--memory",
        "--num-samples", "400000", "--digest",
    )  # fmt: skip
    held = {
        line[:14].strip(): [float(number) for number in line[14:].split()[:2]]
        for line in lines
        if line.startswith(("rank ", "one process"))
    }
    assert list(held) == ["rank 0", "rank 1", "rank 2", "one process"], lines
    whole = sum(held.pop("one process"))
    # Room for the blocks of rows, and for what Issued holds ahead, twice as much at most.
    assert all(sum(each) <= 1.35 * whole / size for each in held.values()), lines


def test_scores_are_a_function_of_seed_and_row() -> None:
    names = ("loss", "correct", "confidence")
    everything = random_scores(7, 0, 200_000, names)
    part = random_scores(7, 65_000, 140_000, names)
    for name in names:
        np.testing.assert_array_equal(part[name], everything[name][65_000:140_000])
    lanes = _core.philox(7, 131_072, 1, 0, _core.Stream.PLAN_SCORES)
    confidence = np.float32(lanes[2] >> 8) * np.float32(2**-24)
    assert everything["confidence"][131_072] == confidence
    assert set(everything["correct"]) == {0, 1}
    assert everything["loss"].min() >= 0
    assert everything["confidence"].max() < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: --n"),
        (["--n", "0"], "--n/--num-samples: must be a whole number in [1, 4294967295], got 0"),
        (["--n", "4294967296"], "must be a whole number in [1, 4294967295], got 4294967296"),
        (["--n", "1e6"], "must be a whole number in [1, 4294967295], got 1e6"),
        (["--n", "9", "--policy", "kakurembo"], "--policy: invalid choice: 'kakurembo'"),
        (["--n", "9", "--scores", "zero"], "--scores: invalid choice: 'zero'"),
        (["--n", "9", "--seed", "-1"], "--seed: must be a whole number in [0, "),
        (["--n", "9", "--epoch", "4294967296"], "--epoch: must be a whole number in [0, "),
        (["--n", "9", "--batch-size", "0"], "--batch-size: must be a whole number in [1, "),
        (["--n", "9", "--placement", "split"], "--placement: invalid choice: 'split'"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["plan", *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_a_world_that_cannot_be_joined_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    assert main(["plan", "--n", "9"]) == 1
    assert "dynsample plan: mpi4py cannot be used" in capsys.readouterr().err
