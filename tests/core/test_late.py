"""Plans that stay open: late observations, as the reference says, through kills and loads."""

from __future__ import annotations

import copy
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_external import SIGNAL, selections, whole_order

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.reference.fold import of_every_kind
from dynsample.reference.late import Issued, LateRun
from dynsample.run import handout

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed",
    "ignore:.*hidden samples were due",
    "ignore:.*are open no more",
    "ignore:.*which was loaded",
    "ignore:.*observations .* were dropped",
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


STEPS = ["hand"] * 6 + ["observe"] * 10 + ["next"] * 7 + ["again"] * 2 + ["load"] * 2 + ["restart"]
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

    def __init__(self, source: random.Random, given: list[ds.Selection]) -> None:
        self.source = source
        size = len(given[0].hidden if given[0].counts is None else given[0].counts)
        self.new = partial(ds.Sampler, size, Given(given))
        self.plans = self.new()
        late = source.choice([0, 1, 2, 3, 3])
        self.model = LateRun(size, COLUMNS, SIGNAL, late)
        self.lives = [Life(source.randint(1, 4), late)]
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
        hidden = self.source.random() < 0.3
        if hidden in self.model.current.iterated:
            return  # the same order may be begun once
        counts = [self.source.randint(0, 20) for _ in range(self.life.ranks)]
        ids = [self.model.hand(hidden, count) for count in counts]

        def step(sampler: ds.Sampler, group: Group) -> None:
            order = handout.iterate(sampler.run, hidden=hidden, start=0)
            assert list(islice(order, counts[group.rank])) == ids[group.rank]

        self.life.steps.append(step)

    def observe(self) -> None:
        plans = self.model.plans if self.model.late else [self.model.current]
        ids_of = {plan.number: self.some_of(plan) for plan in plans}
        named = self.source.choice([*ids_of, *ids_of, None])
        ids = ids_of[named] if named in ids_of else sorted(set().union(*ids_of.values()))
        if not ids:
            return
        rank = self.source.randrange(self.life.ranks)
        batch = self.source.choices(ids, k=self.source.randint(1, 4))
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

    def some_of(self, plan: Issued) -> list[int]:
        """What is observed of a plan: now and then anything that it issues."""
        handed = {plan.order[place] for place in plan.handed if place in plan.order}
        open_ones = handed if plan is self.model.current else set(plan.order.values())
        return sorted(plan.ids if self.source.random() < 0.2 else open_ones)

    def reload(self, path: Path) -> None:
        self.life.steps.append(lambda sampler, group: sampler.save(path))
        late = self.source.randint(0, 3)
        before = self.life.late
        least = self.model.go_on(late)
        if least > late:
            self.lives.append(Life(1, late, refused=least))
            late = self.model.late = before
        self.lives.append(Life(self.source.randint(1, 4), late))
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


@given(given_selections=several(), seed=st.integers(0, 2**32 - 1))
def test_late_observations_are_those_of_the_reference(
    given_selections: list[ds.Selection], seed: int
) -> None:
    source = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(source, given_selections)
        writer.set_epoch(0)
        for number in range(source.randint(6, 40)):
            what = source.choice(STEPS)
            epoch = writer.model.current.number
            if what == "next":
                writer.set_epoch(epoch + source.choice([1, 1, 1, 2]))
            elif what == "restart":
                writer.set_epoch(epoch + source.randint(0, 1), restart=True)
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
