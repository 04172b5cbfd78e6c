"""A plan that others hand out: the cursor is the set of what was observed, on whatever ranks."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynsample as ds
from dynsample.disk.checkpoint import StateError
from dynsample.groups import Group, simulate
from dynsample.reference.epoch import ExternalEpoch
from dynsample.reference.fold import fold, of_every_kind
from dynsample.run import handout, planning
from dynsample.run.boundary import ObservationError

pytestmark = pytest.mark.filterwarnings(
    "ignore:nothing was observed", "ignore:.*hidden samples were due"
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


def ids_of(sampler: ds.Sampler, hidden: bool = False) -> Iterator[int]:
    return handout.iterate(sampler.run, hidden=hidden, start=0)


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


@settings(max_examples=60, deadline=None)
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


# Small things, one by one


N = 40


def make(policy: ds.Policy | None = None, **options: object) -> ds.Sampler:
    given = {"seed": 3, "issue": "external", **options}
    return ds.Sampler(N, policy or ds.Kakurenbo(fraction=0.5, tau=0.0), **given)  # type: ignore[arg-type]


def observe(sampler: ds.Sampler, ids: list[int] | np.ndarray, loss: float | None = None) -> None:
    index = np.asarray(ids, np.int64)
    ones = np.ones(len(index), np.float32)
    losses = (index * 7 % 11).astype(np.float32) if loss is None else ones * loss
    sampler.observe(index, loss=losses, correct=ones, confidence=ones)


def test_the_plans_are_those_of_the_own_hand_out_at_any_number_of_ranks() -> None:
    def own() -> list[str]:
        sampler, digests = make(issue="sampler", batch_size=8), []
        for epoch in range(4):
            sampler.set_epoch(epoch)
            digests.append(sampler.plan.digest)
            for batches in (sampler, sampler.hidden):
                for index in batches:
                    observe(sampler, index)
        return digests

    def external(group: Group) -> list[str]:
        sampler, digests = make(group=group), []
        for epoch in range(4):
            sampler.set_epoch(epoch)
            digests.append(sampler.plan.digest)
            for hidden in (False, True):
                ids = list(ids_of(sampler, hidden))
                mine = ids[group.rank :: group.size]
                if mine:
                    observe(sampler, mine[::-1])
        assert sampler.stats["surplus"] == sampler.stats["not_issued"] == 0
        return digests

    expected = own()
    for ranks in (1, 2, 3):
        assert simulate(ranks, external) == [expected] * ranks


def test_of_several_observations_the_earliest_counts_then_that_of_the_lowest_rank() -> None:
    def body(group: Group) -> tuple[list[float], float]:
        sampler = make(group=group)
        first, second, third = sampler.plan.order[:3]
        if group.rank == 0:
            observe(sampler, [second], 1.0)
            observe(sampler, [first], 2.0)
            observe(sampler, [third], 3.0)
        else:
            observe(sampler, [first], 4.0)
            observe(sampler, [second], 5.0)
            observe(sampler, [third], 6.0)
            observe(sampler, [first], 7.0)
        sampler.set_epoch(1)
        losses = sampler.table["loss"][[first, second, third]].tolist()
        return losses, sampler.stats["surplus"]

    assert simulate(2, body) == [([4.0, 1.0, 3.0], 4)] * 2


def test_an_id_that_the_plan_does_not_issue_is_an_error_that_names_it() -> None:
    sampler = make(ds.RandomSubset(fraction=0.5), columns={"loss": ds.Mean()})
    left_out = int(sampler.plan.hidden[0])
    with pytest.raises(ValueError, match=rf"\b{left_out}\b"):
        observe(sampler, [left_out])
    with pytest.raises(IndexError, match=f"{N}"):
        observe(sampler, [N])


def test_weights_are_those_of_the_ids_surplus_or_not() -> None:
    sampler = make(ds.InfoBatch(ratio=0.5, delta=1.0))
    observe(sampler, list(ids_of(sampler)))
    sampler.set_epoch(1)
    ids = np.array(list(ids_of(sampler)))
    padded = np.concatenate([ids, ids[:3]])
    weights = sampler.weights(padded)
    assert len(set(weights.tolist())) == 2
    np.testing.assert_array_equal(weights[-3:], weights[:3])
    for index in (padded[:20], padded[20:]):
        observe(sampler, index)
    sampler.set_epoch(2)
    assert sampler.stats["surplus"] == 3


def test_an_order_may_be_looked_at_and_begun_again_until_it_is_used() -> None:
    sampler = make()
    looked = [next(ids_of(sampler)) for _ in range(3)]
    assert set(looked) == {sampler.plan.order[0]}
    batches = ids_of(sampler)
    observe(sampler, [next(batches), next(batches)])
    with pytest.raises(RuntimeError, match=r"once: 2 of 40 .* 2 observ.*set_epoch\(0\) goes on"):
        ids_of(sampler)
    sampler.set_epoch(0)
    assert next(batches) == sampler.plan.order[2]  # set_epoch again leaves what runs alone
    np.testing.assert_array_equal(list(ids_of(sampler)), sampler.plan.order[2:])
    with pytest.raises(RuntimeError, match="another iterator went on"):
        next(batches)
    with pytest.raises(RuntimeError, match=r"once: 38 of 38 .* 0 observations .*set_epoch\(1\)"):
        ids_of(sampler)


def test_an_iterator_does_not_outlive_its_epoch() -> None:
    sampler = make()
    batches = ids_of(sampler)
    observe(sampler, [next(batches)])
    sampler.set_epoch(1)
    with pytest.raises(RuntimeError, match="epoch 0 was left"):
        next(batches)


class BreaksOnce(ds.Policy):
    """Fails the second time it is asked."""

    columns = {"loss": ds.Mean()}  # noqa: RUF012
    broken: list[int] = []  # noqa: RUF012

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        if epoch == 1 and not self.broken:
            self.broken.append(1)
            raise ValueError("a policy's error")
        return ds.Selection(hidden=np.arange(table.num_samples) % 4 == epoch % 4)


def test_an_epoch_that_was_folded_and_not_planned_is_handed_out_no_more(tmp_path: Path) -> None:
    BreaksOnce.broken.clear()
    sampler = make(BreaksOnce())
    observe(sampler, list(ids_of(sampler))[:7])
    with pytest.raises(ValueError, match="a policy's error"):
        sampler.set_epoch(1)
    sampler.set_epoch(0)
    with pytest.raises(RuntimeError, match="can be iterated once"):
        ids_of(sampler)
    sampler.save(tmp_path)
    resumed = make(BreaksOnce())
    resumed.load(tmp_path)
    resumed.set_epoch(0)
    assert list(ids_of(resumed)) == []
    resumed.set_epoch(1)
    assert len(list(ids_of(resumed))) == 30
    assert np.count_nonzero(resumed.table.seen) == 7


def test_restart_gives_the_whole_order_again() -> None:
    sampler = make()
    observe(sampler, list(ids_of(sampler))[:5])
    sampler.set_epoch(0, restart=True)
    assert sorted(ids_of(sampler)) == list(range(N))
    assert sampler.stats["num_positions"] == N


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"placement": "sharded"}, 'placement must be "replicated" with issue="external"'),
        ({"drop_last": True}, 'drop_last must be False with issue="external"'),
        ({"issue": "mine"}, "issue must be one of 'sampler', 'external', got 'mine'"),
    ],
)
def test_what_does_not_go_together_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_sampler_that_deals_nothing_says_what_to_iterate() -> None:
    sampler = make()
    calls = [
        iter,
        len,
        lambda s: s.peek(),
        lambda s: s.hidden,
        lambda s: s.batches(prefetching=True),
    ]
    for call in calls:
        with pytest.raises(
            ValueError, match=r'got issue="external".*dynsample\.torch\.IndexSampler'
        ):
            call(sampler)  # type: ignore[operator]
    assert sorted(np.concatenate(list(sampler.all(7))).tolist()) == list(range(N))
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        make(issue="sampler").outstanding  # noqa: B018


def test_progress_is_by_what_was_observed(tmp_path: Path) -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    assert sampler.progress == 0.0
    observe(sampler, ids[:10])
    assert sampler.progress == 0.25
    sampler.save(tmp_path)
    resumed = make()
    resumed.load(tmp_path)
    assert resumed.progress == 0.25
    observe(resumed, list(ids_of(resumed))[:10])
    assert resumed.progress == 0.5


# States


def test_a_policy_without_columns_is_asked_for_consumed(tmp_path: Path) -> None:
    def begin(group: Group) -> list[int]:
        sampler = make(ds.Uniform(), group=group)
        sampler.save(tmp_path)  # nothing was handed out
        ids = list(ids_of(sampler)) if group.rank == 0 else []  # as a loader that dispatches
        with pytest.raises((ValueError, RuntimeError), match="pass consumed="):
            sampler.save(tmp_path)
        with pytest.raises(
            (ValueError, RuntimeError), match=r"consumed must be in \[0, 40\], got 41"
        ):
            sampler.save(tmp_path, consumed=41)
        sampler.save(tmp_path, consumed=12)
        return ids

    def go_on(group: Group) -> list[list[int]]:
        sampler = make(ds.Uniform(), group=group)
        sampler.load(tmp_path)
        sampler.save(tmp_path)  # nothing was handed out since
        ids = [list(ids_of(sampler))]
        sampler.save(tmp_path, consumed=8)
        sampler.load(tmp_path)
        return [*ids, list(ids_of(sampler))]

    ids = simulate(2, begin)[0]
    for found in simulate(3, go_on):
        assert found == [ids[12:], ids[20:]]


def test_a_policy_without_columns_may_be_observed_in_place_of_consumed(tmp_path: Path) -> None:
    sampler = make(ds.Uniform())
    ids = list(ids_of(sampler))
    sampler.observe(np.array(ids[3:9]))
    sampler.save(tmp_path)
    resumed = make(ds.Uniform())
    resumed.load(tmp_path)
    assert list(ids_of(resumed)) == ids[:3] + ids[9:]


def test_consumed_is_refused_where_samples_are_observed(tmp_path: Path) -> None:
    sampler = make()
    next(ids_of(sampler))
    with pytest.raises(ValueError, match="consumed must be left out"):
        sampler.save(tmp_path, consumed=1)


def test_what_was_consumed_may_be_observed_later(tmp_path: Path) -> None:
    sampler = make(ds.Uniform())
    ids = list(ids_of(sampler))
    sampler.save(tmp_path, consumed=5)
    resumed = make(ds.Uniform())
    resumed.load(tmp_path)
    resumed.observe(np.array(ids[2:4]))
    resumed.set_epoch(1)
    assert set(np.flatnonzero(resumed.table.seen)) == set(ids[2:4])
    assert resumed.stats["surplus"] == 0


def test_a_state_of_the_own_hand_out_goes_on_externally(tmp_path: Path) -> None:
    own = make(issue="sampler", batch_size=8)
    received = [next(batches) for batches in [iter(own)] for _ in range(3)]
    for index in received[:2]:
        observe(own, index)
    own.save(tmp_path, consumed=3)
    sampler = make()
    sampler.load(tmp_path)
    np.testing.assert_array_equal(list(ids_of(sampler)), sampler.plan.order[24:])
    observe(sampler, received[2])  # which was received, and comes late
    observe(sampler, list(ids_of_again(sampler)))
    sampler.set_epoch(1)
    assert sampler.stats["surplus"] == 0
    assert sampler.table.seen.all()


def ids_of_again(sampler: ds.Sampler) -> Iterator[int]:
    sampler.set_epoch(sampler.epoch)
    return ids_of(sampler)


def test_an_external_state_goes_on_in_the_own_hand_out_between_epochs_only(tmp_path: Path) -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    observe(sampler, ids[:5])
    sampler.save(tmp_path / "middle")
    own = make(issue="sampler", batch_size=8)
    digest = own.plan.digest
    with pytest.raises(StateError, match=r'in mid-epoch with issue="external"'):
        own.load(tmp_path / "middle")
    assert (own.plan.digest, own.state_dict()["positions"]) == (digest, 0)
    observe(sampler, ids[3:])  # two of them surplus
    sampler.save(tmp_path / "end")
    own.load(tmp_path / "end")
    own.set_epoch(1)
    sampler.set_epoch(1)
    assert own.plan.digest == sampler.plan.digest
    np.testing.assert_array_equal(own.table["loss"], sampler.table["loss"])


def test_late_observations_of_the_epoch_before_are_not_issued() -> None:
    sampler = make()
    observe(sampler, list(ids_of(sampler)))
    ledger = sampler.run.current.ledger
    ledger.log.close()
    observe(sampler, [3])  # as another thread does, while the epoch ends
    sampler.run.table.fold(ledger.log, epoch=0)
    planning.start(sampler.run, sampler.plan, named=True, stats={})
    with pytest.raises(ObservationError, match="1 observations"):
        sampler.set_epoch(1)


def test_a_copy_goes_on_on_its_own() -> None:
    sampler = make()
    ids = list(ids_of(sampler))
    observe(sampler, ids[:5])
    other = copy.copy(sampler)
    observe(sampler, ids[5:9])
    other.set_epoch(0)
    assert list(ids_of(other)) == ids[5:]
