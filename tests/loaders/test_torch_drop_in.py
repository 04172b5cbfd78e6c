"""What stock code reads off a loader and does with it: attributes, errors, workers, seeds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader as Stock
from torch.utils.data import get_worker_info

import dynsample as ds
from dynsample.torch import DataLoader

N, BATCH = 40, 4

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*fork.*:DeprecationWarning", "ignore:the pass over epoch 0 goes on"
)


class Numbers(torch.utils.data.Dataset[Any]):
    """Item i is i; some cannot be read."""

    def __init__(self, *bad: int, error: type[Exception] = OSError) -> None:
        self.bad, self.error, self.opened = set(bad), error, "not yet"

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> int:
        assert type(i) is int
        if i in self.bad:
            raise self.error(f"cannot read {i}")
        return i


class Opened(Numbers):
    """Item i says what a worker has opened, and which data set it is told to have."""

    def __getitem__(self, i: int) -> tuple[int, str, bool]:  # type: ignore[override]
        return i, self.opened, get_worker_info().dataset is self


def open_file(worker: int) -> None:
    get_worker_info().dataset.opened = f"by worker {worker}"


def make(data: Any = None, *, order: str = "sequential", **options: Any) -> Any:
    sampler = ds.Sampler(N, batch_size=BATCH, order=order)
    return sampler, DataLoader(Numbers() if data is None else data, sampler=sampler, **options)


def test_attributes_are_what_the_user_gave() -> None:
    data, generator = Numbers(), torch.Generator()
    sampler = ds.Sampler(N, batch_size=BATCH, drop_last=True)
    loader = DataLoader(
        data,
        sampler=sampler,
        collate_fn=list,
        generator=generator,
        num_workers=1,
        prefetch_factor=3,
        worker_init_fn=open_file,
    )
    assert isinstance(loader, Stock)
    assert DataLoader[int](data, sampler=sampler).dataset is data
    assert loader.dataset is data
    assert loader.sampler is loader.batch_sampler.sampler is sampler
    assert (loader.batch_size, loader.drop_last) == (BATCH, True)
    assert loader.collate_fn is list
    assert loader.generator is generator
    assert loader.worker_init_fn is open_file
    assert (loader.num_workers, loader.prefetch_factor) == (1, 3)
    assert len(loader) == len(iter(loader)) == len(loader.batch_sampler) == N // BATCH
    assert make()[1].collate_fn is torch.utils.data.default_collate
    for name in ("dataset", "sampler", "batch_sampler", "batch_size", "drop_last"):
        with pytest.raises(ValueError, match=f"{name} attribute should not be set"):
            setattr(loader, name, None)


def test_set_epoch_is_wherever_stock_code_calls_it() -> None:
    sampler, loader = make()
    for epoch, where in enumerate((loader, loader.sampler, loader.batch_sampler), 1):
        where.set_epoch(epoch)
        assert sampler.epoch == epoch


def test_what_is_set_afterwards_counts() -> None:
    _, loader = make(Opened(), num_workers=1)
    loader.worker_init_fn = open_file  # as Lightning does
    loader.collate_fn = lambda samples: (list(samples),)
    samples, index = next(iter(loader))
    assert samples == [(i, "by worker 0", True) for i in index.tolist()]


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.whole)])
def test_a_worker_is_told_of_the_data_set_that_the_user_gave(context: str) -> None:
    data = Opened()
    _, loader = make(data, num_workers=1, multiprocessing_context=context, worker_init_fn=open_file)
    for _, opened, own, _ in loader:
        assert opened == ("by worker 0",) * BATCH
        assert own.all()
    assert data.opened == "not yet"


def test_a_generator_seeds_the_workers_and_not_the_order() -> None:
    class Seeds(Numbers):
        def __getitem__(self, i: int) -> tuple[int, int]:  # type: ignore[override]
            return i, torch.initial_seed()

    def run(seed: int) -> tuple[list[int], list[int]]:
        generator = torch.Generator().manual_seed(seed)
        before = torch.get_rng_state()
        _, loader = make(Seeds(), order="random", num_workers=1, generator=generator)
        parts = list(loader)
        torch.testing.assert_close(torch.get_rng_state(), before)
        return (
            torch.cat([index for *_, index in parts]).tolist(),
            torch.cat([seeds for _, seeds, _ in parts]).tolist(),
        )

    (order, seeds), again, (other_order, other_seeds) = run(1), run(1), run(2)
    assert (order, seeds) == again
    assert order == other_order
    assert set(seeds).isdisjoint(other_seeds)


def walk(batches: Iterator[Any]) -> list[Any]:
    """Take batches to the end, whatever is raised; give the ids, or the name of the error."""
    taken: list[Any] = []
    while len(taken) < 3 * N:  # and not for ever
        try:
            taken.append(next(batches)[-1].tolist())
        except StopIteration:
            return taken
        except Exception as error:
            taken.append(type(error).__name__)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("num_workers", [0, 1, 2])
@pytest.mark.parametrize("persistent", [False, True])
def test_a_loop_goes_on_behind_a_batch_that_could_not_be_made(
    num_workers: int, persistent: bool, tmp_path: Path
) -> None:
    if persistent and not num_workers:
        pytest.skip("there are no workers")
    bad = (5, 20, 22, N - 1)  # also the last batch
    sampler, loader = make(Numbers(*bad), num_workers=num_workers, persistent_workers=persistent)
    expected: list[Any] = [list(range(i, i + BATCH)) for i in range(0, N, BATCH)]
    for i in bad:
        expected[i // BATCH] = "OSError"
    assert walk(iter(loader)) == expected
    assert sampler.state_dict()["positions"] == N
    assert walk(iter(loader)) == expected
    assert sampler.epoch == 1
    batches = iter(loader)
    next(batches)
    with pytest.raises(OSError, match="cannot read 5"):
        next(batches)
    assert sampler.state_dict()["positions"] == 2 * BATCH
    sampler.save(tmp_path)
    resumed, other = make(Numbers(*bad), num_workers=num_workers)
    resumed.load(tmp_path)
    assert walk(batches) == walk(iter(other)) == expected[2:]
    assert walk(loader.all()) == expected


def test_a_loop_that_an_error_left_is_closed() -> None:
    sampler, loader = make(Numbers(5))
    with pytest.raises(OSError, match="cannot read 5") as caught:
        for _ in loader:
            pass
    assert walk(loader.all())[1] == "OSError"  # refused while another loop is open
    assert caught.value.__traceback__ is not None
    assert walk(iter(loader))[0] == [8, 9, 10, 11]
    assert sampler.state_dict()["positions"] == N


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_data_set_that_raises_stop_iteration_does_not_end_the_epoch(num_workers: int) -> None:
    _, loader = make(Numbers(5, error=StopIteration), num_workers=num_workers)
    taken = walk(iter(loader))
    assert taken[1] == "RuntimeError"
    assert len(taken) == N // BATCH


def test_an_error_of_the_collate_function_is_of_its_batch() -> None:
    def collate(samples: list[int]) -> torch.Tensor:
        if 8 in samples:
            raise ZeroDivisionError
        return torch.tensor(samples)

    _, loader = make(collate_fn=collate)
    taken = walk(iter(loader))
    assert taken[2] == "ZeroDivisionError"
    assert taken[3] == [12, 13, 14, 15]


def test_an_iterator_that_is_broken_says_so_and_another_one_goes_on() -> None:
    class Killed(Numbers):
        def __getitem__(self, i: int) -> int:
            if i == 5 and get_worker_info() is not None:
                os._exit(1)
            return i

    sampler, loader = make(Killed(), num_workers=1, prefetch_factor=1)
    batches = iter(loader)
    taken = [next(batches)[1].tolist()]
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        next(batches)
    with pytest.raises(RuntimeError, match="ended with an error: begin another one"):
        next(batches)
    loader.num_workers, loader.prefetch_factor = 0, None
    taken += walk(iter(loader))
    assert list(itertools.chain(*taken)) == list(range(N))
    assert sampler.state_dict()["positions"] == N


def test_data_sets_may_set_getitems_to_none() -> None:
    data = Numbers()
    data.__getitems__ = None  # type: ignore[attr-defined]
    assert next(iter(make(data)[1]))[1].tolist() == [0, 1, 2, 3]


def test_an_iterable_data_set_is_refused() -> None:
    class Endless(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[int]:
            return itertools.count()

    with pytest.raises(ValueError, match="dataset must be map-style, got the iterable-style End"):
        make(Endless())


def test_the_sampler_in_the_slot_for_single_ids_is_an_error() -> None:
    sampler = ds.Sampler(N, batch_size=BATCH)
    for given in (sampler, sampler.hidden, sampler.all()):
        loader = Stock(Numbers(), batch_size=BATCH, sampler=given)
        with pytest.raises(TypeError, match="as batch_sampler=, not as sampler="):
            next(iter(loader))
    loader = Stock(Numbers(), batch_size=BATCH, sampler=sampler)
    with pytest.raises(TypeError, match="as batch_sampler=, not as sampler="):
        len(loader)
    whole = Stock(torch.arange(N), batch_size=None, sampler=sampler)  # a batch is an id of its own
    np.testing.assert_array_equal(torch.cat(list(whole)), sampler.plan.order)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_stock_loader_hands_ints_to_the_data_set(num_workers: int) -> None:
    for given in (ds.Sampler(N, batch_size=BATCH), ds.Sampler(N, batch_size=BATCH).all(7)):
        loader = Stock(Numbers(), batch_sampler=given, num_workers=num_workers)
        assert sorted(torch.cat(list(loader)).tolist()) == list(range(N))


def test_parts_of_the_loader_do_not_make_another_one() -> None:
    _, loader = make()
    with pytest.raises(TypeError, match="as batch_sampler=, not as sampler="):
        next(iter(Stock(loader.dataset, loader.batch_size, sampler=loader.sampler)))
    with pytest.raises(RuntimeError, match="another loader was made of the parts"):
        next(iter(Stock(loader.dataset, batch_sampler=loader.batch_sampler)))


def test_mixed_targets_name_the_recipe() -> None:
    def mixup(samples: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros(len(samples), 3), torch.full((len(samples), 3), 1 / 3)

    sampler = ds.Sampler(N, ds.Kakurenbo(), batch_size=BATCH)
    logits, targets, index = next(iter(DataLoader(Numbers(), sampler=sampler, collate_fn=mixup)))
    recipe = "mixup and CutMix"
    with pytest.raises(TypeError, match=rf"got torch\.float32; .*{recipe}.*docs/recipes\.md"):
        sampler.observe(index, logits=logits, targets=targets)
    assert f"## {recipe}" in (Path(__file__).parents[2] / "docs/recipes.md").read_text()
    with pytest.raises(TypeError, match=r"must have an integer dtype, got torch\.float32$"):
        sampler.observe(index, logits=logits, targets=targets[:, 0])
