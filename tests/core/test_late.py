"""Plans that stay open: late observations, as the reference says, through kills and loads."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_external import SIGNAL, selections, whole_order

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.reference.fold import of_every_kind
from dynsample.reference.late import LateRun
from dynsample.run import handout

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed",
    "ignore:.*hidden samples were due",
    "ignore:.*are open no more",
    "ignore:.*epochs are planned from all",
)

COLUMNS = {**of_every_kind(SIGNAL, 2), "early": ds.Mean(signal=SIGNAL, until=2)}


class Given(ds.Policy):
    """Selects what it was told for each epoch, and keeps every kind of column."""

    columns = COLUMNS

    def __init__(self, selections: list[ds.Selection]) -> None:
        self.selections = selections

    def fingerprint(self, epoch: int) -> dict[str, object]:
        return {"name": "given"}

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return self.selections[epoch % len(self.selections)]


Step = Callable[[ds.Sampler, Group], None]


@dataclass
class Life:
    """Steps of all ranks, with what must be true after each of them."""

    ranks: int
    late: int
    steps: list[Step] = field(default_factory=list)
    refused: int | None = None  # the least `late` that a load asks for


class Writer:
    """Draws what happens, lets the model do it, and writes it down for the samplers."""

    def __init__(self, draw: Callable[[st.SearchStrategy], object], given: list[ds.Selection]):
        self.draw = draw
        size = len(given[0].hidden if given[0].counts is None else given[0].counts)
        self.new = partial(ds.Sampler, size, Given(given))
        self.plans = self.new()
        late = draw(st.integers(0, 3))
        self.model = LateRun(size, COLUMNS, SIGNAL, late)
        self.lives = [Life(draw(st.integers(1, 4)), late)]
        self.value = iter(np.arange(1, 10_000) / 8)

    @property
    def life(self) -> Life:
        return self.lives[-1]

    def passes(self, number: int) -> tuple[list[int], list[int]]:
        self.plans.set_epoch(number, restart=True)
        order = whole_order(self.plans)
        kept = self.plans.plan.num_positions
        return order[:kept], order[kept:]

    def set_epoch(self, number: int, restart: bool = False) -> None:
        if self.model.plans and restart:
            self.model.drop()
        elif self.model.plans:
            self.model.fold()
        self.model.begin(number, *self.passes(number))
        stats = dict(self.model.stats) if self.model.late else {}
        table, order = copy.deepcopy(self.model.state()), self.orders()

        def step(sampler: ds.Sampler, group: Group) -> None:
            sampler.set_epoch(number, restart=restart)
            assert {name: sampler.stats[name] for name in stats if name in sampler.stats} == stats
            for name, expected in table.items():
                found = sampler.table.state()[name]
                np.testing.assert_array_equal(found, expected, err_msg=name)
            assert orders_of(sampler) == order

        self.life.steps.append(step)

    def orders(self) -> list[list[int]]:
        return [self.model.order(hidden) for hidden in (False, True)]

    def again(self) -> None:
        self.model.again()
        number, order = self.model.current.number, self.orders()

        def step(sampler: ds.Sampler, group: Group) -> None:
            sampler.set_epoch(number)
            assert orders_of(sampler) == order

        self.life.steps.append(step)

    def hand(self) -> None:
        hidden = self.draw(st.booleans())
        if hidden in self.model.current.iterated:
            return  # the same order may be begun once
        counts = [self.draw(st.integers(0, 20)) for _ in range(self.life.ranks)]
        ids = [self.model.hand(hidden, count) for count in counts]

        def step(sampler: ds.Sampler, group: Group) -> None:
            order = handout.iterate(sampler.run, hidden=hidden, start=0)
            assert list(islice(order, counts[group.rank])) == ids[group.rank]

        self.life.steps.append(step)

    def observe(self) -> None:
        by_plan = {plan.number: sorted(plan.ids) for plan in self.model.plans}
        named = self.draw(st.sampled_from([None, *by_plan]))
        ids = sorted({one for each in by_plan.values() for one in each})
        ids = ids if named is None else by_plan[named]
        if not ids:
            return
        rank = self.draw(st.integers(0, self.life.ranks - 1))
        batch = self.draw(st.lists(st.sampled_from(ids), min_size=1, max_size=6))
        values = [next(self.value) for _ in batch]
        for one, value in zip(batch, values, strict=True):
            self.model.observe(rank, one, named, value)
        outstanding = self.model.outstanding()

        def step(sampler: ds.Sampler, group: Group) -> None:
            if rank == group.rank:
                loss = np.array(values, np.float32)
                sampler.observe(np.array(batch), epoch=named, loss=loss)
            assert sampler.outstanding.tolist() == outstanding

        self.life.steps.append(step)

    def reload(self, path: Path) -> None:
        self.life.steps.append(lambda sampler, group: sampler.save(path))
        late = self.draw(st.integers(0, 3))
        before = self.life.late
        least = self.model.go_on(late)
        if least > late:
            self.lives.append(Life(1, late, refused=least))
            late = self.model.late = before
        self.lives.append(Life(self.draw(st.integers(1, 4)), late))
        orders, outstanding = self.orders(), self.model.outstanding()

        def step(sampler: ds.Sampler, group: Group) -> None:
            sampler.load(path)
            assert orders_of(sampler) == orders
            assert sampler.outstanding.tolist() == outstanding

        self.life.steps.append(step)


def orders_of(sampler: ds.Sampler) -> list[list[int]]:
    """What the next iterators would give."""
    run = sampler.run
    found = []
    for hidden in (False, True):
        places = np.asarray(handout.order_of(run, run.current, hidden=hidden), np.int64)
        found.append(handout.ids_at(run.current, places, hidden=hidden))
    return found


@st.composite
def several(draw: st.DrawFn) -> list[ds.Selection]:
    """Draw what some epochs hold, of one data set."""
    first = draw(selections())
    size = len(first.hidden if first.counts is None else first.counts)
    counts = st.lists(st.integers(0, 2), min_size=size, max_size=size)
    hidden = st.lists(st.booleans(), min_size=size, max_size=size)
    others = draw(st.lists(st.tuples(st.sampled_from("chr"), counts, hidden), max_size=3))
    made = {
        "c": lambda counts, _: ds.Selection(counts=counts),
        "h": lambda _, hidden: ds.Selection(hidden=np.array(hidden)),
        "r": lambda _, hidden: ds.Selection(hidden=np.array(hidden), refresh=True),
    }
    return [first, *(made[kind](*lists) for kind, *lists in others)]


@settings(max_examples=100, deadline=None)
@given(given_selections=several(), data=st.data())
def test_late_observations_are_those_of_the_reference(
    given_selections: list[ds.Selection], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(data.draw, given_selections)
        writer.set_epoch(0)
        for number in range(data.draw(st.integers(1, 14))):
            what = data.draw(
                st.sampled_from(["hand", "observe", "observe", "next", "next", "again", "load",
                                 "restart"])
            )  # fmt: skip
            epoch = writer.model.current.number
            if what == "next":
                writer.set_epoch(epoch + data.draw(st.integers(1, 2)))
            elif what == "restart":
                writer.set_epoch(epoch + data.draw(st.integers(0, 1)), restart=True)
            elif what == "load":
                writer.reload(Path(folder) / f"state-{number}")
            else:
                getattr(writer, what)()
        writer.set_epoch(writer.model.current.number + 1)
        for life in writer.lives:
            live(writer, life, Path(folder))


def live(writer: Writer, life: Life, folder: Path) -> None:
    new = partial(writer.new, issue="external", late=life.late)
    if life.refused is not None:
        newest = max(folder.iterdir(), key=lambda path: int(path.name.split("-")[1]))
        with pytest.raises(StateError, match=f"late={life.refused} or more"):
            new().load(newest)
        return

    def rank(group: Group) -> None:
        sampler = new(group=group)
        for step in life.steps:
            step(sampler, group)

    simulate(life.ranks, rank)
