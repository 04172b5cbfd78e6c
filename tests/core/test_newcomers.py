"""What somebody writes who is new here: the error says what to write instead."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import dynsample as ds
from dynsample.cli import bench, main
from dynsample.torch import DataLoader

N, B, C = 100, 10, 3
DATA = torch.utils.data.TensorDataset(torch.zeros(N, 4), torch.arange(N) % C)
LOGITS, TARGETS, INDEX = torch.randn(B, C), torch.arange(B) % C, torch.arange(B)


def observe(**signals: object) -> None:
    sampler = ds.Sampler(N, ds.Kakurenbo(), batch_size=B)
    sampler.set_epoch(0)
    sampler.observe(INDEX, **signals)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: observe(logits=LOGITS), "logits were given without targets"),
        (lambda: observe(targets=TARGETS), "targets were given without logits"),
        (lambda: observe(logits=TARGETS, targets=LOGITS), "logits and targets look exchanged"),
        (
            lambda: observe(logits=LOGITS, targets=torch.eye(C, dtype=torch.long)[TARGETS]),
            "got (10, 3); targets.argmax(1) gives the classes of one-hot rows",
        ),
        (lambda: observe(losses=torch.zeros(B)), "unknown signals losses; known are"),
        (lambda: observe(losses=torch.zeros(B), corect=TARGETS), "did you mean correct, loss?"),
        (lambda: ds.Sampler(DATA), "got TensorDataset"),  # type: ignore[arg-type]
        (lambda: ds.Sampler(DATA), "write len() of the data set"),  # type: ignore[arg-type]
        (lambda: ds.Sampler(N, subset=np.ones(N, bool)), "np.flatnonzero gives the ids of a mask"),
        (
            lambda: ds.score(torch.nn.Linear(4, C), torch.utils.data.DataLoader(DATA)),
            "got 2 parts: the index is added by dynsample.torch.DataLoader",
        ),
        (lambda: DataLoader(DATA, sampler=ds.Sampler(N - 1)), "dataset has 100 items"),
        (lambda: DataLoader(DATA, sampler=ds.Sampler(N + 1, subset=range(N))), "give it whole"),
        (lambda: ds.no_such_name, "module 'dynsample' has no attribute 'no_such_name'"),
    ],
)
def test_an_error_says_what_to_write(call: Callable[[], object], message: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        call()
    assert message in str(caught.value)


def test_a_module_that_was_not_imported_is_told_from_a_name_that_is_not_there() -> None:
    code = "import dynsample as ds\ntry: ds.distill\nexcept AttributeError as e: print(e)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("'distill': write import dynsample.distill before")


def test_a_state_of_another_policy_says_what_differs_and_no_more(tmp_path: Path) -> None:
    def made(policy: ds.Policy) -> ds.Sampler:
        sampler = ds.Sampler(N, policy, batch_size=B)
        sampler.set_epoch(0)
        return sampler

    made(ds.Kakurenbo()).save(tmp_path)
    with pytest.raises(ds.StateError) as caught:
        made(ds.Kakurenbo(fraction=0.2, tau=0.5)).load(tmp_path)
    said = "policy.fraction: saved 0.3, here 0.2; policy.tau: saved 0.7, here 0.5; allow={'policy'}"
    assert said in str(caught.value)
    assert "warmup_epochs" not in str(caught.value)
    with pytest.raises(ds.StateError, match=r"policy: saved .*'Kakurenbo'.*, here .*'Uniform'"):
        made(ds.Uniform()).load(tmp_path)


def test_a_loader_and_its_hidden_pass_say_where_they_are() -> None:
    sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.3), batch_size=B)
    loader = DataLoader(DATA, sampler=sampler)
    sampler.set_epoch(0)
    for index in sampler:
        sampler.observe(index, loss=index, correct=np.ones(B), confidence=np.ones(B))
    sampler.set_epoch(1)
    assert repr(loader) == f"DataLoader(TensorDataset, {sampler!r})"
    next(iter(sampler.hidden))
    said = "HiddenView(batch_size=10; epoch 1, 10 of 30 hidden positions handed out)"
    assert repr(sampler.hidden) == said
    assert "0 of 70 positions handed out" in repr(sampler)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("path", lambda: ds.Sampler(N, ds.Uniform()).save("")),
        ("path", lambda: ds.Sampler(N, ds.Uniform()).load("")),
        ("folder", lambda: ds.Sampler(N, ds.Uniform(), report="")),
        ("path", lambda: ds.payload.Writer("", ds.payload.Facts(4, num_classes=3, crops=False))),
    ],
)
def test_a_folder_without_a_name_is_not_the_current_one(
    name: str, call: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{name} must name a folder, got ''; '.' is the current"):
        call()
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_state(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"mine")
    with pytest.raises(OSError, match=r"state.pt failed: it is a file, and a state is a folder"):
        ds.Sampler(N, ds.Uniform()).save(tmp_path / "state.pt")
    assert (tmp_path / "state.pt").read_bytes() == b"mine"


class Newest(ds.Policy):
    """Hides the lowest fifth of a signal of its own, as help(ds.Policy) says, and no more."""

    @property
    def columns(self) -> dict[str, ds.Last]:
        return {"mine": ds.Last()}

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return ds.Selection(hidden=table.hide_lowest(table["mine"], table.num_samples // 5))


def test_a_policy_that_is_no_dataclass_trains_saves_and_has_a_name(tmp_path: Path) -> None:
    sampler = ds.Sampler(N, Newest(), batch_size=B)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for index in sampler:
            sampler.observe(index, mine=np.asarray(index, np.float32))
    assert sampler.stats["num_hidden"] == 20
    assert repr(sampler.policy) == "Newest()"
    sampler.save(tmp_path)
    ds.Sampler(N, Newest(), batch_size=B).load(tmp_path)


def test_bench_of_a_copy_says_how_to_install_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(SystemExit):
        main(["bench", "select"])
    assert "needs a checkout of dynsample: run `pip install -e .` in" in capsys.readouterr().err
