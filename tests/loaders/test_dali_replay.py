"""DALI pipelines that crop, flip and mix as a store says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

import torch
from adapters.dali import switched
from images import ImageTree, write_tree
from nvidia.dali import fn, pipeline_def

import dynsample as ds
import dynsample.dali as dali
from dynsample.payload import Facts, Store, Views, Writer
from dynsample.replay import mix

N, CLASSES, SIZE, EPOCHS = 23, 5, (24, 32), 2

pytestmark = pytest.mark.filterwarnings("ignore:nothing was observed:RuntimeWarning")
Shown = dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("images") / "tree", N)


@pipeline_def(num_threads=2, device_id=None)
def replayed(tree: ImageTree, sampler: ds.Sampler, payload: Any) -> Any:
    encoded, label, replay, index = dali.readers.file(
        sampler=sampler, file_root=tree.root, payload=payload
    )

    def chw(image: Any) -> Any:
        return fn.crop_mirror_normalize(image, output_layout="CHW", mean=100.0, std=50.0)

    outputs = [chw(replay.crop(fn.decoders.image(encoded), SIZE))]
    if replay.encoded is not None:
        outputs.append(chw(replay.crop_partner(fn.decoders.image(replay.encoded), SIZE)))
    outputs += [node for node in (replay.lam, replay.box, replay.logits) if node is not None]
    return *outputs, label, index


def names(facts: Facts, said: bool) -> list[str]:
    mixed = {"none": [], "mixup": ["partner", "lam"], "cutmix": ["partner", "box"]}
    return ["data", *mixed[facts.mix], *(["logits"] if said else []), "label"]


def shown(tree: ImageTree, payload: Any, **options: Any) -> Shown:
    sampler = ds.Sampler(N, **options)
    pipeline = replayed(tree, sampler, payload, batch_size=sampler.batch_size)
    found = names(payload.facts, isinstance(payload, Store))
    loader = dali.DALIGenericIterator(pipeline, found, sampler=sampler)
    result: Shown = {}
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for (batch,) in loader:
            images = batch["data"]
            if "partner" in batch:
                images = mix(images, batch["partner"], batch)
            np.testing.assert_array_equal(batch["label"][:, 0], tree.labels[batch["index"]])
            said = batch.get("logits", images)
            for i, row, logits in zip(batch["index"].tolist(), images, said, strict=True):
                result[epoch, i] = row.clone(), logits.clone()
    return result


@pytest.mark.parametrize("crops", [True, False])
@pytest.mark.parametrize("kind", ["none", "mixup", "cutmix"])
@pytest.mark.parametrize("operator", ["on", "off"])
def test_the_student_sees_what_the_teacher_saw(
    tree: ImageTree, tmp_path: Path, operator: str, kind: str, crops: bool
) -> None:
    facts = Facts(N, CLASSES, mix=kind, size=SIZE, crops=crops)
    views, writer = Views(facts, area=(0.2, 1.0)), Writer(tmp_path, facts)
    index = np.arange(N)
    said = np.random.default_rng(0).random((EPOCHS, N, CLASSES), np.float32).astype(np.float16)
    for epoch in writer.missing(EPOCHS):
        with writer.epoch(epoch) as rows:
            rows.add(index, said[epoch].astype(np.float32), **views.batch(epoch, index))
    with switched(operator):
        teacher = shown(tree, views, batch_size=4)
        student = shown(tree, Store(tmp_path), batch_size=6, seed=5)
    assert set(student) == set(teacher)
    assert len(teacher) == EPOCHS * N
    for key, (image, logits) in student.items():
        assert torch.equal(image, teacher[key][0]), f"epoch and sample {key}"
        np.testing.assert_array_equal(logits.numpy(), said[key])
    differ = not torch.equal(student[0, 3][0], student[1, 3][0])
    assert differ == (crops or kind != "none")


def test_a_payload_of_another_size_is_refused(tree: ImageTree) -> None:
    with pytest.raises(ValueError, match="payload is of 7 samples, the data set has 23"):
        shown(tree, Views(Facts(7, CLASSES)))


def test_a_partner_that_is_gone_is_named(tree: ImageTree, tmp_path: Path) -> None:
    copied = write_tree(tmp_path / "tree", N)
    views = Views(Facts(N, CLASSES, mix="mixup"))
    gone = int(views.batch(0, np.array([0]))["partner"][0])
    copied.paths[gone].write_bytes(b"not an image")
    sampler = ds.Sampler(N, batch_size=1, subset=[0])
    pipeline = replayed(copied, sampler, views, batch_size=1)
    loader = dali.DALIGenericIterator(pipeline, names(views.facts, False), sampler=sampler)
    with pytest.raises(dali.SampleError, match=f"sample {gone}, .*{copied.paths[gone].name}"):
        next(loader)
