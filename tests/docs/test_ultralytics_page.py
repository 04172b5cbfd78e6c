"""The page for users of Ultralytics: its trainers train on what is planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import dynsample as ds
from tests import pages
from tests.docs.noted import BATCH, EPOCHS, N, Noted, Stopped, up_and_down

PAGE = "docs/migrate/ultralytics.md"
PLANNED, DETECTION, CLASSIFICATION = pages.blocks(PAGE)
QUIET = {
    "device": "cpu", "plots": False, "verbose": False, "amp": False, "exist_ok": True,
    "epochs": EPOCHS, "batch": BATCH, "nbs": BATCH, "imgsz": 64, "pretrained": False,
    "warmup_epochs": 0, "name": "run",
}  # fmt: skip
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)

# Ultralytics', of its own dependencies.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("ultralytics", reason="Ultralytics is not installed")
    Noted.made = []
    monkeypatch.setattr(ds, "Sampler", Noted)


def pictures() -> Iterator[tuple[int, Any]]:
    """Give pictures of one color, and its number."""
    from PIL import Image

    for i in range(N):
        noise = np.random.default_rng(i).integers(0, 60, (64, 64, 3), np.uint8)
        yield i % 3, Image.fromarray(COLORS[i % 3] // 2 + noise)


def trainer_of(block: str, name: str) -> Any:
    """Return a trainer of the page."""
    return pages.run(PAGE, [PLANNED, block], {"up_and_down": up_and_down})[name]


def test_a_detector_sees_rare_classes_more_often(tmp_path: Path) -> None:
    from ultralytics import YOLO

    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    for i, (color, picture) in enumerate(pictures()):
        picture.save(tmp_path / f"images/{i:02}.png")
        rare = i < 3  # a class of 3 images; those of color 2 have no box
        boxes = [] if color == 2 and not rare else [f"{3 if rare else color} .5 .5 .5 .5"]
        (tmp_path / f"labels/{i:02}.txt").write_text("\n".join(boxes))
    names = "names: [red, green, blue, rare]"
    (tmp_path / "data.yaml").write_text(f"path: {tmp_path}\ntrain: images\nval: images\n{names}\n")
    drawn: list[list[int]] = []

    class Kept(trainer_of(DETECTION, "RareClasses")):  # type: ignore[misc]
        def preprocess_batch(self, batch: dict[str, Any]) -> Any:
            names = [int(Path(self.train_loader.dataset.im_files[i]).stem) for i in batch["index"]]
            assert names == [int(Path(path).stem) for path in batch["im_file"]]
            if len(drawn) == self.epoch:
                drawn.append([])
            drawn[self.epoch].extend(batch["index"].tolist())
            return super().preprocess_batch(batch)

    YOLO("yolo26n.yaml").train(
        trainer=Kept, data="data.yaml", project=str(tmp_path), close_mosaic=2, **QUIET
    )
    (sampler,) = Noted.made
    assert (len(drawn), sampler.epoch) == (EPOCHS, EPOCHS - 1)
    assert sorted(drawn[-1]) == sorted(sampler.plan.order.tolist())
    rare = [sum(i < 3 for i in ids) for ids in drawn]
    assert all(len(ids) == N for ids in drawn)
    assert min(rare) > 3


def folders(path: Path) -> Path:
    for i, (color, picture) in enumerate(pictures()):
        for split in ("train", "val"):
            folder = path / "colors" / split / str(color)
            folder.mkdir(parents=True, exist_ok=True)
            picture.save(folder / f"{i:02}.png")
    return path / "colors"


POLICY = "ds.Kakurenbo(fraction=0.3, warmup_epochs=self.args.warmup_epochs)"


@pytest.fixture
def classify(tmp_path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the page's trainer of a classifier, and what it is trained with."""
    dynamic = trainer_of(CLASSIFICATION.replace(POLICY, "up_and_down()"), "Dynamic")
    plain = {"erasing": 0.0, "auto_augment": None}
    return dynamic, {
        **QUIET, **plain, "data": str(folders(tmp_path)), "project": str(tmp_path)
    }  # fmt: skip


def test_a_classifier_trains_on_what_is_kept_and_goes_on(
    classify: tuple[Any, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ultralytics import YOLO

    dynamic, options = classify
    YOLO("yolo26n-cls.yaml").train(trainer=dynamic, **options)
    (whole,) = Noted.made
    whole.check()

    Noted.made = []
    monkeypatch.setattr(Noted, "stop", whole.num_batches[0] + 3)  # in the second epoch
    with pytest.raises(Stopped):
        YOLO("yolo26n-cls.yaml").train(trainer=dynamic, **options)
    monkeypatch.setattr(Noted, "stop", -1)
    YOLO(str(tmp_path / "run/weights/last.pt")).train(resume=True, trainer=dynamic)
    before, after = Noted.made
    del before.epochs[1]
    after.epochs = {**before.epochs, **after.epochs}
    after.check()


def test_an_epoch_whose_loss_was_not_finite_is_done_again(
    classify: tuple[Any, dict[str, Any]],
) -> None:
    from ultralytics import YOLO

    dynamic, options = classify
    left: list[int] = []

    class Broken(dynamic):  # type: ignore[misc]
        def weighed(self, logits: Any, batch: dict[str, Any]) -> Any:
            loss, items = super().weighed(logits, batch)
            last = self.sampler.progress == 2
            return loss * (float("nan") if last and not left else 1), items

        def run_callbacks(self, event: str) -> None:
            super().run_callbacks(event)
            if event == "on_train_epoch_end" and self.epoch == 1 and not left:
                left.extend(self.sampler.epochs.pop(1)[1])

    YOLO("yolo26n-cls.yaml").train(trainer=Broken, **options)
    (sampler,) = Noted.made
    sampler.check()
    assert sorted(left) == sorted(sampler.epochs[1][1])
