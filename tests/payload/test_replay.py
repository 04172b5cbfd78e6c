"""The torch loader shows a student what the teacher saw, and the loss is the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from hypothesis import given
from hypothesis import strategies as st
from stores import SIZE, N, facts, logits_of, write

import dynsample as ds
from dynsample.distill import kl_loss, parts
from dynsample.payload import PayloadError, Store, View, Views
from dynsample.replay import mix
from dynsample.torch import DataLoader

IMAGES = torch.rand(N, 3, *SIZE, generator=torch.Generator().manual_seed(0))


class Crops(torch.utils.data.Dataset[Any]):
    """Shows views; counts how many."""

    def __init__(self) -> None:
        self.fetched = 0

    def __len__(self) -> int:
        return N

    def __getitem__(self, view: View | int) -> tuple[torch.Tensor, int]:
        self.fetched += 1
        if not isinstance(view, View):
            return IMAGES[view], view % 5
        top, left, height, width = view.pixels(*SIZE)
        part = IMAGES[None, view.sample, :, top : top + height, left : left + width]
        shown = torch.nn.functional.interpolate(part, SIZE, mode="bilinear")[0]
        return shown.flip(-1) if view.flip else shown, view.sample % 5


def shown(source: Any, epochs: int = 2, **options: Any) -> dict[tuple[int, int], torch.Tensor]:
    """What a model is shown, by epoch and sample."""
    workers = options.pop("num_workers", 0)
    sampler = ds.Sampler(N, **{"batch_size": 7, **options})
    persistent = {"persistent_workers": True, "multiprocessing_context": "fork"}
    loader = DataLoader(
        Crops(),
        sampler=sampler,
        payload=source,
        num_workers=workers,
        **(persistent if workers else {}),
    )
    found = {}
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for images, labels, payload, index in loader:
            assert (labels == index % 5).all()
            if isinstance(source, Store):
                said = payload["logits"].numpy()
                np.testing.assert_array_equal(said, logits_of(epoch, index.numpy()))
            found |= {(epoch, int(i)): image for i, image in zip(index, images, strict=True)}
    return found


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("kind", ["none", "mixup", "cutmix"])
def test_the_student_sees_what_the_teacher_saw(kind: str, crops: bool, tmp_path: Path) -> None:
    store, views = write(tmp_path, facts(mix=kind, crops=crops))
    teacher = shown(views)
    assert len(teacher) == 2 * N
    subset = np.random.default_rng(0).permutation(N)[: int(0.3 * N)]
    for options in (
        {},
        {"batch_size": 16, "seed": 9},
        {"num_workers": 2},
        {"subset": subset, "seed": 2},
    ):
        student = shown(store, **options)
        assert len(student) == 2 * (len(subset) if "subset" in options else N)
        for key, image in student.items():
            assert torch.equal(image, teacher[key]), f"epoch and sample {key}, {options}"


def test_ranks_see_together_what_the_teacher_saw(tmp_path: Path) -> None:
    store, views = write(tmp_path, facts())
    teacher = shown(views)
    parts_ = ds.groups.simulate(2, lambda group: shown(store, group=group, batch_size=4))
    assert {key for part in parts_ for key in part} == set(teacher)
    for part in parts_:
        for key, image in part.items():
            assert torch.equal(image, teacher[key])


def test_what_a_batch_shows_twice_is_fetched_once(tmp_path: Path) -> None:
    data = Crops()
    sampler = ds.Sampler(N, batch_size=N)
    for _ in DataLoader(data, sampler=sampler, payload=Views(facts())):
        pass
    assert data.fetched == N


def test_cutmix_replaces_rows_x_and_columns_y() -> None:
    images, partners = torch.zeros(2, 1, 6, 8), torch.ones(2, 1, 6, 8)
    box = torch.tensor([[1, 2, 4, 7], [0, 0, 0, 0]])
    expected = images.clone()
    expected[0, :, 1:4, 2:7] = 1
    assert torch.equal(mix(images, partners, {"box": box}), expected)


def test_mixup_has_the_bits_of_the_published_line() -> None:
    images = torch.randn(64, 3, 5, 5)
    partner = torch.randperm(64)
    lam = np.float64(0.1) / 3
    rows = {"lam": torch.full((64,), float(lam), dtype=torch.float64)}
    expected = images * lam + images[partner] * (1 - lam)
    assert torch.equal(mix(images, images[partner], rows), expected)


def test_mixup_of_integers_is_refused() -> None:
    pixels = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    with pytest.raises(TypeError, match=r"images must be floats .* got torch.uint8"):
        mix(pixels, pixels, {"lam": torch.ones(1)})


def test_a_payload_of_something_else_is_refused(tmp_path: Path) -> None:
    store, _ = write(tmp_path, facts(fingerprint="theirs"), epochs=1)
    data = Crops()
    with pytest.raises(TypeError, match="payload must be a Store or Views, got str"):
        DataLoader(data, sampler=ds.Sampler(N), payload="store")
    data.fingerprint = "ours"
    with pytest.raises(PayloadError, match="fingerprint theirs, yours is ours"):
        DataLoader(data, sampler=ds.Sampler(N), payload=store)
    sampler = ds.Sampler(N)
    sampler.set_epoch(1)
    data.fingerprint = "theirs"
    with pytest.raises(PayloadError, match=r"training asks for 2 epochs, .* holds 1"):
        next(iter(DataLoader(data, sampler=sampler, payload=store)))


def test_the_loss_is_the_published_one() -> None:
    output, logits = torch.randn(9, 12), torch.randn(9, 12).half()
    published = torch.nn.KLDivLoss(reduction="batchmean")
    expected = published(torch.log_softmax(output / 20, 1), torch.softmax(logits.float() / 20, 1))
    torch.testing.assert_close(kl_loss(output, logits, 20), expected)
    weights = torch.tensor([0.0] + [1.0] * 8)
    padded = kl_loss(output, logits, 20, weights) * 9 / 8
    torch.testing.assert_close(padded, kl_loss(output[1:], logits[1:], 20))
    with pytest.raises(ValueError, match="temperature must be in"):
        kl_loss(output, logits, 0)
    with pytest.raises(ValueError, match=r"one shape \[B, C\], got \[9, 12\] and \[9, 11\]"):
        kl_loss(output, logits[:, :11], 1)


@given(st.integers(0, 40), st.integers(1, 50))
def test_parts_are_all_rows_and_shares_add_up(rows: int, steps: int) -> None:
    found = list(parts(rows, steps))
    assert [i for part, _ in found for i in range(rows)[part]] == list(range(rows))
    assert len(found) == min(rows, steps)
    assert sum(share for _, share in found) == pytest.approx(1 if rows else 0)


@pytest.mark.parametrize("rows", [16, 7, 1])
def test_accumulated_gradients_are_those_of_the_whole_batch(rows: int) -> None:
    model = torch.nn.Linear(5, 12).double()
    images, logits = torch.randn(rows, 5).double(), torch.randn(rows, 12)
    kl_loss(model(images), logits, 4).backward()
    expected = model.weight.grad.clone()
    model.zero_grad()
    for part, share in parts(rows, 4):
        (share * kl_loss(model(images[part]), logits[part], 4)).backward()
    torch.testing.assert_close(model.weight.grad, expected, rtol=1e-4, atol=1e-7)


def test_a_view_in_pixels_stays_inside() -> None:
    for crop in ((0.9999, 0.9999, 0.0001, 0.0001), (0.0, 0.0, 1.0, 1.0), (0.5, 0.3, 0.5, 0.7)):
        top, left, height, width = View(0, crop, False).pixels(7, 5)
        assert 0 <= top < top + height <= 7
        assert 0 <= left < left + width <= 5


@given(
    st.lists(st.floats(0, 1, width=32), min_size=4, max_size=4),
    st.integers(1, 40),
    st.integers(1, 40),
)
def test_the_edges_of_a_view_are_those_that_pil_crops_at(
    shares: list[float], height: int, width: int
) -> None:
    image = pytest.importorskip("PIL.Image")
    y, x, tall, wide = (shares[0] * (1 - shares[2]), shares[1] * (1 - shares[3]), *shares[2:])
    numbered = image.fromarray(np.arange(height * width, dtype=np.int32).reshape(height, width))
    box = (x * width, y * height, x * width + wide * width, y * height + tall * height)
    cropped = np.array(numbered.crop(box))
    top, left, rows, columns = View(0, (y, x, tall, wide), False).pixels(height, width)
    if cropped.size:
        numbers = np.array(numbered)[top : top + rows, left : left + columns]
        np.testing.assert_array_equal(numbers, cropped)
    else:
        assert 1 in (rows, columns)
