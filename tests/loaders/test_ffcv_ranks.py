"""What FFCV's own arguments mean to a loader that follows a sampler of many ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from images import write_tree

import dynsample as ds
from dynsample import groups

pytest.importorskip("ffcv", reason="FFCV is not installed", exc_type=ImportError)

from adapters.ffcv import write
from images import read_ids

from dynsample.ffcv import Loader, OrderOption, page_local

N = 300


@pytest.fixture(scope="module")
def beton(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Several pages of several samples."""
    tree = write_tree(tmp_path_factory.mktemp("ffcv") / "paged", N)
    return write(tree, write_mode="raw", page_size=1 << 21)


def test_distributed_says_what_the_sampler_plans_for(beton: str) -> None:
    alone = ds.Sampler(N, batch_size=8)
    assert Loader(beton, 8, 1, sampler=alone, distributed=False).sampler is alone
    assert Loader(beton, 8, 1, policy=ds.Uniform(), distributed=False).sampler.group.size == 1
    assert Loader(beton, 8, 1, policy=ds.Uniform()).sampler.group.size == 1
    for planned in ({"sampler": alone}, {"policy": ds.Uniform()}):
        with pytest.raises(ValueError, match=r"distributed is True and .* plans for one process"):
            Loader(beton, 8, 1, distributed=True, drop_last=None, **planned)

    def of_two(group: groups.Group) -> None:
        sampler = ds.Sampler(N, batch_size=8, group=group)
        for distributed in (True, None):
            Loader(beton, 8, 1, sampler=sampler, distributed=distributed)
        with pytest.raises(ValueError, match=r"distributed is False and .* plans for 2 ranks"):
            Loader(beton, 8, 1, sampler=sampler, distributed=False)

    groups.simulate(2, of_two)


def test_distributed_false_is_one_process_whatever_was_launched(
    beton: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(RuntimeError, match="torchrun launched 2 processes"):
        Loader(beton, 8, 1, policy=ds.Uniform())
    assert Loader(beton, 8, 1, policy=ds.Uniform(), distributed=False).sampler.group.size == 1


def test_quasi_random_order_goes_on_with_another_number_of_ranks(
    beton: str, tmp_path: Path
) -> None:
    pages = page_local(beton, 1)
    order = ds.Sampler(N, order=pages).plan.order

    def run(group: groups.Group, stop: int) -> list[list[int]]:
        rows = 12 // group.size
        sampler = ds.Sampler(N, batch_size=rows, order=pages, group=group)
        loader = Loader(
            beton,
            rows,
            num_workers=1,
            os_cache=False,
            order=OrderOption.QUASI_RANDOM,
            sampler=sampler,
        )
        if (tmp_path / "index.json").exists():
            sampler.load(tmp_path)
        steps = []
        for images, _, index in loader:
            np.testing.assert_array_equal(read_ids(images.numpy()), index.numpy())
            steps.append(index.tolist())
            if len(steps) == stop:
                break
        sampler.save(tmp_path)
        return steps

    parts = groups.simulate(2, lambda group: run(group, 7))
    ids = [i for step in zip(*parts, strict=True) for part in step for i in part]
    ids += [i for step in run(groups.single(), N) for i in step]
    assert ids == order.tolist()
