"""What scripts give to DALI's iterators and read off them, and what they ask of a pipeline."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from images import ImageTree, write_tree
from nvidia.dali import Pipeline, fn, pipeline_def
from nvidia.dali.pipeline import experimental
from nvidia.dali.plugin import pytorch as stock
from nvidia.dali.plugin.base_iterator import LastBatchPolicy

import dynsample as ds
import dynsample.dali as dali

N, BATCH = 29, 4
FILL, DROP, PARTIAL = LastBatchPolicy.FILL, LastBatchPolicy.DROP, LastBatchPolicy.PARTIAL


@dataclass(frozen=True)
class FirstOnes(ds.Policy):
    """Keeps the first `lengths[epoch]` samples, and has the others looked at again."""

    lengths: tuple[int, ...]

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        hidden = np.arange(table.num_samples) >= self.lengths[epoch]
        return ds.Selection(hidden=hidden, refresh=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("images") / "tree", N)


def read(tree: ImageTree, sampler: ds.Sampler | None, name: str | None = "Reader") -> Any:
    if sampler is None:
        return fn.readers.file(file_root=str(tree.root), name=name)
    encoded, label, index = dali.readers.file(sampler=sampler, file_root=tree.root, name=name)
    return fn.decoders.image(encoded), label, index


def open_pipeline(tree: ImageTree, sampler: ds.Sampler | None, **options: Any) -> Pipeline:
    pipeline = Pipeline(batch_size=BATCH, num_threads=1, device_id=None, **options)
    with pipeline:
        pipeline.set_outputs(*read(tree, sampler))
    pipeline.build()
    return pipeline


def open_iterator(
    tree: ImageTree, sampler: ds.Sampler, *given: Any, **named: Any
) -> dali.DALIClassificationIterator:
    pipeline = open_pipeline(tree, sampler)
    return dali.DALIClassificationIterator(pipeline, *given, sampler=sampler, **named)


@pytest.mark.parametrize("drop_last", [False, True])
def test_sizes_are_those_of_the_epoch_and_of_dali_where_it_is_whole(
    tree: ImageTree, drop_last: bool
) -> None:
    policy = DROP if drop_last else PARTIAL
    pipeline = open_pipeline(tree, None)
    theirs = stock.DALIGenericIterator(
        pipeline,
        ["encoded", "label"],
        reader_name="Reader",
        last_batch_policy=policy,
        prepare_first_batch=False,
    )
    sampler = ds.Sampler(N, FirstOnes((N, 9, 1, N)), BATCH, drop_last=drop_last)
    ours = open_iterator(tree, sampler, reader_name="Reader", last_batch_policy=policy)
    for epoch, length in ((0, N), (1, 9), (3, N)):
        ours.set_epoch(epoch)
        batches = length // BATCH if drop_last else math.ceil(length / BATCH)
        assert len(ours) == batches
        assert math.ceil(ours._size / BATCH) == ours.size // BATCH == batches
        assert ours._size_no_pad == length
        if length == N:
            assert ours._size // BATCH == len(theirs)
            assert ours._size_no_pad == theirs._size_no_pad
        assert sum(1 for _ in ours) == batches
        assert math.ceil(ours._size / BATCH) == batches


@pytest.mark.parametrize("options", [{}, {"enable_checkpointing": True}], ids=str)
def test_an_iterator_plans_nothing_when_it_is_made(
    tree: ImageTree, options: dict[str, Any]
) -> None:
    if options and not hasattr(Pipeline, "checkpoint"):
        pytest.skip("this DALI has no checkpoints")
    sampler = ds.Sampler(N, batch_size=BATCH)
    pipeline = open_pipeline(tree, sampler, **options)
    dali.DALIGenericIterator(pipeline, ["data", "label"], N, sampler=sampler)
    assert sampler.run.epoch is None


def test_all_defaults_of_dali_may_be_given_in_their_places_or_by_name(tree: ImageTree) -> None:
    parameters = list(inspect.signature(stock.DALIClassificationIterator).parameters.values())
    defaults = {each.name: each.default for each in parameters[1:]}
    assert {"size", "last_batch_policy", "prepare_first_batch"} <= set(defaults)
    for given, named in ((tuple(defaults.values()), {}), ((), defaults)):
        sampler = ds.Sampler(N, batch_size=BATCH)
        loader = open_iterator(tree, sampler, *given, **named)
        assert sum(len(batch["index"]) for (batch,) in loader) == N


ACCEPTED: list[dict[str, Any]] = [
    {"size": N},
    {"size": -1, "reader_name": "Reader"},
    {"size": 9},  # of the epoch
    {"reader_name": "Reader", "last_batch_policy": PARTIAL},
    {"last_batch_policy": PARTIAL, "last_batch_padded": True},
    {"fill_last_batch": False},
    {"fill_last_batch": True},
    {"last_batch_policy": FILL},
    {"auto_reset": "yes", "dynamic_shape": True, "prepare_first_batch": False},
    {"auto_reset": None, "prepare_first_batch": True},
]
REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"size": 28}, ValueError, r"delete size=28 .* epoch 0 is 9 on 1 rank\(s\); len\(loader\)"),
    ({"size": 0}, ValueError, "delete size=0 from the iterator"),
    (
        {"last_batch_policy": DROP},
        ValueError,
        "must be .*PARTIAL, .*, got .*DROP .*drop_last=. dec",
    ),
    ({"reader_name": "Reader", "last_batch_policy": FILL}, ValueError, r"got .*FILL .*Sampler\("),
    ({"reader_name": "Reader", "fill_last_batch": True}, ValueError, r"\(fill_last_batch=True\)"),
    ({"size": N, "fill_last_batch": True}, ValueError, r"\(fill_last_batch=True\)"),
    ({"last_batch_policy": "PARTIAL"}, TypeError, "must be a LastBatchPolicy, got 'PARTIAL'"),
    ({"last_batch_padded": True}, ValueError, r"delete last_batch_padded=True .*Sampler\("),
    ({"auto_reset": "always"}, ValueError, "auto_reset must be .*, got 'always'"),
    ({"reader_name": "Other"}, ValueError, "reader_name is 'Other', the reader's name is 'Reader'"),
    ({"sizes": 1}, TypeError, "DALIClassificationIterator .*unexpected keyword argument 'sizes'"),
]


@pytest.mark.parametrize("named", ACCEPTED, ids=str)
def test_what_means_the_same_is_accepted(tree: ImageTree, named: dict[str, Any]) -> None:
    sampler = ds.Sampler(N, FirstOnes((9,)), BATCH)
    loader = open_iterator(tree, sampler, **named)
    assert [i for (batch,) in loader for i in batch["index"]] == sampler.plan.order.tolist()


@pytest.mark.parametrize(("named", "error", "message"), REFUSED, ids=str)
def test_what_the_sampler_has_decided_otherwise_is_refused(
    tree: ImageTree, named: dict[str, Any], error: type[Exception], message: str
) -> None:
    sampler = ds.Sampler(N, FirstOnes((9,)), BATCH)
    with pytest.raises(error, match=message):
        open_iterator(tree, sampler, **named)


def test_with_drop_last_the_policy_is_to_drop(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH, drop_last=True)
    open_iterator(tree, sampler, last_batch_policy=DROP, last_batch_padded=True)
    with pytest.raises(ValueError, match=r"must be .*DROP, .* drop_last=True, got .*PARTIAL"):
        open_iterator(tree, sampler, last_batch_policy=PARTIAL)


def test_a_pipeline_answers_for_the_epoch_of_its_sampler(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, FirstOnes((N, 9)), BATCH)
    pipeline, theirs = open_pipeline(tree, sampler), open_pipeline(tree, None)
    for epoch, size in ((0, N), (1, 9)):
        sampler.set_epoch(epoch)
        assert pipeline.epoch_size("Reader") == size
        assert pipeline.epoch_size() == {"Reader": size}
        assert pipeline.reader_meta() == {"Reader": pipeline.reader_meta("Reader")}
        assert pipeline.reader_meta("Reader")["epoch_size"] == size
        assert set(pipeline.reader_meta("Reader")) == set(theirs.reader_meta("Reader"))
    with pytest.raises(RuntimeError, match="Other"):
        pipeline.epoch_size("Other")
    size = pipeline.epoch_size("Reader")
    loader = dali.DALIClassificationIterator(pipeline, size, sampler=sampler)
    assert len(loader) == math.ceil(size / BATCH)


def test_a_pipeline_answers_for_other_readers_beside_ours(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, FirstOnes((9,)), BATCH)
    pipeline = Pipeline(batch_size=BATCH, num_threads=1, device_id=None)
    with pipeline:
        pipeline.set_outputs(*read(tree, sampler, None), *read(tree, None, "Other"))
    pipeline.build()
    assert sorted(pipeline.epoch_size().values()) == [9, N]
    assert pipeline.epoch_size("Other") == N


def test_what_was_told_of_an_epoch_that_is_over_is_warned_of(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, FirstOnes((N, 9)), BATCH)
    loader = open_iterator(tree, sampler)
    list(loader)
    assert loader._pipes[0].epoch_size("Reader") == N
    with pytest.warns(RuntimeWarning, match=r"epoch 1 has 3 batches, and len\(\) said 8"):
        list(loader)


@pytest.mark.parametrize("before", [True, False])
def test_a_pipeline_that_is_run_by_hand_says_who_runs_it(tree: ImageTree, before: bool) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)
    pipeline = open_pipeline(tree, sampler)
    loader = None if before else dali.DALIClassificationIterator(pipeline, sampler=sampler)
    with pytest.raises(
        RuntimeError, match=r"is run by dynsample\.dali's iterators alone.*peek\(\)"
    ):
        pipeline.run()
    loader = loader or dali.DALIClassificationIterator(pipeline, sampler=sampler)
    assert [i for (b,) in loader for i in b["index"]] == sampler.plan.order.tolist()


def test_an_iterator_of_dali_around_our_reader_says_which_one_to_take(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)
    pipeline = open_pipeline(tree, sampler)
    with pytest.raises(RuntimeError, match=r"DALIGenericIterator\(pipeline, \.\.\., sampler="):
        stock.DALIGenericIterator(pipeline, ["data", "label", "index"], reader_name="Reader")
    with pytest.raises(RuntimeError, match=r"DALIGenericIterator\(pipeline, \.\.\., sampler="):
        open_pipeline(tree, sampler).schedule_run()


def test_a_debug_pipeline_is_refused_for_what_it_is(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)

    @experimental.pipeline_def(batch_size=BATCH, num_threads=1, device_id=None, debug=True)
    def debugged() -> Any:
        return read(tree, sampler)

    with pytest.raises(ValueError, match="cannot feed a debug pipeline"):
        dali.DALIClassificationIterator(debugged(), sampler=sampler)
    pipeline = debugged()
    pipeline.build()
    with pytest.raises(ValueError, match="cannot feed a debug pipeline"):
        pipeline.run()


@pipeline_def(batch_size=7, num_threads=1, device_id=None)
def wide(tree: ImageTree, sampler: ds.Sampler) -> Any:
    return read(tree, sampler)


def test_passes_know_how_many_batches_they_have(tree: ImageTree) -> None:
    sampler = ds.Sampler(N, FirstOnes((9,)), BATCH)
    loader = open_iterator(tree, sampler, hidden_pipeline=wide(tree, sampler))
    for size, batches in ((None, 5), (7, 3)):
        hidden = loader.hidden(size)
        assert len(hidden) == batches
        sampler.set_epoch(0, restart=True)
        assert sum(1 for _ in hidden) == batches
        assert len(hidden) == batches
