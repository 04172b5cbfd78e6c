"""What the DALI iterators promise beyond the contract of all loaders."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

import torch
from adapters.dali import switched
from images import ImageTree, read_ids, write_tree
from nvidia.dali import Pipeline, fn, pipeline_def
from nvidia.dali.plugin import pytorch as stock
from nvidia.dali.plugin.base_iterator import LastBatchPolicy

import dynsample as ds
import dynsample.dali as dali

N, BATCH = 29, 4
Loader = dali.DALIClassificationIterator

pytestmark = pytest.mark.filterwarnings("ignore:nothing was observed:RuntimeWarning")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("images") / "tree", N)


@pytest.fixture
def sampler() -> ds.Sampler:
    return ds.Sampler(N, ds.RandomSubset(fraction=0.5), batch_size=BATCH)


@pipeline_def(num_threads=2)
def images(
    tree: ImageTree, sampler: ds.Sampler, device: str = "cpu", reader: dict[str, Any] | None = None
) -> Any:
    options = {"file_root": tree.root, "name": "Reader", **(reader or {})}
    encoded, label, index = dali.readers.file(sampler=sampler, **options)
    return fn.decoders.image(encoded, device=device), label, index


def make_pipeline(
    tree: ImageTree, sampler: ds.Sampler, batch_size: int = BATCH, **options: Any
) -> Pipeline:
    built: Pipeline = images(tree, sampler, batch_size=batch_size, device_id=None, **options)
    return built


def ids(batch: Any) -> list[int]:
    return batch[0]["index"].tolist()


def test_the_iterators_are_those_of_dali(tree: ImageTree, sampler: ds.Sampler) -> None:
    loader = Loader(make_pipeline(tree, sampler), sampler=sampler)
    assert isinstance(loader, stock.DALIClassificationIterator)
    generic = dali.DALIGenericIterator(
        make_pipeline(tree, sampler), ["pixels", "class"], sampler=sampler, index_name="id"
    )
    assert isinstance(generic, stock.DALIGenericIterator)
    ((batch,), *_) = generic
    assert set(batch) == {"pixels", "class", "id"}
    assert batch["id"].dtype == torch.int64
    assert batch["id"].tolist() == read_ids(batch["pixels"].numpy()).tolist()


def test_a_map_may_name_the_index_itself(tree: ImageTree, sampler: ds.Sampler) -> None:
    names = ["data", "label", "index"]
    loader = dali.DALIGenericIterator(make_pipeline(tree, sampler), names, sampler=sampler)
    assert set(next(loader)[0]) == set(names)


@pytest.mark.parametrize("operator", ["on", "off"])
@pytest.mark.parametrize("listed", [False, True])
def test_samples_are_those_of_the_reader_of_dali(
    tmp_path: Path, tree: ImageTree, operator: str, listed: bool
) -> None:
    root = tmp_path / "tree"
    shutil.copytree(tree.root, root)
    (root / "empty").mkdir()
    (root / "apple" / "notes.txt").write_text("no image")
    where: dict[str, Any] = {"file_root": str(root)}
    if listed:
        lines = [f"{path.relative_to(tree.root)}  {7 * i}\n" for i, path in enumerate(tree.paths)]
        (tmp_path / "list.txt").write_text("".join(lines))
        where["file_list"] = str(tmp_path / "list.txt")
    sampler = ds.Sampler(N, batch_size=N, order="sequential")
    ours, theirs = (Pipeline(batch_size=N, num_threads=2, device_id=None) for _ in range(2))
    with switched(operator), ours:
        encoded, label, index = dali.readers.file(sampler=sampler, **where)
        ours.set_outputs(fn.pad(encoded), label, index)
    with theirs:
        encoded, label = fn.readers.file(name="Reader", **where)
        theirs.set_outputs(fn.pad(encoded), label)
    names = ["encoded", "label"]
    (got,) = next(dali.DALIGenericIterator(ours, names, sampler=sampler))
    (expected,) = next(stock.DALIGenericIterator(theirs, names, reader_name="Reader"))
    assert got["index"].tolist() == list(range(N))
    for name in names:
        torch.testing.assert_close(got[name], expected[name], rtol=0, atol=0)


def test_a_script_for_the_iterator_of_dali_runs_unchanged(
    tree: ImageTree, sampler: ds.Sampler
) -> None:
    policy = LastBatchPolicy.PARTIAL
    orders = []
    for auto_reset in (True, False):
        sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.5), batch_size=BATCH)
        loader = Loader(
            make_pipeline(tree, sampler),
            sampler=sampler,
            reader_name="Reader",
            auto_reset=auto_reset,
            last_batch_policy=policy,
        )
        for _ in range(3):
            orders.append([i for batch in loader for i in ids(batch)])
            if not auto_reset:
                with pytest.raises(StopIteration):
                    next(loader)
                loader.reset()
        assert len(ids(next(loader))) == BATCH
        loader.reset()  # in mid-epoch: it does nothing
        taken = [1 for _ in range(len(loader) - 1) if loader.next()]
        assert len(taken) == len(loader) - 1
    assert orders[:3] == orders[3:]
    assert orders[0] != orders[1]


def test_hidden_samples_can_be_interleaved_through_a_second_pipeline(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, ds.Kakurenbo(fraction=0.5), batch_size=BATCH)
    for index in sampler:
        sampler.observe(index, loss=index / N, correct=index > -1, confidence=index > -1)
    sampler.set_epoch(1)
    wide = make_pipeline(tree, sampler, 7)
    loader = Loader(make_pipeline(tree, sampler), sampler=sampler, hidden_pipeline=wide)
    hidden = loader.hidden(7)
    kept_ids, hidden_ids = [], []
    for batch in loader:
        kept_ids += ids(batch)
        for other in hidden:
            hidden_ids += ids(other)
            np.testing.assert_array_equal(read_ids(other[0]["data"].numpy()), ids(other))
            break
    assert kept_ids == sampler.plan.order.tolist()
    assert sorted(hidden_ids) == sampler.plan.hidden.tolist()
    with pytest.raises(ValueError, match=r"batch_size must be in \[1, 7\], got 8"):
        loader.hidden(8)


@pytest.mark.filterwarnings("ignore:the pass over epoch 0 goes on at position")
def test_a_pass_that_another_one_ended_says_so(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, ds.Forgetting(fraction=0.5), batch_size=BATCH)
    loader = Loader(make_pipeline(tree, sampler), sampler=sampler)
    first = next(loader)
    list(loader.hidden())
    with pytest.raises(RuntimeError, match="was left for another one on the same pipeline"):
        next(loader)
    assert ids(first) + [i for batch in loader for i in ids(batch)] == sampler.plan.order.tolist()


@pipeline_def(num_threads=2, batch_size=BATCH, device_id=None, enable_checkpointing=True, seed=3)
def augmented(tree: ImageTree, sampler: ds.Sampler) -> Any:
    encoded, label, index = dali.readers.file(sampler=sampler, file_root=tree.root)
    image = fn.decoders.image(encoded)
    return fn.rotate(image, angle=fn.random.uniform(range=(-30, 30)), size=(64, 64)), label, index


@pytest.mark.skipif(not hasattr(Pipeline, "checkpoint"), reason="this DALI has no checkpoints")
def test_random_augmentations_go_on_where_they_were(tree: ImageTree) -> None:
    def open_augmented() -> tuple[ds.Sampler, Loader]:
        sampler = ds.Sampler(N, batch_size=BATCH)
        return sampler, Loader(augmented(tree, sampler), sampler=sampler)

    sampler, loader = open_augmented()
    states, pixels = [loader.state_dict()], []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for batch in loader:
            pixels.append(batch[0]["data"].clone())
            states.append(loader.state_dict())
    sampler, loader = open_augmented()
    per_epoch = len(pixels) // 2
    for step in (9, 3, 0, per_epoch):
        loader.load_state_dict(states[step])
        for expected in pixels[step : (step // per_epoch + 1) * per_epoch]:
            torch.testing.assert_close(next(loader)[0]["data"], expected, rtol=0, atol=0)
    _, plain = sampler, Loader(make_pipeline(tree, sampler), sampler=sampler)
    with pytest.raises(ValueError, match="make the pipeline with enable_checkpointing=True"):
        plain.load_state_dict(states[0])


def test_a_loader_that_is_dropped_in_mid_epoch_is_gone(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)
    pipeline = make_pipeline(tree, sampler)
    held = weakref.ref(pipeline)
    loader = Loader(pipeline, sampler=sampler)
    first = ids(next(loader))
    del loader
    again = Loader(pipeline, sampler=sampler)  # the pipeline is still good
    assert first + [i for batch in again for i in ids(batch)] == sampler.plan.order.tolist()
    sampler.set_epoch(1)
    next(iter(again))
    del pipeline, again
    assert held() is None


def test_next_after_an_error_goes_on_at_the_same_sample(tmp_path: Path) -> None:
    own = write_tree(tmp_path / "own", N)
    sampler = ds.Sampler(N, batch_size=BATCH)
    pipeline = make_pipeline(own, sampler, prefetch_queue_depth=1)
    loader = Loader(pipeline, sampler=sampler)
    bad = own.paths[sampler.plan.order[BATCH]]
    content = bad.read_bytes()
    bad.write_bytes(content[: len(content) // 2])
    received = ids(next(loader))
    for _ in range(3):
        with pytest.raises(dali.SampleError, match=bad.name):
            next(loader)
    bad.write_bytes(content)
    received += [i for _ in range(len(loader) - 1) for i in ids(next(loader))]
    assert received == sampler.plan.order.tolist()


def test_an_error_that_is_no_samples_fault_passes_through(
    tree: ImageTree, sampler: ds.Sampler
) -> None:
    @pipeline_def(batch_size=BATCH, num_threads=1, device_id=None)
    def wrong() -> Any:
        encoded, label, index = dali.readers.file(sampler=sampler, file_root=tree.root)
        image = fn.decoders.image(encoded)
        return fn.slice(image, start=60, shape=30, axes=[0]), label, index

    with pytest.raises(dali.SampleError, match=r"each can be read on its own: [\s\S]*[Ss]lice"):
        next(Loader(wrong(), sampler=sampler))


READER = [
    ({"shard_id": 0}, TypeError, r"delete shard_id=0 from readers\.file"),
    ({"num_shards": 2}, TypeError, r"delete num_shards=2 from readers\.file"),
    ({"random_shuffle": True}, TypeError, "delete random_shuffle=True .*decides the order"),
    ({"file_rot": "x"}, TypeError, "unexpected argument file_rot='x'"),
    ({"file_root": "missing"}, NotADirectoryError, "file_root must be a folder"),
    ({"file_root": None}, TypeError, "file_root or file_list is needed"),
]


@pytest.mark.parametrize(("options", "error", "message"), READER)
def test_a_wrong_argument_of_a_reader_is_named(
    tree: ImageTree,
    sampler: ds.Sampler,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        make_pipeline(tree, sampler, reader=options)


def test_a_reader_needs_a_fitting_sampler_and_a_pipeline_of_its_own(
    tree: ImageTree, sampler: ds.Sampler
) -> None:
    with pytest.raises(ValueError, match="made for 7 samples, the files hold 29"):
        make_pipeline(tree, ds.Sampler(7))
    with pytest.raises(TypeError, match=r"must be a dynsample\.Sampler, got int"):
        make_pipeline(tree, 7)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="belongs into the definition of a pipeline"):
        dali.readers.file(sampler=sampler, file_root=tree.root)
    with Pipeline(batch_size=BATCH, num_threads=1, device_id=None):
        dali.readers.file(sampler=sampler, file_root=tree.root)
        with pytest.raises(ValueError, match=r"one reader of dynsample\.dali"):
            dali.readers.file(sampler=sampler, file_root=tree.root)


ITERATOR = [
    ({"sampler": None}, TypeError, r"sampler must be a dynsample\.Sampler, got NoneType"),
    ({"sampler": ds.Sampler(N, batch_size=BATCH)}, ValueError, "sampler must be the one that"),
]


@pytest.mark.parametrize(("options", "error", "message"), ITERATOR)
def test_a_wrong_argument_of_an_iterator_is_named(
    tree: ImageTree,
    sampler: ds.Sampler,
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        Loader(make_pipeline(tree, sampler), **{"sampler": sampler, **options})


def test_an_iterator_needs_one_fitting_pipeline(tree: ImageTree, sampler: ds.Sampler) -> None:
    fitting = make_pipeline(tree, sampler)
    with pytest.raises(ValueError, match="pipelines must be one pipeline, got 2"):
        Loader([fitting, fitting], sampler=sampler)
    with pytest.raises(ValueError, match="the pipeline has batch_size 5, the sampler 4"):
        Loader(make_pipeline(tree, sampler, 5), sampler=sampler)
    foreign = make_pipeline(tree, ds.Sampler(N, batch_size=BATCH))
    with pytest.raises(ValueError, match="the one that the hidden_pipeline's reader has"):
        Loader(fitting, sampler=sampler, hidden_pipeline=foreign)
    stock_pipeline = Pipeline(batch_size=BATCH, num_threads=1, device_id=None)
    with pytest.raises(ValueError, match=r"pipelines must read with dynsample\.dali\.readers"):
        Loader(stock_pipeline, sampler=sampler)


@pytest.mark.parametrize(
    ("outputs", "error", "message"),
    [
        (lambda image, label, index: (image, label), ValueError, "2 outputs, and 3 are expected"),
        (lambda image, label, index: (image, index, label), RuntimeError, "is not the index"),
        (lambda image, label, index: (image, label, index + 1), RuntimeError, "is not the index"),
    ],
)
def test_the_index_must_come_out_as_it_went_in(
    tree: ImageTree,
    sampler: ds.Sampler,
    outputs: Callable[..., Any],
    error: type[Exception],
    message: str,
) -> None:
    @pipeline_def(batch_size=BATCH, num_threads=1, device_id=None)
    def wrong() -> Any:
        encoded, label, index = dali.readers.file(sampler=sampler, file_root=tree.root)
        return outputs(fn.decoders.image(encoded), label, index)

    with pytest.raises(error, match=message):
        next(Loader(wrong(), sampler=sampler))


@pytest.mark.gpu
@pytest.mark.parametrize("decoder", ["cpu", "mixed"])
@pytest.mark.parametrize("operator", ["on", "off"])
def test_pipelines_with_a_device_give_the_index_on_both_devices(
    tree: ImageTree, decoder: str, operator: str
) -> None:
    sampler = ds.Sampler(N, ds.RandomSubset(fraction=0.5), batch_size=BATCH)
    with switched(operator):
        pipeline = images(tree, sampler, decoder, batch_size=BATCH, device_id=0)
        loader = Loader(pipeline, sampler=sampler)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        received = []
        for (batch,) in loader:
            assert batch["data"].is_cuda == (decoder == "mixed")
            np.testing.assert_array_equal(read_ids(batch["data"].cpu().numpy()), ids([batch]))
            assert batch["index_gpu"].is_cuda
            assert batch["index_gpu"].tolist() == ids([batch])
            received += ids([batch])
        assert received == sampler.plan.order.tolist()


@pytest.mark.gpu
def test_a_damaged_file_is_named_by_the_decoder_of_the_device(tmp_path: Path) -> None:
    own = write_tree(tmp_path / "own", N)
    sampler = ds.Sampler(N, batch_size=BATCH)
    loader = Loader(images(own, sampler, "mixed", batch_size=BATCH, device_id=0), sampler=sampler)
    bad = own.paths[sampler.plan.order[-1]]
    content = bad.read_bytes()
    bad.write_bytes(b"no image" * 99)
    with pytest.raises(dali.SampleError, match=bad.name):
        list(loader)
    bad.write_bytes(content)
    list(loader)
    assert sampler.state_dict()["positions"] == N
