"""The page for users of the published relabel scripts: a student sees what theirs would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("PIL")

import torch
from PIL import Image

import dynsample as ds
from dynsample.payload import original_order
from dynsample.torch import DataLoader
from tests import pages

PAGE = "docs/migrate/fkd.md"
N, CLASSES, EPOCHS, BATCH, SIZE = 21, 5, 2, 8, 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ORDER = original_order(N, seed=42)
Seen = dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]]
IMPORT, DATASET, STUDENT, DALI = pages.blocks(PAGE)


def transform(image: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def write_images(root: Path) -> list[Path]:
    """Draw images of noise, in which a pixel more or less shows, of many sizes."""
    random, files = np.random.default_rng(0), []
    for i in range(N):
        height, width = random.integers(40, 400, 2)
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        files.append(root / f"class_{i % 3}" / f"{i:02}.jpg")
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(files[-1], quality=95)
    return sorted(files)


def opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


def write_batches(root: Path, files: list[Path], kind: str, dtype: torch.dtype) -> None:
    """Write what the published relabel phase does: crops are in pixels, over the image's size."""
    random = np.random.default_rng(1)
    for epoch in range(EPOCHS):
        (root / f"epoch_{epoch}").mkdir(parents=True)
        for number, ids in enumerate(np.split(ORDER(epoch), range(BATCH, N, BATCH))):
            crops = []
            for i in ids:
                width, height = opened(files[i]).size
                tall, wide = random.integers(12, height + 1), random.integers(12, width + 1)
                top = random.integers(0, height - tall + 1)
                left = random.integers(0, width - wide + 1)
                crops.append((top / height, left / width, tall / height, wide / width))
            b, lam = len(ids), np.float64(random.random())
            partner = torch.from_numpy(random.permutation(b))
            box = [*np.sort(random.integers(0, SIZE, (2, 2)), 0).reshape(-1)]  # x1, y1, x2, y2
            mixed = {"none": (None,) * 3, "mixup": (partner, lam, None)}.get(
                kind, (partner, lam, box)
            )
            flips = torch.from_numpy(random.random(b) < 0.5)
            content = [torch.tensor(crops, dtype=torch.float32), flips, *mixed]
            content.append(torch.randn(b, CLASSES).to(dtype))
            torch.save(content, root / f"epoch_{epoch}" / f"batch_{number}.tar")


def published(root: Path, files: list[Path]) -> Seen:
    """Replay by the published rules: crop, resize, flip, normalise; then mix the batch."""
    seen: Seen = {}
    for epoch in range(EPOCHS):
        for number, ids in enumerate(np.split(ORDER(epoch), range(BATCH, N, BATCH))):
            file = root / f"epoch_{epoch}" / f"batch_{number}.tar"
            crops, flips, partner, lam, box, logits = torch.load(file, weights_only=False)
            shown = []
            for row, i in enumerate(ids):
                image = opened(files[i])
                sides = [image.height, image.width] * 2
                y, x, tall, wide = (c * s for c, s in zip(crops[row].tolist(), sides, strict=True))
                image = image.crop((x, y, x + wide, y + tall))
                image = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
                if flips[row]:
                    image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
                shown.append(transform(image))
            images = torch.stack(shown)
            if box is not None:
                rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
                images[:, :, rows, columns] = images[partner][:, :, rows, columns]
            elif partner is not None:
                images = lam * images + (1 - lam) * images[partner]
            seen |= {
                (epoch, int(i)): pair
                for i, pair in zip(ids, zip(images, logits, strict=True), strict=True)
            }
    return seen


class Student(torch.nn.Module):
    """Keeps what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.shown: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.shown += list(images)
        return self.scale * images.flatten(1)[:, :CLASSES]


def given(files: list[Path]) -> dict[str, Any]:
    student = Student()
    optimizer = torch.optim.SGD(student.parameters(), 0.1)
    labels = [int(file.parent.name[-1]) for file in files]
    return {
        "files": files, "labels": labels, "transform": transform, "epochs": EPOCHS, "workers": 0,
        "accumulate": 3, "student": student, "optimizer": optimizer,
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["none", "mixup", "cutmix"])
def test_the_student_sees_the_published_replay_bit_for_bit(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = write_images(tmp_path / "images")
    write_batches(tmp_path / "FKD_cutmix_fp16", files, kind, torch.float16)
    names = pages.run(PAGE, [IMPORT, DATASET, STUDENT], given(files))
    expected = published(tmp_path / "FKD_cutmix_fp16", files)
    again = ds.Sampler(N, batch_size=256)
    ids = []
    for epoch in range(EPOCHS):
        again.set_epoch(epoch)
        ids += [(epoch, i) for batch in again for i in batch]
    shown = names["student"].shown
    assert set(ids) == set(expected)
    differ = [
        key for key, image in zip(ids, shown, strict=True) if not image.equal(expected[key][0])
    ]
    assert not differ
    for epoch in range(EPOCHS):
        said = names["store"].batch(epoch, np.arange(N))["logits"]
        for i in range(N):
            np.testing.assert_array_equal(said[i], expected[epoch, i][1].numpy())


def test_logits_in_float32_are_said_to_be_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = write_images(tmp_path / "images")
    write_batches(tmp_path / "FKD_cutmix_fp16", files, "none", torch.float32)
    with pytest.warns(UserWarning, match="holds logits in float32: the store keeps them rounded"):
        pages.run(PAGE, [IMPORT], given(files))


def test_dali_shows_the_same_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nvidia.dali")
    monkeypatch.chdir(tmp_path)
    files = write_images(tmp_path / "images")
    write_batches(tmp_path / "FKD_cutmix_fp16", files, "cutmix", torch.float16)
    expected = published(tmp_path / "FKD_cutmix_fp16", files)
    scaled = {"mean": [255 * x for x in MEAN], "std": [255 * x for x in STD]}
    more = {"root": tmp_path / "images", **scaled}
    names = pages.run(PAGE, [IMPORT, DATASET, STUDENT, DALI], given(files) | more)
    index = names["batch"]["index"].tolist()
    assert sorted(index) == list(range(N))
    for i, image in zip(index, names["images"], strict=True):
        assert (image - expected[EPOCHS - 1, i][0]).abs().mean() < 0.1, i  # noise has about 1


def test_the_snippet_of_the_page_relabels_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (snippet,) = (block for block in pages.blocks("docs/relabelled.md") if "Writer(" in block)
    dataset = pages.run(PAGE, [DATASET], {})["Shown"](
        write_images(tmp_path / "images"), [0] * N, transform
    )

    def network(images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)[:, :1000]

    given = {
        "ds": ds, "DataLoader": DataLoader, "train_set": dataset, "epochs": 2, "teacher": network,
        "student": network, "sampler": ds.Sampler(N, batch_size=8),
    }  # fmt: skip
    loss = pages.run("docs/relabelled.md", [snippet], given)["loss"]
    assert abs(loss) < 1e-5  # the student is the teacher, but for rounding to float16
