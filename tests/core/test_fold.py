from collections import Counter
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynsample import _core
from dynsample.reference import fold as reference
from dynsample.reference.fold import of_every_kind
from dynsample.table.columns import EMA, Dual, Last, Mean, Transitions, Uncertainty
from dynsample.table.log import ObservationLog, fold, fold_specs, pack

COLUMNS = {
    "loss": Last(),
    **of_every_kind("loss", 3),
    "uncertain": Uncertainty(2, signal="confidence"),
    "dual": Dual(2, signal="confidence"),
    "forgotten": Transitions(signal="correct"),
    "early": Last(signal="confidence", until=2),
}
SIGNALS = ("loss", "correct", "confidence")
VALUES = st.one_of(
    st.floats(width=32),
    st.sampled_from([0.0, -0.0, 1.0, np.inf, -np.inf, np.nan, 1e-45, 3.4e38]),
)


def make_table(num_samples, columns=COLUMNS):
    parts = {name: column.allocate(num_samples) for name, column in columns.items()}
    return parts, np.zeros(num_samples, np.bool_)


def make_log(num_samples, index, signals):
    log = ObservationLog(num_samples, list(signals))
    log.append(
        np.asarray(index, np.int64), {k: np.asarray(v, np.float32) for k, v in signals.items()}
    )
    log.close()
    return log


def random_log(rng, num_samples, count):
    index = rng.integers(0, num_samples, count)
    signals = {
        "loss": rng.normal(size=count).astype(np.float32),
        "correct": rng.integers(0, 2, count).astype(np.float32),
        "confidence": rng.random(count, np.float32),
    }
    return index, signals


def assert_same(parts, expected):
    for name in expected:
        for part in expected[name]:
            np.testing.assert_array_equal(
                parts[name][part], expected[name][part], err_msg=f"{name}.{part}", strict=True
            )


@st.composite
def logs(draw):
    num_samples = draw(st.integers(1, 6))
    count = draw(st.integers(0, 24))
    rows = st.integers(0, num_samples - 1)
    index = np.array(draw(st.lists(rows, min_size=count, max_size=count)), np.int64)
    signals = {
        name: np.array(draw(st.lists(VALUES, min_size=count, max_size=count)), np.float32)
        for name in SIGNALS
    }
    tickets = draw(st.none() | st.lists(st.integers(-2, 9), min_size=count, max_size=count))
    return num_samples, index, signals, None if tickets is None else np.array(tickets, np.int64)


@given(logs(), st.integers(0, 3))
def test_fold_equals_the_oracle(case, epoch):
    num_samples, index, signals, tickets = case
    parts, seen = make_table(num_samples)
    expected, expected_seen = make_table(num_samples)
    args = {"epoch": epoch, "tickets": tickets}
    reference.fold(index, signals, COLUMNS, expected, expected_seen, **args)
    log = make_log(num_samples, index, signals)
    fold(log, COLUMNS, parts, seen, **args)
    assert_same(parts, expected)
    np.testing.assert_array_equal(seen, expected_seen)
    assert (len(log), log.num_folded) == (0, len(index))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("with_tickets", [False, True])
def test_partitioned_fold_equals_the_oracle(threads, with_tickets):
    rng = np.random.default_rng(0)
    num_samples, count = 150_000, 20_000
    index, signals = random_log(rng, num_samples, count)
    index[: count // 10] = rng.integers(0, 50, count // 10)
    tickets = rng.integers(-1, count, count) if with_tickets else None
    parts, seen = make_table(num_samples)
    expected, expected_seen = make_table(num_samples)
    reference.fold(index, signals, COLUMNS, expected, expected_seen, epoch=0, tickets=tickets)
    before = _core.num_threads()
    _core.set_num_threads(threads)
    try:
        log = make_log(num_samples, index, signals)
        fold(log, COLUMNS, parts, seen, epoch=0, tickets=tickets)
    finally:
        _core.set_num_threads(before)
    assert_same(parts, expected)
    np.testing.assert_array_equal(seen, expected_seen)


def test_a_log_split_over_threads_folds_alike():
    rng = np.random.default_rng(1)
    num_samples, count = 200_000, 500_000
    index, signals = random_log(rng, num_samples, count)
    tables = []
    before = _core.num_threads()
    for threads in (1, 3):
        _core.set_num_threads(threads)
        try:
            parts, seen = make_table(num_samples)
            fold(make_log(num_samples, index, signals), COLUMNS, parts, seen, epoch=0)
            tables.append(parts)
        finally:
            _core.set_num_threads(before)
    assert_same(tables[0], tables[1])


rows_in_order = st.lists(st.integers(0, 5), max_size=12)


def observed_log(observed):
    """A log of 6 rows whose first observation is not looked at."""
    log = ObservationLog(6, [])
    log.restore(np.array([0, *observed], np.uint32), {})
    return log.native


@given(rows_in_order, rows_in_order)
def test_the_nth_observation_of_a_row_is_of_its_nth_issue(issued, observed):
    wanted = reference.match(issued, observed)
    places, unknown = _core.match(np.array(issued, np.uint32), observed_log(observed), 1)
    assert places.tolist() == wanted
    assert unknown == wanted.count(-1)


@given(rows_in_order, st.data())
def test_observations_belong_to_what_was_issued_in_any_order(issued, data):
    once = list(dict.fromkeys(issued))
    for rows in issued, once:
        shuffled = data.draw(st.permutations(rows))
        some = shuffled[: data.draw(st.integers(0, len(rows)))]
        for observed in rows, some, [*some, data.draw(st.integers(0, 5))]:
            wanted = -1 not in reference.match(rows, observed)
            for unique in {False, rows is once}:
                log = observed_log(observed)
                assert _core.all_issued(np.array(rows, np.uint32), log, 1, unique) == wanted


@given(st.lists(st.integers(0, 999), min_size=1, max_size=400), st.integers(1, 60), st.data())
def test_batches_belong_to_what_was_issued_in_any_order(issued, batch_size, data):
    once = list(dict.fromkeys(issued))
    for rows in issued, once:
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        batches = data.draw(st.permutations(batches))[: data.draw(st.integers(1, len(batches)))]
        observed = [row for batch in batches for row in batch]
        twice = observed + observed[: data.draw(st.integers(0, 2))]
        for given_ in observed, twice:
            log = ObservationLog(1000, [])
            log.restore(np.array(given_, np.uint32), {})
            wanted = not Counter(given_) - Counter(rows)
            for unique in {False, rows is once}:
                found = _core.all_issued(np.array(rows, np.uint32), log.native, 0, unique)
                assert found == wanted


@pytest.mark.parametrize("batch_size", [256, 300_000])
@pytest.mark.parametrize("unique", [True, False])
def test_every_second_row_first_takes_no_time_that_grows_with_the_runs(batch_size, unique):
    issued = np.random.default_rng(0).permutation(300_000).astype(np.uint32)
    batches = [issued[i : i + batch_size] for i in range(0, len(issued), batch_size)]
    observed = np.concatenate([half for rows in batches for half in (rows[1::2], rows[::2])])
    log = ObservationLog(len(issued), [])
    log.restore(observed, {})
    assert _core.all_issued(issued, log.native, 0, unique)
    observed[-1] = observed[0]
    log.restore(observed, {})
    assert not _core.all_issued(issued, log.native, 0, unique)


def test_rows_that_the_table_does_not_have_are_refused():
    issued, log = np.array([7], np.uint32), observed_log([1])
    with pytest.raises(IndexError, match=r"rows must be in \[0, 6\), got 7"):
        _core.match(issued, log, 1)
    for unique in (False, True):
        with pytest.raises(IndexError, match=r"rows must be in \[0, 6\), got 7"):
            _core.all_issued(issued, log, 1, unique)


@settings(max_examples=50)
@given(logs(), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2))
def test_logs_folded_in_packs_are_one_log(case, pieces, shift, signals_as_bits):
    num_samples, index, signals, _ = case
    signals["correct"] = (signals["correct"] > 0).astype(np.float32)
    random = np.random.default_rng(0)
    tickets = random.permutation(len(index)) - len(index) // 4
    whole, seen = make_table(num_samples)
    parts, seen_parts = make_table(num_samples)
    fold(make_log(num_samples, index, signals), COLUMNS, whole, seen, epoch=0, tickets=tickets)
    bits = [False, signals_as_bits > 0, False]
    layout = (shift, True, list(enumerate(bits)))
    packed, specs = [], []
    for piece in np.array_split(random.permutation(len(index)), pieces):
        log = make_log(num_samples, index[piece], {k: v[piece] for k, v in signals.items()})
        packed.append(pack(log.native, layout, tickets[piece]))
        specs = fold_specs(log.signals, COLUMNS, parts, 0)
    _core.fold_packed(packed, layout, specs, seen_parts, num_samples)
    assert_same(parts, whole)
    np.testing.assert_array_equal(seen_parts, seen)


@given(logs(), st.randoms(use_true_random=False))
def test_a_shuffled_log_with_tickets_gives_the_same_table(case, random):
    num_samples, index, signals, _ = case
    order = list(range(len(index)))
    random.shuffle(order)
    straight, seen = make_table(num_samples)
    shuffled, seen_shuffled = make_table(num_samples)
    fold(make_log(num_samples, index, signals), COLUMNS, straight, seen, epoch=0)
    log = make_log(num_samples, index[order], {k: v[order] for k, v in signals.items()})
    tickets = np.array(order, np.int64)
    fold(log, COLUMNS, shuffled, seen_shuffled, epoch=0, tickets=tickets)
    assert_same(shuffled, straight)
    np.testing.assert_array_equal(seen_shuffled, seen)


@settings(max_examples=25)
@given(logs(), st.integers(0, 24))
def test_folding_in_pieces_is_folding_at_once(case, cut):
    num_samples, index, signals, _ = case
    whole, seen = make_table(num_samples)
    pieces, seen_pieces = make_table(num_samples)
    fold(make_log(num_samples, index, signals), COLUMNS, whole, seen, epoch=0)
    for piece in (slice(0, cut), slice(cut, None)):
        log = make_log(num_samples, index[piece], {k: v[piece] for k, v in signals.items()})
        fold(log, COLUMNS, pieces, seen_pieces, epoch=0)
    assert_same(pieces, whole)
    np.testing.assert_array_equal(seen_pieces, seen)


def test_tickets_below_zero_drop_their_observations():
    columns = {"loss": Last()}
    parts, seen = make_table(2, columns)
    log = make_log(2, [0, 0, 1], {"loss": [1, 2, 3]})
    tickets = np.array([0, -1, -7])
    fold(log, columns, parts, seen, epoch=0, tickets=tickets)
    np.testing.assert_array_equal(parts["loss"]["value"], np.float32([1, np.nan]))
    np.testing.assert_array_equal(seen, [True, False])


def test_a_column_takes_nothing_from_its_until_on():
    columns = {"loss": Last(until=1), "count": Mean(signal="loss")}
    parts, seen = make_table(1, columns)
    log = make_log(1, [0], {"loss": [1]})
    fold(log, columns, parts, seen, epoch=1)
    assert np.isnan(parts["loss"]["value"][0])
    assert parts["count"]["count"][0] == 1
    assert seen[0]


def test_an_ema_starts_again_after_nan():
    columns = {"loss": EMA(0.5)}
    parts, seen = make_table(1, columns)
    fold(make_log(1, [0] * 4, {"loss": [4, np.nan, 2, 4]}), columns, parts, seen, epoch=0)
    assert parts["loss"]["value"][0] == 3


def test_a_nan_that_arithmetic_makes_is_the_same_one_everywhere():
    columns = {
        "ema": EMA(0.5, signal="loss"),
        "mean": Mean(signal="loss"),
        "spread": Uncertainty(2, signal="loss"),
        "dual": Dual(2, signal="loss"),
    }
    parts, seen = make_table(2, columns)
    payload = np.uint32([0xFFC12345]).view(np.float32)[0]
    log = make_log(2, [0, 0, 0, 1, 1, 1], {"loss": [np.inf, np.inf, -np.inf, 1, 2, payload]})
    for _ in range(2):
        fold(
            log, {name: columns[name] for name in ("mean", "spread", "dual")}, parts, seen, epoch=0
        )
    fold(
        make_log(2, [0, 0, 1, 1], {"loss": [np.inf, np.inf, 1, payload]}),
        columns,
        parts,
        seen,
        epoch=0,
    )
    assert parts["ema"]["value"].view(np.uint32).tolist() == [0x7FC00000] * 2
    for name in ("mean", "spread", "dual"):
        assert parts[name]["sum"].view(np.uint64).tolist() == [0x7FF8 << 48] * 2


def test_a_fold_without_columns_still_marks_the_seen():
    parts, seen = make_table(2, {})
    fold(make_log(2, [1], {"loss": [1]}), {}, parts, seen, epoch=0)
    np.testing.assert_array_equal(seen, [False, True])


class TestRefusals:
    columns: ClassVar = {"loss": Last()}

    def fold(self, **changes):
        parts, seen = make_table(2, self.columns)
        args = {"columns": self.columns, "parts": parts, "seen": seen, "epoch": 0} | changes
        return fold(make_log(2, [0, 1], {"loss": [1, 2]}), **args)

    def test_a_signal_that_the_log_lacks(self):
        with pytest.raises(ValueError, match="column 'loss' needs signal 'other'"):
            self.fold(columns={"loss": Last(signal="other")})

    def test_parts_of_another_column(self):
        with pytest.raises(ValueError, match=r"parts lack 'value', they are \['sum', 'count'\]"):
            self.fold(parts={"loss": Mean().allocate(2)})

    def test_parts_of_another_type(self):
        with pytest.raises(TypeError, match="value must be a contiguous array of float32"):
            self.fold(parts={"loss": {"value": np.zeros(2)}})

    def test_parts_that_are_not_contiguous(self):
        with pytest.raises(TypeError, match="contiguous"):
            self.fold(parts={"loss": {"value": np.zeros(4, np.float32)[::2]}})

    def test_parts_of_another_size(self):
        with pytest.raises(ValueError, match="value must have 2 elements, got 3"):
            self.fold(parts={"loss": Last().allocate(3)})

    def test_parts_that_are_read_only(self):
        value = np.zeros(2, np.float32)
        value.flags.writeable = False
        with pytest.raises(ValueError, match="not writeable"):
            self.fold(parts={"loss": {"value": value}})

    def test_seen_of_another_size(self):
        with pytest.raises(ValueError, match="seen must have 2 elements, got 1"):
            self.fold(seen=np.zeros(1, np.bool_))

    def test_tickets_of_another_size(self):
        with pytest.raises(ValueError, match="tickets must have 2 entries, one per observation"):
            self.fold(tickets=np.zeros(3, np.int64))
        with pytest.raises(ValueError, match="tickets must have 2 entries"):
            self.fold(tickets=np.zeros(0, np.int64))

    def test_a_ticket_that_does_not_fit(self):
        with pytest.raises(ValueError, match=r"tickets must be below 2\*\*32, got 4294967296"):
            self.fold(tickets=np.array([2**32, 0]))

    @pytest.mark.parametrize(
        ("records", "starts", "wrong"),
        [
            ([0, 1, 1, 2], [0, 2], "does not have the blocks of the rows"),
            ([0, 1, 1, 2], [0, 1, 2, 2], "does not have the blocks of the rows"),
            ([0, 1, 1, 2], [1, 1, 2], "has blocks out of order"),
            ([0, 1, 1, 2], [0, 3, 2], "has blocks out of order"),
            ([0, 1, 1, 2], [0, 2**63, 2], "has blocks out of order"),
            ([0, 1, 1, 2], [0, 1, 2**63], "does not have as many records as its blocks"),
            ([0, 1, 1, 2], [0, 1, 3], "does not have as many records as its blocks"),
            ([0, 1, 1], [0, 1, 1], "does not have as many records as its blocks"),
            ([], [], "does not have the blocks of the rows"),
            ([0, 1, 2, 2], [0, 1, 2], "has a record beyond the last row"),
        ],
    )
    def test_what_came_from_another_rank(self, records, starts, wrong):
        layout, rows = (2, False, [(0, False)]), 6  # blocks of 4 rows and of 2
        parts, seen = make_table(rows, self.columns)
        specs = fold_specs(["loss"], self.columns, parts, 0)
        mine = (np.array([3, 7], np.uint32), np.array([0, 1, 1], np.uint64))
        theirs = (np.array(records, np.uint32), np.array(starts, np.uint64))
        with pytest.raises(_core.PackedError, match=f"^the log of rank 1 {wrong}$"):
            _core.fold_packed([mine, theirs], layout, specs, seen, rows)
        assert not seen.any()

    def test_bits_for_a_signal_that_is_not_0_or_1(self):
        with pytest.raises(ValueError, match="a signal is not 0 or 1"):
            pack(make_log(2, [0], {"loss": [2]}).native, (12, False, [(0, True)]), None)

    @pytest.mark.parametrize(
        "starts", [[1, 2, 2], [0, 3, 2], [0, 2, 1], [0, 1, 2**63], [], [0, 2], [0, 0, 2]]
    )
    def test_a_pack_whose_blocks_are_not_of_it(self, starts):
        layout = (1, False, [(0, False)])  # two blocks of two rows, of which the last is not there
        records, right = pack(make_log(3, [0, 1], {"loss": [1, 2]}).native, layout, None)
        parts, seen = make_table(3, self.columns)
        specs = fold_specs(["loss"], self.columns, parts, 0)
        assert right.tolist() == [0, 2, 2]
        packed = [(records, right), (records, np.array(starts, np.uint64))]
        with pytest.raises(_core.PackedError, match=r"^the log of rank 1 (has|does not have) "):
            _core.fold_packed(packed, layout, specs, seen, 3)
        assert not seen.any()
