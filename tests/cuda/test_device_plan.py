"""Plans of equal selections have equal summaries, wherever they are worked out and held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dynsample as ds
from dynsample import groups
from dynsample.kernels.cuda import Device
from dynsample.plan.cuda import build_device_plan
from dynsample.plan.dealing import row_bounds
from dynsample.plan.orders import as_order
from dynsample.plan.plan import Plan
from dynsample.plan.sharded import build_sharded_plan

# The fixture is the same for all examples: it has no state.
same_device = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
SEED, EPOCH = 3, 4


@st.composite
def selections(draw: st.DrawFn) -> ds.Selection:
    n = draw(st.integers(0, 300))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    given: dict[str, Any] = {"lr_scale": draw(st.sampled_from([1.0, 1.25]))}
    kind = draw(st.sampled_from(["all", "hidden", "drawn"]))
    if kind == "hidden":
        given["hidden"] = random.random(n) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    elif kind == "drawn":
        given["counts"] = random.poisson(0.8, n).astype(np.uint32)
    return ds.Selection(**given)


def rows_of(selection: ds.Selection) -> int:
    arrays = [array for array in (selection.hidden, selection.counts) if array is not None]
    return len(arrays[0]) if arrays else 137


def part_of(selection: ds.Selection, first: int, last: int) -> ds.Selection:
    parts = {
        name: None if (array := getattr(selection, name)) is None else array[first:last]
        for name in ("hidden", "counts")
    }
    return ds.Selection(**parts, lr_scale=selection.lr_scale)


def on_device(selection: ds.Selection, device: Device) -> Plan:
    there = {
        name: None if (array := getattr(selection, name)) is None else device.put(array)
        for name in ("hidden", "counts")
    }
    moved = ds.Selection(**there, lr_scale=selection.lr_scale)
    return build_device_plan(moved, rows_of(selection), device, seed=SEED, epoch=EPOCH)


def over_ranks(selection: ds.Selection, size: int) -> list[dict[str, float]]:
    n = rows_of(selection)

    def body(group: groups.Group) -> dict[str, float]:
        first, last = (int(bound) for bound in row_bounds(n, size)[group.rank : group.rank + 2])
        part = part_of(selection, first, last)
        random, order = ds.EpochRandom(SEED, EPOCH), as_order("random")
        plan = build_sharded_plan(
            part, (first, last), group, random=random, order=order, index=None
        )
        return plan.summary()

    return groups.simulate(size, body)


@same_device
@given(selections(), st.sampled_from([1, 2, 3]))
def test_equal_selections_have_equal_summaries(
    device: Device, selection: ds.Selection, size: int
) -> None:
    plan = ds.build_plan(selection, rows_of(selection), seed=SEED, epoch=EPOCH)
    summary = plan.summary()
    assert summary["sum of rows"] == int(plan.order.sum()) % 2**32
    assert on_device(selection, device).summary() == summary
    assert over_ranks(selection, size) == [summary] * size


def test_rows_beyond_half_of_the_numbers_of_32_bits_count_the_same(device: Device) -> None:
    rows = np.array([1, 2**31, 2**31 + 5, 2**32 - 2], np.uint32)
    plans = [
        ds.build_plan(ds.Selection(), len(rows), seed=SEED, epoch=EPOCH),
        build_device_plan(ds.Selection(), len(rows), device, seed=SEED, epoch=EPOCH),
    ]
    for plan, members in zip(plans, (rows, device.put(rows)), strict=True):
        object.__setattr__(plan, "members", members)
        assert plan.row_sum == int(rows.sum(dtype=np.int64)) % 2**32


def test_ranks_on_a_device_and_on_the_cpu_agree_on_the_plan(device: Device) -> None:
    def body(group: groups.Group) -> str:
        where = device if group.rank else "cpu"
        sampler = ds.Sampler(1001, ds.RandomSubset(0.3), 16, seed=1, group=group, device=where)
        sampler.set_epoch(0)
        return sampler.plan.digest

    first, second = groups.simulate(2, body)
    assert first == second


def test_ranks_that_selected_other_rows_are_told(device: Device) -> None:
    class Apart(ds.Policy):
        def __init__(self, hidden: list[int]) -> None:
            self.hidden = hidden

        def fingerprint(self, epoch: int) -> dict[str, Any]:
            return {"class": "Apart"}

        def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
            mask = np.zeros(table.num_samples, bool)
            mask[self.hidden] = True
            return ds.Selection(hidden=mask if not table.arrays.on_device else device.put(mask))

    def body(group: groups.Group) -> None:
        where = device if group.rank else "cpu"
        sampler = ds.Sampler(100, Apart([3 + group.rank]), 16, seed=1, group=group, device=where)
        sampler.set_epoch(0)

    with pytest.raises(Exception, match="sum of rows: rank 0 has 4947, rank 1 has 4946"):
        groups.simulate(2, body)
