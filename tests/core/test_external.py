"""A plan that others hand out: the cursor is the set of what was observed, on whatever ranks."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dynsample as ds
from dynsample.groups import Group, simulate
from dynsample.reference.epoch import ExternalEpoch
from dynsample.reference.fold import fold, of_every_kind
from dynsample.run import handout

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed",
    "ignore:.*hidden samples were due",
    "ignore:.*observations .* were dropped",
)

SIGNAL = "loss"
COLUMNS = of_every_kind(SIGNAL, 2)


class Fixed(ds.Policy):
    """Selects what it was told, and keeps every kind of column."""

    columns = COLUMNS

    def __init__(self, selection: ds.Selection) -> None:
        self.selection = selection

    def fingerprint(self, epoch: int) -> dict[str, object]:
        return {"name": "fixed"}

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return self.selection


@st.composite
def selections(draw: st.DrawFn) -> ds.Selection:
    """Draw what an epoch holds: once each, some left out, or some several times."""
    size = draw(st.integers(1, 12))
    kind = draw(st.sampled_from(["all", "hidden", "refreshed", "counts"]))
    if kind == "all":
        return ds.Selection(hidden=np.zeros(size, bool))
    if kind == "counts":
        return ds.Selection(counts=draw(st.lists(st.integers(0, 3), min_size=size, max_size=size)))
    hidden = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    return ds.Selection(hidden=hidden, refresh=kind == "refreshed")


def whole_order(sampler: ds.Sampler) -> list[int]:
    plan = sampler.plan
    hidden = plan.slice(0, plan.num_hidden if plan.refresh else 0, hidden=True)
    return [*plan.order.tolist(), *hidden.tolist()]


def left_of(sampler: ds.Sampler) -> list[int]:
    """What the next iterators give."""
    return [
        one
        for hidden in (False, True)
        for one in handout.iterate(sampler.run, hidden=hidden, start=0)
    ]


def expected_table(size: int, model: ExternalEpoch) -> dict[str, np.ndarray]:
    parts = {name: column.allocate(size) for name, column in COLUMNS.items()}
    seen = np.zeros(size, np.bool_)
    tickets = np.array(sorted(model.taken), np.int64)
    ids = np.array([model.order[ticket] for ticket in tickets], np.int64)
    values = np.array([model.taken[ticket] for ticket in tickets], np.float32)
    fold(ids, {SIGNAL: values}, COLUMNS, parts, seen, epoch=0, tickets=tickets)
    flat = {f"{name}/{part}": a for name, arrays in parts.items() for part, a in arrays.items()}
    return {**flat, "seen": seen}


# A life on some ranks: batches of ids on some rank each, and whether it ends by a kill or a save.
Life = tuple[int, list[tuple[int, list[int]]], bool]


@st.composite
def lives(draw: st.DrawFn, order: list[int]) -> list[Life]:
    batches = st.lists(st.sampled_from(order), min_size=1, max_size=5)
    found = []
    for _ in range(draw(st.integers(1, 4))):
        ranks = draw(st.integers(1, 4))
        calls = st.tuples(st.integers(0, ranks - 1), batches)
        found.append((ranks, draw(st.lists(calls, max_size=8)), draw(st.booleans())))
    return found


@given(selection=selections(), data=st.data(), seed=st.integers(0, 3))
def test_an_epoch_is_that_of_the_reference_through_kills_and_loads(
    selection: ds.Selection, data: st.DataObject, seed: int
) -> None:
    size = len(selection.hidden if selection.counts is None else selection.counts)
    new = partial(ds.Sampler, size, Fixed(selection), seed=seed)
    order, digest = whole_order(new()), new().plan.digest
    if not order:
        return
    given_lives = data.draw(lives(order))
    model = ExternalEpoch(order)
    value = iter(np.arange(1, 10_000) / 8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        for number, (ranks, calls, killed) in enumerate(given_lives):
            last = number + 1 == len(given_lives)
            now = model.settled()
            observed = [(rank, ids, [next(value) for _ in ids]) for rank, ids in calls]
            for rank, ids, values in observed:
                now.observe(rank, ids, values)
            after = now.settled()

            def live(
                group: Group,
                observed: list[tuple[int, list[int], list[float]]] = observed,
                model: ExternalEpoch = model,
                after: ExternalEpoch = after,
                killed: bool = killed,
                last: bool = last,
            ) -> None:
                sampler = new(issue="external", group=group)
                if path.exists():
                    sampler.load(path)
                assert sampler.plan.digest == digest
                assert left_of(sampler) == model.left()
                for rank, ids, values in observed:
                    if rank == group.rank:
                        sampler.observe(np.array(ids), loss=np.array(values, np.float32))
                handed = {place for place in range(len(order)) if place not in model.taken}
                still = [order[place] for place in sorted(handed - set(after.taken))]
                assert sampler.outstanding.tolist() == still
                sampler.set_epoch(0)  # again, in the middle of it
                sampler.set_epoch(0)
                assert left_of(sampler) == after.left()
                if last:
                    sampler.set_epoch(1)
                    assert sampler.stats["surplus"] == after.surplus
                    state = sampler.table.state()
                    for name, expected in expected_table(size, after).items():
                        np.testing.assert_array_equal(state[name], expected, err_msg=name)
                elif not killed:
                    sampler.save(path)

            simulate(ranks, live)
            if not killed:
                model = after
