"""FFCV's Loader: its own behaviour without a sampler, ours with one, and ways of ending early."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from images import ImageTree, write_tree

import dynsample as ds

pytest.importorskip(
    "ffcv",
    reason="FFCV is not installed: apt-get install libopencv-dev libturbojpeg0-dev pkg-config, "
    "then make test",
    exc_type=ImportError,
)

import ffcv.loader
from adapters.ffcv import write
from ffcv.fields.decoders import IntDecoder
from ffcv.transforms import Squeeze, ToTensor
from images import read_ids
from numba.core import event

from dynsample.ffcv import Loader, OrderOption, page_local

N, BATCH = 53, 8

pytestmark = [
    pytest.mark.filterwarnings("ignore:Using a pytorch transform on the CPU:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:.*hidden samples were due:RuntimeWarning"),
]


class HideLast20(ds.Policy):
    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return ds.Selection(hidden=np.arange(table.num_samples) >= 33, refresh=True)

    def fingerprint(self, epoch: int) -> dict[str, Any]:
        return {}


class Failing(torch.nn.Module):
    """A transform that fails on its n-th batch, once."""

    def __init__(self, batch: int) -> None:
        super().__init__()
        self.left = batch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        if self.left == 0:
            raise ArithmeticError("the transform failed")
        return x


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return write_tree(tmp_path_factory.mktemp("ffcv") / "tree", N)


@pytest.fixture(scope="module")
def beton(tree: ImageTree) -> str:
    return write(tree)


@pytest.fixture(scope="module")
def paged_beton(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Several pages of several samples."""
    tree = write_tree(tmp_path_factory.mktemp("ffcv") / "paged", 900)
    return write(tree, write_mode="raw", page_size=1 << 21)


def make_sampler(**options: Any) -> ds.Sampler:
    return ds.Sampler(N, batch_size=BATCH, seed=5, **options)


def failing(batch: int) -> dict[str, Any]:
    return {"label": [IntDecoder(), ToTensor(), Failing(batch)]}


def indices(batches: Any) -> list[int]:
    ids: list[int] = []
    for fields in batches:
        np.testing.assert_array_equal(read_ids(fields[0].numpy()), fields[-1].numpy())
        ids += fields[-1].tolist()
    return ids


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": OrderOption.RANDOM, "seed": 3},
        {"order": OrderOption.QUASI_RANDOM, "seed": 3, "os_cache": False},
        {"order": OrderOption.RANDOM, "seed": 3, "drop_last": False, "indices": list(range(20))},
        {"drop_last": False, "pipelines": {"label": None}},
    ],
    ids=["defaults", "random", "quasi-random", "subset", "one field"],
)
def test_without_sampler_or_policy_it_is_ffcvs_loader(beton: str, options: dict[str, Any]) -> None:
    stock = ffcv.loader.Loader(beton, BATCH, num_workers=2, **options)
    ours = Loader(beton, BATCH, num_workers=2, **options)
    assert isinstance(ours, ffcv.loader.Loader)
    for _ in range(2):
        assert len(ours) == len(stock)
        theirs = [[field.clone() for field in fields] for fields in stock]
        mine = [[field.clone() for field in fields] for fields in ours]
        assert len(mine) == len(theirs) == len(ours)
        for a, b in zip(mine, theirs, strict=True):
            assert len(a) == len(b)
            for x, y in zip(a, b, strict=True):
                torch.testing.assert_close(x, y, rtol=0, atol=0)


def test_what_needs_a_sampler_says_so(beton: str) -> None:
    loader = Loader(beton, BATCH, num_workers=1)
    for call in (loader.hidden, loader.state_dict, lambda: loader.load_state_dict({})):
        with pytest.raises(TypeError, match="needs a loader made with sampler= or policy="):
            call()
    with pytest.raises(TypeError, match="extras are rows by index"):
        Loader(beton, BATCH, extras={"weight": np.ones(N)})


def test_with_a_policy_ffcvs_own_arguments_make_the_sampler(beton: str) -> None:
    loader = Loader(
        beton,
        BATCH,
        num_workers=2,
        policy=HideLast20(),
        order=OrderOption.RANDOM,
        seed=9,
        indices=range(1, N),
    )
    expected = ds.Sampler(N, HideLast20(), BATCH, seed=9, drop_last=True, subset=np.arange(1, N))
    assert loader.sampler.plan.digest == expected.plan.digest
    assert len(loader) == len(expected) == 33 // BATCH
    assert indices(loader) == expected.plan.order[: 33 // BATCH * BATCH].tolist()
    assert set(indices(loader.hidden(batch_size=50))) == set(expected.plan.hidden)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 4}, "batch_size is 4 and the sampler's is 8"),
        ({"drop_last": True}, "drop_last is True and the sampler's is False"),
        ({"seed": 1}, "seed is 1 and the sampler's is 5"),
        ({"indices": [1, 2]}, "indices differ from the sampler's"),
        ({"order": OrderOption.SEQUENTIAL}, "order asks for sequential, the sampler has random"),
        ({"order": OrderOption.QUASI_RANDOM}, r"Sampler\(order=dynsample.ffcv.page_local"),
        ({"sampler": ds.Sampler(9, batch_size=8)}, "has 53 samples, the sampler was made for 9"),
        ({"extras": {"weight": np.ones(9)}}, r"extras\['weight'\] must have a row for each of"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_argument_that_differs_from_the_sampler_is_refused(
    beton: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Loader(**{"fname": beton, "batch_size": 8, "sampler": make_sampler(), **options})


def test_arguments_that_agree_with_the_sampler_are_accepted(beton: str) -> None:
    sampler = make_sampler(subset=[4, 2], drop_last=False)
    options = {"seed": 5, "indices": [2, 4], "drop_last": False, "distributed": False}
    loader = Loader(beton, 8, 1, order=OrderOption.RANDOM, sampler=sampler, **options)
    assert sorted(indices(loader)) == [2, 4]
    with pytest.raises(TypeError, match="give sampler or policy, not both"):
        Loader(beton, 8, sampler=sampler, policy=ds.Uniform())
    with pytest.raises(TypeError, match=r"sampler must be a dynsample\.Sampler, got list"):
        Loader(beton, 8, sampler=[1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="filter makes another loader"):
        loader.filter("label", bool)


def test_quasi_random_order_is_part_of_the_plan_and_keeps_pages_together(paged_beton: str) -> None:
    loader = Loader(
        paged_beton,
        1,
        num_workers=2,
        os_cache=False,
        policy=ds.Uniform(),
        order=OrderOption.QUASI_RANDOM,
        drop_last=False,
    )
    page_of = page_local(paged_beton, 1).page_of
    ids = indices(loader)
    assert sorted(ids) == list(range(900))
    for page in loader.memory_manager.page_to_samples:
        samples = sorted(loader.memory_manager.page_to_samples[page])
        assert len(samples) > 1
        assert len(set(page_of[samples])) == 1  # numbered our way
    pages = page_of[ids]
    assert len(np.unique(pages)) > 4
    span = [np.ptp(np.flatnonzero(pages == page)) for page in np.unique(pages)]
    assert max(span) < 2 * np.bincount(page_of).max()  # read within a window of two pages
    assert np.count_nonzero(np.diff(pages)) > len(ids) // 4  # and mixed inside it


def ffcv_threads() -> list[threading.Thread]:
    return [
        t for t in threading.enumerate() if type(t).__module__.startswith(("ffcv", "dynsample"))
    ]


@pytest.mark.parametrize("os_cache", [True, False], ids=["mapped", "paged"])
@pytest.mark.parametrize("planned", [True, False], ids=["planned", "plain"])
def test_leaving_an_iterator_ends_its_threads(beton: str, os_cache: bool, planned: bool) -> None:
    sampler = make_sampler() if planned else None
    loader = Loader(beton, BATCH, num_workers=2, os_cache=os_cache, sampler=sampler)
    for _ in loader:
        break
    assert ffcv_threads() == []
    batches = iter(loader)
    next(batches)
    assert ffcv_threads() != []
    del batches
    assert ffcv_threads() == []


def test_a_loop_draws_no_more_than_ffcv_makes_ahead(beton: str) -> None:
    sampler = ds.Sampler(N, batch_size=2)
    loader = Loader(beton, 2, num_workers=2, batches_ahead=3, sampler=sampler)
    batches = iter(loader)
    for step in range(1, 4):
        next(batches)
        issued = sampler.run.current.ledger.issued[0].rows
        assert issued.tolist() == sampler.plan.order[: 2 * (step + 3 + 2)].tolist()


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "plain"])
def test_a_failing_pipeline_raises_in_the_loop_and_the_loader_stays_usable(
    beton: str, planned: bool
) -> None:
    sampler = make_sampler() if planned else None
    loader = Loader(beton, BATCH, num_workers=2, sampler=sampler, pipelines=failing(3))
    batches = iter(loader)
    taken = [next(batches)[0].clone() for _ in range(2)]
    with pytest.raises(ArithmeticError, match="the transform failed"):
        next(batches)
    with pytest.raises(StopIteration):
        next(batches)
    assert ffcv_threads() == []
    rest = [fields[0].clone() for fields in loader]
    if sampler is not None:
        ids = read_ids(torch.cat([*taken, *rest]).numpy())
        np.testing.assert_array_equal(ids, sampler.plan.order)
    else:
        assert len(rest) == len(loader)


def test_a_paged_file_that_is_gone_is_named_and_the_loader_stays_usable(
    beton: str, tmp_path: Path
) -> None:
    path = tmp_path / "moved.beton"
    shutil.copy(beton, path)
    sampler = make_sampler()
    loader = Loader(str(path), BATCH, num_workers=2, os_cache=False, sampler=sampler)
    path.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError, match=r"moved\.beton"):
        next(iter(loader))
    (tmp_path / "away").rename(path)
    assert indices(loader) == sampler.plan.order.tolist()


@pytest.mark.parametrize("planned", [True, False], ids=["planned", "plain"])
def test_next_after_the_end_stops_again(beton: str, planned: bool) -> None:
    sampler = make_sampler() if planned else None
    batches = iter(Loader(beton, BATCH, num_workers=2, sampler=sampler))
    assert len(list(batches)) >= N // BATCH
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(batches)


def test_two_iterators_live_at_once(beton: str) -> None:
    sampler = make_sampler(policy=HideLast20())
    loader = Loader(beton, BATCH, num_workers=2, sampler=sampler)
    other = Loader(beton, BATCH, num_workers=2, sampler=make_sampler(), drop_last=False)
    ids: tuple[list[int], ...] = ([], [], [])
    passes: tuple[Iterator[Any], ...] = (iter(loader), loader.hidden(), iter(other))
    for batches, received in [*zip(passes, ids, strict=True)] * 7:
        received += indices([fields] if (fields := next(batches, None)) else [])
    assert ids[0] == sampler.plan.order.tolist()
    assert sorted(ids[1]) == sampler.plan.hidden.tolist()
    assert ids[2] == make_sampler().plan.order.tolist()


def test_of_two_iterators_of_one_pass_the_older_is_refused(beton: str) -> None:
    loader = Loader(beton, BATCH, num_workers=2, sampler=make_sampler())
    older = iter(loader)
    next(older)
    newer = iter(loader)
    next(newer)
    with pytest.raises(RuntimeError, match="another iterator went on with the same pass"):
        next(older)


WORKQUEUE = """
import sys
import numba, dynsample as ds
from dynsample.ffcv import Loader
assert numba.threading_layer() == "workqueue"
def open_loader():
    return iter(Loader(sys.argv[1], 8, num_workers=2, sampler=ds.Sampler(53, batch_size=8)))
first, second = open_loader(), open_loader()
next(first)
try:
    next(second)
except RuntimeError as error:
    assert "pip install tbb" in str(error), error
    print(1 + len(list(first)), "batches of the first, then", len(list(open_loader())))
"""


@pytest.mark.whole
def test_where_numba_would_abort_the_process_an_error_says_what_to_install(beton: str) -> None:
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue"}
    command = [sys.executable, "-c", WORKQUEUE, beton]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == "7 batches of the first, then 7\n", run.stderr


def test_a_process_that_exits_in_mid_epoch_exits_cleanly(beton: str) -> None:
    code = (
        "import sys, dynsample as ds; from dynsample.ffcv import Loader\n"
        "loader = Loader(sys.argv[1], 2, num_workers=2, sampler=ds.Sampler(53, batch_size=2))\n"
        "batches = iter(loader); next(batches)"
    )
    command = [sys.executable, "-c", code, beton]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_extras_are_the_rows_of_the_batch_and_follow_changes(beton: str) -> None:
    weight, soft = np.arange(N, dtype=np.float32), torch.rand(N, 3)
    loader = Loader(
        beton,
        BATCH,
        num_workers=2,
        policy=HideLast20(),
        extras={"weight": weight, "soft_label": soft},
    )
    for batches in (loader, loader.hidden()):
        for _, _, weights, labels, index in batches:
            torch.testing.assert_close(weights, index.float())
            torch.testing.assert_close(labels, soft[index])
    loader.extras["weight"] += 1
    for _, _, weights, _, index in loader:
        torch.testing.assert_close(weights, index + 1.0)


def test_the_index_is_the_users_to_keep_and_to_change(beton: str) -> None:
    sampler = make_sampler()
    kept = []
    for *_, index in Loader(beton, BATCH, num_workers=2, sampler=sampler, batches_ahead=1):
        assert index.dtype == torch.int64
        kept.append(index)
    np.testing.assert_array_equal(torch.cat(kept).numpy(), sampler.plan.order)
    kept[0] += 1000
    assert sampler.plan.slice(0, BATCH).max() < N


def test_a_batch_of_one_keeps_its_batch_dimension(beton: str) -> None:
    sampler = ds.Sampler(N, batch_size=4)  # 53 = 13 * 4 + 1
    squeezed = {"label": [IntDecoder(), ToTensor(), Squeeze()]}
    loader = Loader(beton, 4, num_workers=2, sampler=sampler, pipelines=squeezed)
    *_, (images, labels, index) = [tuple(map(torch.clone, fields)) for fields in loader]
    assert (len(images), labels.shape, index.shape) == (1, (1,), (1,))


def test_hidden_samples_that_were_prefetched_and_not_received_are_due(beton: str) -> None:
    sampler = make_sampler(policy=HideLast20())
    loader = Loader(beton, BATCH, num_workers=2, sampler=sampler)
    for _, _, index in loader:
        sampler.observe(index)
    for _, _, index in loader.hidden():
        sampler.observe(index)
        break
    with pytest.warns(RuntimeWarning, match="epoch 0: 12 of 20 hidden samples were due"):
        sampler.set_epoch(1)


def test_the_hidden_pass_compiles_nothing(beton: str) -> None:
    loader = Loader(beton, BATCH, num_workers=2, policy=HideLast20())
    indices(loader)
    with event.install_recorder("numba:compile") as recorder:
        assert len(indices(loader.hidden(batch_size=16))) == 20
        indices(loader)
    assert not recorder.buffer
