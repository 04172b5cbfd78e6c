"""Every block of Python in README and docs runs: as pasted, or in the script it is a part of."""

from __future__ import annotations

import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dynsample as ds
from dynsample.cli import main
from dynsample.torch import DataLoader
from tests import pages
from tests.docs.given import Pairs, script

# Pages whose blocks have a test of their own, and where it is.
ELSEWHERE = {
    "docs/dali.md": "loaders/test_dali_page.py",
    "docs/frameworks.md": "docs/test_frameworks_page.py",
    "docs/migrate/dyn-unc.md": "docs/test_coreset_pages.py",
    "docs/migrate/fkd.md": "docs/test_fkd_page.py",
    "docs/migrate/ignite.md": "docs/test_ignite_page.py",
    "docs/migrate/kakurenbo.md": "docs/kakurenbo_ranks.py",
    "docs/migrate/lerobot.md": "docs/test_lerobot_page.py",
    "docs/migrate/trainers.md": "docs/test_trainers_page.py",
    "docs/migrate/transformers.md": "docs/test_transformers_page.py",
    "docs/migrate/ultralytics.md": "docs/test_ultralytics_page.py",
    "docs/ranks.md": "ranks/from_the_docs.py",
    "docs/relabelled.md": "docs/test_fkd_page.py",
    "docs/weighted-sampling.md": "ranks/weighted_page.py",
}
AS_PASTED = ("README.md", "docs/own-policy.md")
INCLUDED = re.compile(r'--8<-- "(examples/quickstart/\w+\.py)"\n')
NEEDS_GPU = ("docs/cuda.md",)


def with_code() -> list[str]:
    """Pages that have a block of Python."""
    return [name for name in pages.names() if pages.blocks(name)]


def two_headed() -> torch.nn.Module:
    class Heads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main, self.auxiliary = torch.nn.Linear(6, 3), torch.nn.Linear(6, 3)

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.main(images), self.auxiliary(images)

    return Heads()


def observed(names: dict[str, Any]) -> int:
    """Return how many samples the next epoch knows."""
    names["sampler"].set_epoch(1)
    return int(names["sampler"].table.seen.sum())


def recipes() -> Iterator[tuple[dict[str, Any], int]]:
    """The names that each block of the recipes takes, and the samples it observes."""
    yield script(class_weight=torch.ones(3)), 12
    names = script()
    names["mix"] = lambda images, targets: (images.roll(1, 0), targets, targets.roll(1), 0.7)
    yield names | {"net": names["model"]}, 12
    yield script(mix_rows=lambda rows: rows.roll(1, 0)), 0
    yield script(), 0
    yield script(model=two_headed(), distillation=torch.zeros(12)), 12
    task_loss, half = torch.rand(12), torch.full((12,), 0.5)
    yield script(task_loss=task_loss, iou=torch.rand(12), score=half), 12
    yield script(ds.InfoBatch(epochs=2), r=2, losses=torch.rand(24)), 12
    names = script(scaler=torch.amp.GradScaler("cuda", enabled=False), step=0, accumulate=2)
    names["sampler"].observe(names["index"], logits=names["logits"], targets=names["targets"])
    yield names, 120
    names = script()
    names["scheduler"] = torch.optim.lr_scheduler.StepLR(names["optimizer"], 1)
    names["optimizer"].step()
    yield names, 0
    yield script(ds.Uniform(), columns={"score": ds.Mean()}), 12
    names = script(ds.InfoBatch(epochs=2), reference_losses=torch.zeros(120))
    names["model"].eval()  # one row is no batch for its BatchNorm
    yield names, 12


def test_every_page_with_code_is_run() -> None:
    known = {*ELSEWHERE, *AS_PASTED, *NEEDS_GPU, *STEPS, "docs/quickstarts.md", "docs/recipes.md"}
    assert set(with_code()) == known
    for page, test in ELSEWHERE.items():
        assert pages.is_named_in(page, test), page


@pytest.mark.parametrize("page", AS_PASTED)
def test_blocks_that_stand_alone(page: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for block in pages.blocks(page):
        pages.run(page, [block], {})


def test_quickstarts_are_files_and_the_readme_shows_one() -> None:
    shown = [INCLUDED.fullmatch(block) for block in pages.blocks("docs/quickstarts.md")]
    files = sorted((pages.ROOT / "examples/quickstart").glob("*.py"))
    assert {match[1] for match in shown if match} == {
        path.relative_to(pages.ROOT).as_posix() for path in files
    }
    assert all(len(path.read_text().splitlines()) < 40 for path in files)
    assert pages.blocks("README.md") == [files[0].with_name("with_torch.py").read_text()]


@pytest.mark.filterwarnings("ignore:(User provided device_type of 'cuda'|CUDA is not available)")
def test_recipes() -> None:
    blocks = pages.blocks("docs/recipes.md")
    for block, (names, rows) in zip(blocks, recipes(), strict=True):
        after = pages.run("docs/recipes.md", [block], names)
        if rows:
            assert observed(after) == rows, block


def test_a_schedule_of_torch_ends_with_the_epochs_that_shrank() -> None:
    (block,) = (b for b in pages.blocks("docs/recipes.md") if "scheduler.last_epoch" in b)
    sampler = ds.Sampler(120, ds.RandomSubset(fraction=0.45), batch_size=12)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    total = 3 * sampler.max_batches
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=total)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        for _ in sampler:
            optimizer.step()
            pages.run("docs/recipes.md", [block], {"sampler": sampler, "scheduler": scheduler})
        assert scheduler.last_epoch == (epoch + 1) * sampler.max_batches
    assert len(sampler) < sampler.max_batches


def a_training_script(page: str) -> None:
    blocks = pages.blocks(page)
    names = pages.run(page, blocks[:2], script(epoch=0))
    assert observed(names) == 120
    pages.run(page, blocks[2:], names)


def an_epoch_loop(page: str) -> None:
    sampler = ds.Sampler(120, ds.InfoBatch(epochs=2), batch_size=12)
    loader, losses = DataLoader(Pairs(), sampler=sampler), np.ones(12)
    given = {"sampler": sampler, "loader": loader, "losses": losses, "epochs": 2}
    pages.run(page, pages.blocks(page), given)
    assert (sampler.epoch, sampler.table.seen.sum()) == (1, 120)


def a_report(page: str) -> None:
    names = pages.run(page, pages.blocks(page), {"ds": ds, "num_samples": 120})
    names["sampler"].set_epoch(0)
    assert Path("runs/7/epochs.jsonl").exists()


def scores_elsewhere(page: str) -> None:
    for needed in ("pyarrow", "duckdb", "polars"):
        pytest.importorskip(needed)
    train, whole, *selections = pages.blocks(page)
    names = pages.run(page, [train], {})
    for command in pages.commands(page):
        assert main(shlex.split(command)[1:]) == 0
    names = pages.run(page, [whole, *selections], names)
    assert len(names["hard"])
    assert len(names["surest"]) == len(names["kept"]) == 300
    assert names["kept"].tolist() == names["same"].tolist()


def a_run_on_prompts(page: str) -> None:
    given = {
        "ds": ds, "prompts": ["Is 7 a prime?"] * 40, "num_steps": 4, "pass_rates": np.full(40, 0.5),
        "start_rollouts": (flight := []).append,
        "finished_rollouts": lambda: (np.array(flight.pop(0)), np.full(10, 0.25)),
    }  # fmt: skip
    loop, known, save, load = pages.blocks(page)
    names = pages.run(page, [loop.replace("512", "10")], given)
    assert len(names["sampler"].outstanding) == 0
    flight.clear()
    names = pages.run(page, [known], names)
    assert names["sampler"].table.known.all()
    flight.append([])
    names["sampler"].set_epoch(4)
    pages.run(page, [save], names)
    names = pages.run(page, [load.replace("512", "10")], names)
    assert names["sampler"].epoch == 4


STEPS: dict[str, Callable[[str], None]] = {
    "docs/epochs.md": an_epoch_loop,
    "docs/inspect.md": a_report,
    "docs/prompts.md": a_run_on_prompts,
    "docs/scores-in-parquet.md": scores_elsewhere,
    "docs/torch.md": a_training_script,
}


@pytest.mark.parametrize("page", STEPS)
def test_parts_of_a_script(page: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This DataLoader will create")  # of more cores than here
        STEPS[page](page)
