"""The page for users of LeRobot: the loop of its script trains on what is planned."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

import dynsample as ds
from tests import pages
from tests.docs.noted import BATCH, EPOCHS, N, Noted

PAGE = "docs/migrate/lerobot.md"
LOADER, LOSS = pages.blocks(PAGE)

# LeRobot's, of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a data set of three episodes."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path))
    datasets = pytest.importorskip(
        "lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed", exc_type=ImportError
    )
    features = {
        name: {"dtype": "float32", "shape": (2,), "names": None}
        for name in ("observation.state", "action")
    }
    made = datasets.LeRobotDataset.create(
        "test/episodes", 10, features, root=tmp_path / "episodes", use_videos=False
    )
    for episode in range(3):
        for frame in range(N // 3):
            state = torch.tensor([frame / N, episode / 3])
            action = torch.tensor([frame % 2, episode]).float()
            made.add_frame(
                {"observation.state": state.numpy(), "action": action.numpy(), "task": "none"}
            )
        made.save_episode()
    made.finalize()
    return datasets.LeRobotDataset("test/episodes", root=tmp_path / "episodes")


class Policy(torch.nn.Module):
    """Has a loss by sample, as SmolVLA's."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(2, 2)

    def forward(self, batch: dict[str, Any], reduction: str = "mean") -> tuple[torch.Tensor, Any]:
        assert reduction == "none"
        return ((self.net(batch["observation.state"]) - batch["action"]) ** 2).mean(1), {}


def test_the_loop_of_the_script_goes_through_the_epochs(
    dataset: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lerobot.datasets.utils import cycle
    from lerobot.processor import DataProcessorPipeline
    from lerobot.processor.converters import batch_to_transition, transition_to_batch

    preprocessor: Any = DataProcessorPipeline(
        steps=[], to_transition=batch_to_transition, to_output=transition_to_batch
    )
    Noted.made = []
    monkeypatch.setattr(ds, "Sampler", Noted)
    cfg = argparse.Namespace(batch_size=BATCH, seed=3, num_workers=2)
    block = LOADER.replace("epochs=8", f"epochs={EPOCHS}").replace(", pin_memory=True", "")

    def begin() -> tuple[Noted, dict[str, Any], Any]:
        names = pages.run(PAGE, [block, LOSS], {"dataset": dataset, "cfg": cfg})
        return names["sampler"], names, cycle(names["dataloader"])

    policy = Policy()
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)
    sampler, names, batches = begin()
    while sampler.progress < EPOCHS:
        batch = next(batches)
        index = batch.pop("sample")
        assert index.tolist() == batch["index"].tolist()  # of all episodes
        batch = preprocessor(batch)
        loss, _ = names["weighed_loss"](policy, batch, index)
        optimizer.zero_grad()
        loss.backward()
        with names["scaled_lr"](optimizer, sampler.lr_scale):
            optimizer.step()
        if sampler.calls == 15:  # in the second epoch
            sampler.save(tmp_path / "sampler")
            seen, (sampler, names, batches) = sampler, begin()
            sampler.load(tmp_path / "sampler")
            sampler.epochs, sampler.calls = seen.epochs, seen.calls
    sampler.check(hidden=False)


def test_frames_that_a_policy_drops_are_a_subset(dataset: Any) -> None:
    from lerobot.datasets.sampler import EpisodeAwareSampler

    episodes = dataset.meta.episodes
    frames = EpisodeAwareSampler(
        episodes["dataset_from_index"], episodes["dataset_to_index"], drop_n_last_frames=7
    ).indices
    sampler = ds.Sampler(len(dataset), ds.InfoBatch(epochs=8), BATCH, subset=frames)
    assert sorted(sampler.plan.order.tolist()) == [i for i in range(N) if i % 30 < 23]
