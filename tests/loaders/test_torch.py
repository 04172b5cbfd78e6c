"""The torch DataLoader follows the plan, returns the index, and knows what was received."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dynsample as ds
from dynsample.torch import DataLoader, scaled_lr

N = 53


class Images(torch.utils.data.Dataset[Any]):
    """Item i proves its own id."""

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.full((2, 2), float(i)), i % 10


class Batched(Images):
    def __getitems__(self, ids: list[int]) -> list[tuple[torch.Tensor, int]]:
        return [self[i] for i in ids]

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        item = super().__getitem__(i)
        return item[0] + 0.5, item[1]


class Mapped(Images):
    def __getitem__(self, i: int) -> dict[str, Any]:  # type: ignore[override]
        return {"image": torch.full((2, 2), float(i)), "label": i % 10}


class Bare(Images):
    def __getitem__(self, i: int) -> torch.Tensor:  # type: ignore[override]
        return torch.full((2, 2), float(i))


def make_sampler(**options: Any) -> ds.Sampler:
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4), batch_size=8, seed=5, **options)


def observe(sampler: ds.Sampler, index: torch.Tensor) -> None:
    loss = (index * 7919 % 101) / 101
    sampler.observe(
        index, loss=loss, correct=torch.ones(len(index)), confidence=torch.ones(len(index))
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_workers": 2},
        {"num_workers": 2, "persistent_workers": True},
        pytest.param(
            {"num_workers": 1, "multiprocessing_context": "spawn"}, marks=pytest.mark.whole
        ),
    ],
    ids=["no workers", "forked", "persistent", "spawned"],
)
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_come_in_the_order_of_the_plan_with_their_index(options: dict[str, Any]) -> None:
    sampler = make_sampler()
    loader = DataLoader(Images(), sampler=sampler, **options)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        received, hidden = [], []
        assert len(loader) == len(sampler)
        for images, labels, index in loader:
            assert index.dtype == torch.int64
            torch.testing.assert_close(images[:, 0, 0], index.float())
            torch.testing.assert_close(labels, index % 10)
            received.append(index)
            observe(sampler, index)
        for images, _, index in loader.hidden():
            torch.testing.assert_close(images[:, 0, 0], index.float())
            hidden.append(index)
            observe(sampler, index)
        np.testing.assert_array_equal(torch.cat(received).numpy(), sampler.plan.order)
        if hidden:
            assert set(torch.cat(hidden).tolist()) == set(sampler.plan.hidden)
    assert sampler.plan.num_hidden > 0


def test_items_of_any_shape_get_the_index() -> None:
    sampler = ds.Sampler(N, ds.Uniform(), batch_size=8)
    (images, _, index) = next(iter(DataLoader(Batched(), sampler=sampler)))
    torch.testing.assert_close(images[:, 0, 0], index + 0.5)
    batch = next(iter(DataLoader(Mapped(), sampler=sampler)))
    torch.testing.assert_close(batch["image"][:, 0, 0], batch["index"].float())
    images, index = next(iter(DataLoader(Bare(), sampler=sampler)))
    torch.testing.assert_close(images[:, 0, 0], index.float())


def test_a_collate_function_sees_the_items_alone() -> None:
    loader = DataLoader(
        Images(),
        sampler=ds.Sampler(N, batch_size=8),
        collate_fn=lambda items: [torch.tensor([label for _, label in items])],
    )
    labels, index = next(iter(loader))
    torch.testing.assert_close(labels, index % 10)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_state_counts_what_the_loop_received_whatever_workers_prefetch(tmp_path: Path) -> None:
    sampler = make_sampler()
    loader = DataLoader(Images(), sampler=sampler, num_workers=2, prefetch_factor=2)
    received = []
    for _, _, index in loader:
        received.append(index)
        observe(sampler, index)
        if len(received) == 3:
            assert sampler.state_dict()["positions"] == 24
            sampler.save(tmp_path)
            break
    resumed = make_sampler()
    resumed.load(tmp_path)
    for going_on in (resumed, sampler):  # after a load, and after the break
        rest = [index for _, _, index in DataLoader(Images(), sampler=going_on)]
        ids = torch.cat([*received, *rest]).numpy()
        np.testing.assert_array_equal(ids, sampler.plan.order)


def test_the_sampler_is_a_batch_sampler_of_a_stock_loader() -> None:
    class WithIndex(Images):
        def __getitem__(self, i: int) -> tuple[torch.Tensor, int, int]:  # type: ignore[override]
            return (*super().__getitem__(i), int(i))

    sampler = make_sampler()
    loader = torch.utils.data.DataLoader(WithIndex(), batch_sampler=sampler)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert len(loader) == len(sampler)
        ids = []
        for _, _, index in loader:
            observe(sampler, index)
            ids.append(index)
        np.testing.assert_array_equal(torch.cat(ids).numpy(), sampler.plan.order)
        for index in sampler.hidden:
            observe(sampler, torch.from_numpy(index))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_of_an_epoch_that_was_left_are_not_handed_out() -> None:
    sampler = ds.Sampler(N, batch_size=8)
    batches = iter(DataLoader(Images(), sampler=sampler, num_workers=2, prefetch_factor=9))
    next(batches)
    sampler.set_epoch(1)  # all of epoch 0 is drawn by now
    with pytest.raises(RuntimeError, match="epoch 0 was left while it was being iterated"):
        next(batches)


@pytest.mark.filterwarnings("ignore:the pass over epoch 0 goes on at position 16")
def test_the_state_of_the_loader_is_the_samplers() -> None:
    sampler = make_sampler()
    loader = DataLoader(Images(), sampler=sampler)
    list(itertools.islice(loader, 2))
    state = loader.state_dict()
    assert state == sampler.state_dict()
    rest = [index for *_, index in loader]
    loader.load_state_dict(state)
    torch.testing.assert_close([index for *_, index in loader], rest)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 4}, TypeError, r"leave it out here, and make Sampler\(..., batch_size=4\)"),
        ({"shuffle": True}, TypeError, "shuffle is decided by the sampler: leave it out"),
        ({"in_order": False}, ValueError, "in_order must be True"),
    ],
)
def test_arguments_that_the_sampler_decides_are_refused(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DataLoader(Images(), sampler=make_sampler(), **options)


def test_another_data_set_size_or_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="dataset has 53 items, the sampler was made for 9"):
        DataLoader(Images(), sampler=ds.Sampler(9))
    with pytest.raises(TypeError, match=r"sampler must be a dynsample\.Sampler, got list"):
        DataLoader(Images(), sampler=[1])  # type: ignore[arg-type]


def test_scaled_lr_restores_the_rates_also_after_an_error() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    bias = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([{"params": [weight], "lr": 0.1}, {"params": [bias], "lr": 1.0}])
    with scaled_lr(optimizer, 2.0):
        assert [group["lr"] for group in optimizer.param_groups] == [0.2, 2.0]
    failing = pytest.raises(KeyError)
    with failing, scaled_lr(optimizer, 2.0):
        raise KeyError
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 1.0]
