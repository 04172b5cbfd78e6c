"""What a plan's digest covers, and what a plan refuses."""

import numpy as np
import pytest

import dynsample as ds


def test_the_digest_changes_with_every_part_of_a_plan() -> None:
    n = 50
    base = ds.Selection(weights=np.ones(n, np.float32))
    heavier = np.ones(n, np.float32)
    heavier[13] = np.nextafter(np.float32(1), np.float32(2))
    hidden = np.zeros(n, bool)
    hidden[9] = True
    plans = [
        ds.build_plan(base, n, seed=1, epoch=0),
        ds.build_plan(base, n, seed=2, epoch=0),
        ds.build_plan(base, n, seed=1, epoch=1),
        ds.build_plan(ds.Selection(weights=heavier), n, seed=1, epoch=0),
        ds.build_plan(ds.Selection(hidden=hidden), n, seed=1, epoch=0),
        ds.build_plan(base, n, seed=1, epoch=0, order="sequential"),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)
    swapped = np.arange(n)
    swapped[[3, 4]] = swapped[[4, 3]]
    one_id = np.arange(n)
    one_id[-1] = n
    digests = {
        ds.build_plan(base, n, seed=1, epoch=0, order="sequential", index=ids).digest
        for ids in (np.arange(n), swapped, one_id)
    }
    assert len(digests) == 3
    assert ds.build_plan(base, n, seed=1, epoch=0).digest == plans[0].digest


def test_a_plan_without_weights_has_the_digest_of_weights_of_one() -> None:
    ones = ds.Selection(weights=np.ones(9, np.float32))
    plans = [ds.build_plan(s, 9, seed=1, epoch=0) for s in (ones, ds.Selection())]
    assert plans[0].digest == plans[1].digest


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (ds.Selection(hidden=np.zeros(3, bool)), r"selection\.hidden must have shape \(4,\), got"),
        (ds.Selection(weights=np.ones(5, np.float32)), r"selection\.weights must have shape"),
        (
            ds.Selection(hidden=np.zeros(4, bool), counts=np.ones(4, np.uint32)),
            "counts or hidden, not both",
        ),
    ],
)
def test_a_selection_that_does_not_fit_is_refused(selection: ds.Selection, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ds.build_plan(selection, 4, seed=0, epoch=0)


def test_slices_are_the_order_and_out_of_range_ones_an_error() -> None:
    plan = ds.build_plan(ds.Selection(), 100, seed=0, epoch=0)
    parts = [plan.slice(start, start + 20) for start in range(0, 100, 20)]
    np.testing.assert_array_equal(np.concatenate(parts), plan.order)
    with pytest.raises(ValueError, match=r"must be in \[0, 100\], got 90 and 101"):
        plan.slice(90, 101)
