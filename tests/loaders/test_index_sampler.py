"""The order id by id, in the hands of torch's loader and of what is built on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.torch import DataLoader as OurDataLoader
from dynsample.torch import IndexSampler

N, BATCH = 53, 8

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning",
    "ignore:'set_vital' is deprecated:UserWarning",  # torchdata on torch 2.13
    "ignore:.*hidden samples were due",
)


class Samples(torch.utils.data.Dataset[Any]):
    """A sample is its own id."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> int:
        assert type(i) is int
        return i


def make(policy: ds.Policy | None = None, **options: Any) -> ds.Sampler:
    policy = policy or ds.Kakurenbo(fraction=0.4, tau=0.0)
    return ds.Sampler(N, policy, seed=5, **{"issue": "external", **options})


def observe(sampler: ds.Sampler, index: torch.Tensor) -> None:
    ones = torch.ones(len(index))
    sampler.observe(index, loss=(index * 7 % 11).float(), correct=ones, confidence=ones)


def train(sampler: ds.Sampler, loader: Any, stop: int | None = None) -> list[int]:
    ids: list[int] = []
    for number, index in enumerate(loader):
        if number == stop:
            break
        observe(sampler, index)
        ids += index.tolist()
    return ids


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stock_loader_trains_on_the_plan_of_every_epoch(num_workers: int) -> None:
    sampler, own = make(), make(issue="sampler", batch_size=BATCH)
    index, hidden = IndexSampler(sampler), IndexSampler(sampler, hidden=True)
    loader = DataLoader(Samples(), BATCH, sampler=index, num_workers=num_workers)
    again = DataLoader(Samples(), BATCH, sampler=hidden, num_workers=num_workers)
    lengths = []
    for epoch in range(3):
        for each in (index, hidden, own):
            each.set_epoch(epoch)
        assert sampler.plan.digest == own.plan.digest
        assert len(loader) == len(own)
        lengths.append(len(index))
        assert train(sampler, loader) == np.concatenate([*own]).tolist()
        assert train(sampler, again) == [int(one) for batch in own.hidden for one in batch]
        for ids in (sampler.plan.order, sampler.plan.slice(0, len(hidden), hidden=True)):
            observe(own, torch.as_tensor(ids))
    assert lengths[0] == N > lengths[1]
    assert sampler.outstanding.tolist() == []


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_was_prefetched_comes_again_after_a_load(num_workers: int, tmp_path: Path) -> None:
    sampler = make()
    index = IndexSampler(sampler)
    index.set_epoch(0)
    before = train(sampler, DataLoader(Samples(), BATCH, sampler=index, num_workers=num_workers), 3)
    in_flight = sampler.outstanding.tolist()
    assert len(in_flight) > 0
    assert in_flight == sampler.plan.order[24 : 24 + len(in_flight)].tolist()
    sampler.set_epoch(0)
    assert sampler.outstanding.tolist() == in_flight
    sampler.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    index = IndexSampler(resumed)
    index.set_epoch(resumed.epoch)
    index.set_epoch(resumed.epoch)
    assert len(index) == N - 24
    after = train(resumed, DataLoader(Samples(), 5, sampler=index, num_workers=num_workers))
    assert before + after == resumed.plan.order.tolist()
    index.set_epoch(1)
    assert resumed.stats["surplus"] == resumed.stats["unseen"] == 0


@pytest.mark.parametrize("size", [1, 2, 3])
def test_torchs_own_shards_pad_by_repeating_and_the_rest_is_surplus(size: int) -> None:
    from torch.utils.data.distributed import DistributedSampler

    def body(group: ds.groups.Group) -> tuple[list[int], float, bytes]:
        sampler = make(group=group)
        index = IndexSampler(sampler)
        ids = list(index)  # as Lightning's wrapper does
        shares = DistributedSampler(ids, group.size, group.rank, shuffle=False)
        mine = torch.tensor([ids[place] for place in shares])
        for batch in mine.split(BATCH):
            observe(sampler, batch)
        index.set_epoch(1)
        return list(index), sampler.stats["surplus"], sampler.table["loss"].tobytes()

    alone = ds.groups.simulate(1, body)[0]
    for order, surplus, losses in ds.groups.simulate(size, body):
        assert (order, losses) == (alone[0], alone[2])
        assert surplus == -N % size


def test_the_length_is_that_of_the_next_iterator(tmp_path: Path) -> None:
    sampler = make()
    index = IndexSampler(sampler)
    hidden = IndexSampler(sampler, hidden=True)
    assert (len(index), len(hidden)) == (N, 0)
    assert hidden or None  # it is not taken for none that was given
    train(sampler, DataLoader(Samples(), BATCH, sampler=index), 2)
    assert len(index) == N
    index.set_epoch(0)
    assert len(index) == N - 16 == len(list(index))


# Who skips


def test_a_framework_that_skips_gets_the_whole_order(tmp_path: Path) -> None:
    sampler = make()
    index = IndexSampler(sampler, skips="framework")
    index.set_epoch(0)
    train(sampler, DataLoader(Samples(), BATCH, sampler=index), 3)
    sampler.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    index = IndexSampler(resumed, skips="framework")
    index.set_epoch(0)
    assert len(index) == N
    loader = DataLoader(Samples(), BATCH, sampler=index)
    for number, ids in enumerate(loader):
        if number >= 3:
            observe(resumed, ids)
    index.set_epoch(1)
    assert resumed.stats["surplus"] == resumed.stats["unseen"] == 0


def test_samplers_that_differ_in_who_skips_are_refused() -> None:
    sampler = make()
    first = IndexSampler(sampler)
    with pytest.raises(ValueError, match=r"skips must be 'sampler', as it is of .* are lost"):
        IndexSampler(sampler, skips="framework")
    with pytest.raises(ValueError, match=r"skips must be one of .*, got 'nobody'"):
        IndexSampler(sampler, skips="nobody")
    other = IndexSampler(make(), skips="framework")
    with pytest.raises(
        StateError, match="with skips='framework', hidden=False, this one has skips"
    ):
        first.load_state_dict(other.state_dict())


def test_batches_that_accelerate_would_skip_of_what_is_left_are_refused(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate", reason="Accelerate is not installed")
    for skips in ("sampler", "framework"):
        sampler = make()
        loader = DataLoader(Samples(), BATCH, sampler=IndexSampler(sampler, skips=skips))
        skipping = accelerate.skip_first_batches(loader, 2)
        if skips == "framework":
            assert len(train(sampler, skipping)) == N - 16
            continue
        with pytest.raises(RuntimeError, match=r"skips 2 batches.*ignore_data_skip=True"):
            next(iter(skipping))
        assert len(train(sampler, accelerate.skip_first_batches(loader, 0))) == N


# States


def stateful(index: IndexSampler, num_workers: int) -> Any:
    torchdata = pytest.importorskip("torchdata.stateful_dataloader")
    return torchdata.StatefulDataLoader(Samples(), BATCH, sampler=index, num_workers=num_workers)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("skips", ["sampler", "framework"])
def test_a_stateful_loader_goes_on_behind_what_was_observed(
    skips: str, num_workers: int, tmp_path: Path
) -> None:
    sampler = make()
    index = IndexSampler(sampler, skips=skips)
    index.set_epoch(0)
    loader = stateful(index, num_workers)
    before: list[int] = []
    for number, ids in enumerate(loader):
        observe(sampler, ids)
        before += ids.tolist()
        if number == 2:
            sampler.save(tmp_path)
            state = json.loads(json.dumps(loader.state_dict(), default=str))
            break
    resumed = make()
    resumed.load(tmp_path)
    index = IndexSampler(resumed, skips=skips)
    loader = stateful(index, num_workers)
    loader.load_state_dict(state)
    after = train(resumed, loader)
    assert before + after == resumed.plan.order.tolist()
    index.set_epoch(1)
    assert resumed.stats["surplus"] == 0


def test_a_state_in_mid_epoch_needs_what_was_saved(tmp_path: Path) -> None:
    sampler = make()
    index = IndexSampler(sampler)
    fresh = index.state_dict()
    train(sampler, DataLoader(Samples(), BATCH, sampler=index), 3)
    state = index.state_dict()
    assert len(json.dumps(state)) < 500
    resumed = IndexSampler(make())
    with pytest.raises(StateError, match=r"in the middle of epoch 0.*sampler\.save\(path\)"):
        resumed.load_state_dict(state)
    resumed.load_state_dict(fresh)
    assert len(list(resumed)) == N
    with pytest.raises(StateError, match="not a state of an IndexSampler: the state lacks sampler"):
        resumed.load_state_dict({"skips": "sampler"})
    with pytest.raises(StateError, match="not a state of an IndexSampler"):
        resumed.load_state_dict(make().state_dict())


def test_a_state_of_an_epoch_alone_is_enough_for_a_framework_that_skips() -> None:
    sampler = make(ds.Uniform())
    index = IndexSampler(sampler, skips="framework")
    index.set_epoch(3)
    ids: Iterator[int] = iter(index)
    before = [next(ids) for _ in range(20)]
    resumed = make(ds.Uniform())
    other = IndexSampler(resumed, skips="framework")
    other.load_state_dict(index.state_dict())
    assert (resumed.epoch, len(other)) == (3, N)
    assert before + list(other) == resumed.plan.order.tolist()
    other.load_state_dict(index.state_dict())
    other.set_epoch(4)  # where the place is of no meaning
    assert len(list(other)) == N


# Refusals


def test_a_sampler_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"sampler must be a dynsample\.Sampler, got list"):
        IndexSampler([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        IndexSampler(make(issue="sampler"))


def test_loaders_that_deal_batches_refuse_an_external_plan() -> None:
    sampler = make()
    with pytest.raises(ValueError, match='issue="sampler" to deal batches'):
        OurDataLoader(Samples(), sampler=sampler)
    with pytest.raises(ValueError, match='issue="sampler" to deal batches'):
        next(iter(DataLoader(Samples(), batch_sampler=sampler)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='issue="sampler" to deal batches'):
        next(iter(DataLoader(Samples(), BATCH, sampler=sampler)))  # type: ignore[arg-type]
