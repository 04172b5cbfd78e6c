"""Grain's pipelines over the plan of a sampler: slices, batches, workers, positions."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

grain = pytest.importorskip("grain", reason="Grain is not installed")

import absl.flags  # noqa: E402

import dynsample as ds  # noqa: E402
from dynsample import grain as ours  # noqa: E402
from dynsample.torch import IndexSampler  # noqa: E402
from tests.core.breaks_once import BreaksOnce  # noqa: E402

N, BATCH = 53, 8
SOURCE = [{"value": np.float32(number)} for number in range(N)]

pytestmark = pytest.mark.filterwarnings("ignore:.*hidden samples were due")


def make(policy: ds.Policy | None = None, **options: Any) -> ds.Sampler:
    policy = policy or ds.Kakurenbo(fraction=0.4, tau=0.0)
    return ds.Sampler(N, policy, seed=5, **{"issue": "external", **options})


def observe(sampler: ds.Sampler, index: Any) -> None:
    index = np.asarray(index)
    ones = np.ones(len(index), np.float32)
    loss = (index * 7 % 11).astype(np.float32)
    sampler.observe(index, loss=loss, correct=ones, confidence=ones)


def train(sampler: ds.Sampler, batches: Iterable[Any]) -> list[int]:
    ids: list[int] = []
    for element, index in batches:
        assert element["value"].tolist() == index.tolist()
        observe(sampler, index)
        ids += index.tolist()
    return ids


def batches(sampler: ds.Sampler, shard: slice = slice(None), **options: Any) -> Any:
    return ours.dataset(SOURCE, sampler, **options)[shard].batch(BATCH)


def workers(samples: Any) -> Any:
    absl.flags.FLAGS.mark_as_parsed()  # as absl.app.run does, which Grain expects
    options = grain.multiprocessing.MultiprocessingOptions(num_workers=2)
    return samples.to_iter_dataset().mp_prefetch(options)


def test_every_epoch_is_its_plan() -> None:
    sampler, own = make(), make(issue="sampler", batch_size=BATCH)
    lengths = []
    for epoch in range(3):
        for each in (sampler, own):
            each.set_epoch(epoch)
        samples = ours.dataset(SOURCE, sampler)
        lengths.append(len(samples))
        assert sorted(sampler.outstanding) == sorted(sampler.plan.order)
        assert len(samples.batch(BATCH)) == len(own)
        assert sampler.plan.digest == own.plan.digest
        assert train(sampler, batches(sampler)) == np.concatenate([*own]).tolist()
        again = train(sampler, batches(sampler, hidden=True))
        assert again == [int(one) for batch in own.hidden for one in batch]
        observe(own, sampler.plan.order)
        observe(own, again)
        assert sampler.outstanding.tolist() == []
        assert sampler.progress == epoch + 1
    sampler.set_epoch(3)
    assert sampler.stats["surplus"] == sampler.stats["unseen"] == 0
    assert lengths[0] == N > lengths[1]


@pytest.mark.parametrize("count", [2, 3])
def test_slices_are_shards_whole_and_disjoint(count: int) -> None:
    def body(group: ds.groups.Group) -> tuple[list[int], list[int], float, bytes]:
        sampler = make(group=group)
        sampler.set_epoch(0)
        ids = train(sampler, batches(sampler, slice(group.rank, None, group.size)))
        order = sampler.plan.order.tolist()
        sampler.set_epoch(1)
        return ids, order, sampler.stats["surplus"], sampler.table["loss"].tobytes()

    alone = ds.groups.simulate(1, body)[0]
    shards = ds.groups.simulate(count, body)
    assert [shard[2:] for shard in shards] == [alone[2:]] * count
    for rank, (ids, order, *_) in enumerate(shards):
        assert order == alone[1]
        assert ids == order[rank::count]


def test_threads_and_transformations_see_the_plan() -> None:
    sampler = make()
    samples = ours.dataset(SOURCE, sampler)
    reading = grain.ReadOptions(num_threads=8, prefetch_buffer_size=20)
    mapped = samples.map(lambda pair: {**pair[0], "index": pair[1]}).batch(BATCH)
    found = [each["index"] for each in mapped.to_iter_dataset(reading)]
    assert np.concatenate(found).tolist() == sampler.plan.order.tolist()
    shuffled = [index for _, index in samples.shuffle(seed=3)]
    assert shuffled != sampler.plan.order.tolist()
    assert sorted(shuffled) == sorted(sampler.plan.order.tolist())
    assert [index for _, index in samples.seed(3)] == sampler.plan.order.tolist()


def test_random_transformations_of_the_source_are_drawn_by_epoch_and_sample() -> None:
    source = grain.MapDataset.source(SOURCE).seed(4).random_map(lambda _, random: random.random())
    repeated = source.repeat(2)
    sampler = make()
    for epoch in range(2):
        sampler.set_epoch(epoch)
        samples = ours.dataset(source, sampler)
        for drawn, index in samples:
            assert drawn == repeated[epoch * N + index]
        observe(sampler, sampler.plan.order)


def test_samples_that_the_source_leaves_out_are_left_out() -> None:
    sampler = make()
    source = grain.MapDataset.source(SOURCE).filter(lambda each: each["value"] % 2 == 0)
    samples = ours.dataset(source, sampler)
    found = [index for _, index in samples.to_iter_dataset()]
    assert found == [number for number in sampler.plan.order.tolist() if number % 2 == 0]


# Positions


def halves(
    sampler: ds.Sampler, resumed: ds.Sampler, path: Path, pipeline: Any, steps: int
) -> tuple[list[int], list[int]]:
    """Train for some steps, save, load into another sampler and go on."""
    iterator = iter(pipeline(batches(sampler)))
    before = train(sampler, (next(iterator) for _ in range(steps)))
    sampler.save(path)
    state = iterator.get_state()
    resumed.load(path)
    resumed.set_epoch(resumed.epoch)
    iterator = iter(pipeline(batches(resumed)))
    iterator.set_state(state)
    return before, train(resumed, iterator)


@pytest.mark.parametrize("steps", [0, 3, 7])
def test_grains_position_goes_on_at_the_next_sample(steps: int, tmp_path: Path) -> None:
    sampler, resumed = make(), make()
    sampler.set_epoch(0)
    before, after = halves(sampler, resumed, tmp_path, lambda each: each.to_iter_dataset(), steps)
    assert len(before) == min(steps * BATCH, N)
    assert before + after == sampler.plan.order.tolist()
    assert resumed.progress == 1
    resumed.set_epoch(1)
    assert resumed.stats["surplus"] == resumed.stats["unseen"] == 0
    sampler = make()
    observe(sampler, sampler.plan.order)
    sampler.set_epoch(1)
    assert sampler.plan.digest == resumed.plan.digest


def test_worker_processes_follow_the_plan() -> None:
    sampler = make()
    observe(sampler, sampler.plan.order)
    sampler.set_epoch(1)
    assert train(sampler, workers(batches(sampler))) == sampler.plan.order.tolist()


@pytest.mark.whole
def test_worker_processes_go_on_at_the_next_sample(tmp_path: Path) -> None:
    sampler, resumed = make(), make()
    sampler.set_epoch(0)
    before, after = halves(sampler, resumed, tmp_path, workers, 3)
    assert before + after == sampler.plan.order.tolist()
    resumed.set_epoch(1)
    assert resumed.stats["surplus"] == resumed.stats["unseen"] == 0


def test_another_number_of_shards_goes_on_elastically(tmp_path: Path) -> None:
    def iterator(sampler: ds.Sampler, rank: int, count: int) -> Any:
        shard = grain.sharding.ShardOptions(rank, count)
        samples = ours.dataset(SOURCE, sampler)[:48]
        return iter(grain.experimental.ElasticIterator(samples, 12, shard))

    sampler, resumed = make(), make()
    both = [iterator(sampler, rank, 2) for rank in range(2)]
    ids = [one for each in both for one in train(sampler, [next(each)])]
    sampler.save(tmp_path)
    resumed.load(tmp_path)
    resumed.set_epoch(0)
    three = [iterator(resumed, rank, 3) for rank in range(3)]
    for each in three:
        each.set_state(both[0].get_state())
    ids += [one for each in three for one in train(resumed, each)]
    assert sorted(ids) == sorted(sampler.plan.order[:48].tolist())
    resumed.set_epoch(1)
    assert resumed.stats["surplus"] == 0


def test_the_older_loader_takes_it_as_a_source() -> None:
    def loader(sampler: ds.Sampler) -> Any:
        return grain.load(ours.dataset(SOURCE, sampler), num_epochs=1, batch_size=BATCH)

    sampler = make()
    iterator = iter(loader(sampler))
    before = train(sampler, (next(iterator) for _ in range(2)))
    state = iterator.get_state()
    other = iter(loader(make()))
    other.set_state(state)
    after = [one for _, index in other for one in index.tolist()]
    assert before + after == sampler.plan.order.tolist()
    sampler.set_epoch(1)
    with pytest.raises(ValueError, match="in checkpoint does not match"):
        iter(loader(sampler)).set_state(state)


# Misuse


def test_an_iterator_of_an_epoch_that_was_left_raises() -> None:
    sampler = make()
    samples = ours.dataset(SOURCE, sampler)
    now = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    iterator = iter(samples.to_iter_dataset(now))
    next(iterator)
    observe(sampler, sampler.plan.order)
    sampler.set_epoch(0)
    next(iterator)
    sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match="epoch 0 was left while it was being iterated"):
        next(iterator)
    for each in (samples, copy.copy(samples), copy.deepcopy(samples)):
        with pytest.raises(RuntimeError, match="epoch 0 was left"):
            each[0]


def test_repeating_one_epoch_is_refused() -> None:
    sampler = make()
    repeated = iter(ours.dataset(SOURCE, sampler).repeat(2).to_iter_dataset())
    for _ in range(N):
        next(repeated)
    with pytest.raises(IndexError, match=r"got 53: this is one epoch.*dynsample\.grain\.dataset"):
        next(repeated)


def test_places_are_those_of_a_sequence() -> None:
    sampler = make()
    samples = ours.dataset(SOURCE, sampler)
    assert samples[-1] == samples[N - 1]
    assert samples[0][1] == sampler.plan.order[0]
    assert [index for _, index in samples[3:9:2]] == sampler.plan.order[3:9:2].tolist()
    for place in (-N - 1, N):
        with pytest.raises(IndexError, match=f"got {place}"):
            samples[place]
    assert len(ours.dataset(SOURCE, sampler, hidden=True).batch(BATCH)) == 0
    assert sampler.plan.digest in repr(samples)


def test_what_cannot_be_trained_on_is_refused() -> None:
    sampler, source = make(), grain.MapDataset.source(SOURCE)
    with pytest.raises(TypeError, match=r"sampler must be a dynsample\.Sampler, got list"):
        ours.dataset(SOURCE, [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        ours.dataset(SOURCE, make(issue="sampler"))
    with pytest.raises(ValueError, match="source has 52 samples, the sampler was made for 53"):
        ours.dataset(SOURCE[1:], sampler)
    with pytest.raises(TypeError, match=r"source must be a MapDataset, or have .*IterDataset"):
        ours.dataset(source.to_iter_dataset(), sampler)
    mixed = grain.MapDataset.mix([source[:20], source[20:40]], [1, 1])
    with pytest.raises(ValueError, match=r"a ShuffleMapDataset in it.*the sampler decides"):
        ours.dataset(source.shuffle(seed=1).map(lambda each: each), sampler)
    with pytest.raises(ValueError, match="a MixedMapDataset in it"):
        ours.dataset(mixed, ds.Sampler(40, issue="external"))
    IndexSampler(sampler)
    with pytest.raises(ValueError, match=r"skips must be 'sampler'.*where both skip"):
        ours.dataset(SOURCE, sampler)


def test_an_epoch_that_is_over_is_not_given_again() -> None:
    BreaksOnce.broken.clear()
    sampler = make(BreaksOnce())
    observe(sampler, sampler.plan.order)
    with pytest.raises(ValueError, match="a policy's error"):
        sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match=r"epoch 0 is over.*set_epoch\(1\) goes on"):
        ours.dataset(SOURCE, sampler)
    sampler.set_epoch(1)
    assert train(sampler, batches(sampler)) == sampler.plan.order.tolist()
