"""Checkpoints of the Trainer of transformers: a run in two parts is the run in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="Accelerate is not installed")

import transformers
from hf_runs import EPOCHS, Classifier, Samples, Stop, make, run
from transformers import TrainingArguments

from dynsample import hf
from dynsample.disk.checkpoint import StateError


@pytest.mark.parametrize(
    ("policy", "accumulation"),
    [
        ("Kakurenbo", 3),
        ("InfoBatch", 1),
        pytest.param("Kakurenbo", 1, marks=pytest.mark.whole),
        pytest.param("InfoBatch", 3, marks=pytest.mark.whole),
    ],
)
@pytest.mark.parametrize("place", ["in an epoch", "at its end", "saved by epoch", "over"])
def test_a_run_in_two_parts_is_the_run_in_one(
    place: str, policy: str, accumulation: int, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"gradient_accumulation_steps": accumulation}
    whole = run(tmp_path / "whole", policy, **options)
    ends = [sum(list(whole.steps.values())[: i + 1]) for i in range(EPOCHS)]
    step = {"in an epoch": ends[1] + 2, "over": ends[-1]}.get(place, ends[1])
    if place == "saved by epoch":
        first = run(tmp_path / "parts", policy, save_strategy="epoch", **options)
    else:
        first = make(tmp_path / "parts", policy, **options)
        first.add_callback(Stop(step))
        first.train()
    second = make(tmp_path / "parts", policy, **options)
    second.train(resume_from_checkpoint=str(tmp_path / "parts" / f"checkpoint-{step}"))
    assert second.state.global_step == whole.state.global_step
    assert second.state.max_steps == whole.state.max_steps
    begun = next((e for e, end in enumerate(ends) if end > step), EPOCHS)
    for epoch in range(EPOCHS):
        saved = epoch < begun or place != "saved by epoch"
        before = first.kept.get(epoch, []) if saved else []
        assert sorted(before + second.kept.get(epoch, [])) == sorted(whole.kept[epoch])
        if epoch >= begun:
            assert second.looked.get(epoch) == whole.looked.get(epoch)
    if place in ("at its end", "saved by epoch") and policy == "Kakurenbo":
        assert second.looked[1] == whole.looked[1]  # which came after the save
    for one, other in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other)
    assert set(second.lr_scheduler.get_last_lr()) == {0.0}


def test_a_run_of_max_steps_that_is_over_makes_no_more(tmp_path: Path) -> None:
    run(tmp_path, max_steps=20, save_strategy="steps", save_steps=20)
    again = make(tmp_path, max_steps=20)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 20
    assert not again.kept
    more = make(tmp_path, max_steps=24)
    more.train(resume_from_checkpoint=True)
    assert sum(more.steps.values()) == 4


def test_the_last_step_is_saved(tmp_path: Path) -> None:
    trainer = run(tmp_path, save_strategy="steps", save_steps=500)
    assert (tmp_path / f"checkpoint-{trainer.state.global_step}" / hf.FOLDER).is_dir()


def test_a_checkpoint_without_the_sampler_is_refused(tmp_path: Path) -> None:
    plain = transformers.Trainer(
        model=Classifier(),
        args=TrainingArguments(
            output_dir=str(tmp_path), max_steps=3, save_steps=3, use_cpu=True, report_to=[]
        ),
        train_dataset=Samples(),
    )
    plain.train()
    with pytest.raises(StateError, match="checkpoint-3"):
        make(tmp_path).train(resume_from_checkpoint=True)
