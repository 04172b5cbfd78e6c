import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynsample.table.log import ObservationLog

torch = pytest.importorskip("torch")

IDS = np.array([3, 0, 4], np.int64)
LOSS = np.array([0.5, 1.5, 2.5], np.float32)


def make_log(num_samples=5, signals=("loss",)):
    return ObservationLog(num_samples, signals)


def assert_holds(log, index, **signals):
    assert len(log) == len(index)
    log.close()
    np.testing.assert_array_equal(log.index(), np.asarray(index, np.uint32), strict=True)
    for name, values in signals.items():
        np.testing.assert_array_equal(log.signal(name), np.float32(values), strict=True)


@given(st.lists(st.lists(st.integers(0, 4), max_size=5), max_size=5))
def test_batches_are_kept_in_call_order(batches):
    log = make_log(5, ("loss", "correct"))
    index, loss = [], []
    for batch in batches:
        values = np.arange(len(batch), dtype=np.float32) + len(index)
        log.append(np.array(batch, np.int64), {"loss": values, "correct": -values})
        index += batch
        loss += values.tolist()
    assert_holds(log, index, loss=loss, correct=[-x for x in loss])


def test_memory_grows_with_the_log():
    log = make_log(10_000)
    for _ in range(30):
        log.append(np.arange(10_000), {"loss": np.arange(10_000, dtype=np.float32)})
    log.close()
    assert len(log) == 300_000
    assert log.signal("loss").sum(dtype=np.float64) == 30 * 9999 * 5000


def index_kinds():
    return {
        "int64": IDS,
        "int32": IDS.astype(np.int32),
        "strided": np.repeat(IDS, 2)[::2],
        "big endian": IDS.astype(">i8"),
        "[B, 1]": IDS[:, None],
        "tensor": torch.from_numpy(IDS),
        "tensor int32": torch.from_numpy(IDS).int(),
        "tensor strided": torch.from_numpy(np.repeat(IDS, 2))[::2],
        "unaligned": np.frombuffer(b"x" + IDS.tobytes(), np.int64, offset=1),
    }


def signal_kinds():
    tensor = torch.from_numpy(LOSS)
    return {
        "float32": LOSS,
        "float64": LOSS.astype(np.float64),
        "float16": LOSS.astype(np.float16),
        "big endian": LOSS.astype(">f4"),
        "strided": np.repeat(LOSS, 3)[::3],
        "[B, 1]": LOSS[:, None],
        "read-only": np.frombuffer(LOSS.tobytes(), np.float32),
        "unaligned": np.frombuffer(b"x" + LOSS.tobytes(), np.float32, offset=1),
        "tensor": tensor,
        "tensor half": tensor.half(),
        "tensor bfloat16": tensor.bfloat16(),
        "tensor float64": tensor.double(),
        "tensor strided": torch.stack([tensor, tensor], 1)[:, 0],
        "tensor [B, 1]": tensor[:, None],
        "tensor with gradient": (tensor.clone().requires_grad_() * 1.0),
        "parameter": torch.nn.Parameter(tensor.clone()),
        "negated view": torch.imag(torch.complex(torch.zeros(3), -tensor).conj()),
    }


@pytest.mark.parametrize("kind", index_kinds())
def test_every_kind_of_index_is_read_alike(kind):
    log = make_log()
    for _ in range(2):  # the first tensor goes another way than the second
        log.append(index_kinds()[kind], {"loss": LOSS})
    assert_holds(log, [*IDS, *IDS], loss=[*LOSS, *LOSS])


@pytest.mark.parametrize("kind", signal_kinds())
def test_every_kind_of_signal_is_read_alike(kind):
    log = make_log()
    for _ in range(2):
        log.append(IDS, {"loss": signal_kinds()[kind]})
    assert_holds(log, [*IDS, *IDS], loss=[*LOSS, *LOSS])


@pytest.mark.parametrize("values", [np.array([1, 0, 1]), np.array([True, False, True])])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_integer_and_boolean_signals_become_float(values, make):
    log = make_log()
    log.append(IDS, {"loss": make(values)})
    assert_holds(log, IDS, loss=[1, 0, 1])


def test_a_batch_of_one_and_of_none():
    log = make_log()
    log.append(torch.tensor([2]), {"loss": torch.imag(torch.tensor([1j]).conj())})
    log.append(np.zeros(0, np.int64), {"loss": np.zeros(0, np.float32)})
    log.append(torch.zeros(0, dtype=torch.int64), {"loss": torch.zeros(0)})
    assert_holds(log, [2], loss=[-1])


def test_values_are_kept_to_the_bit_and_too_large_ones_become_infinite():
    log = make_log()
    log.append(IDS, {"loss": np.array([1e300, -np.inf, np.nan])})
    assert_holds(log, IDS, loss=[np.inf, -np.inf, np.nan])


def test_other_mappings_and_other_signals_are_fine():
    from types import MappingProxyType

    log = make_log()
    log.append(IDS, MappingProxyType({"loss": LOSS, "correct": None}))
    log.append(IDS, {"correct": None, "loss": LOSS})
    assert len(log) == 6


def test_a_log_without_signals_keeps_the_rows():
    log = make_log(5, ())
    log.append(IDS, {})
    assert_holds(log, IDS)


REFUSED = {
    "scalar index": (3, LOSS, TypeError, "index must be a numpy, torch or DLPack array, got int"),
    "list index": ([3], LOSS, TypeError, "index must be a numpy, torch or DLPack array, got list"),
    "float index": (LOSS, LOSS, TypeError, "index must have an integer dtype, got float32"),
    "bool index": (LOSS > 1, LOSS, TypeError, "index must have an integer dtype, got bool"),
    "matrix index": (IDS.reshape(1, 3), LOSS, ValueError, "index must have one dimension"),
    "float": (IDS, 1.0, ValueError, 'reduction="none"'),
    "0-d array": (IDS, np.float32(1), ValueError, 'reduction="none"'),
    "0-d tensor": (IDS, torch.tensor(1.0), ValueError, 'loss .* lacks reduction="none"'),
    "list": (
        IDS,
        [1.0, 2.0, 3.0],
        TypeError,
        "loss must be a numpy, torch or DLPack array, got list",
    ),
    "None": (IDS, None, TypeError, "loss must be a numpy, torch or DLPack array, got NoneType"),
    "complex": (
        IDS,
        LOSS.astype(complex),
        TypeError,
        "loss must have a real dtype, got complex128",
    ),
    "complex tensor": (IDS, torch.zeros(3, dtype=torch.cfloat), TypeError, "loss must have a real"),
    "object": (IDS, LOSS.astype(object), TypeError, "loss must have a real dtype, got object"),
    "text": (IDS, LOSS.astype(str), TypeError, "loss must have a real dtype"),
    "matrix": (IDS, np.zeros((3, 2), np.float32), ValueError, r"\[B\] or \[B, 1\], got \(3, 2\)"),
    "short": (IDS, LOSS[:2], ValueError, "loss must have one value per id: it has 2, index 3"),
    "short tensor": (IDS, torch.zeros(2), ValueError, "it has 2, index 3"),
    "too large": (IDS + 1, LOSS, IndexError, r"\[0, 5\), got id 5 \(row 2 of the batch\)"),
    "far too large": (IDS + 2**32, LOSS, IndexError, r"got id 4294967299 \(row 0"),
    "negative": (IDS - 1, LOSS, IndexError, r"got id -1 \(row 1 of the batch\)"),
    "negative int32": ((IDS - 1).astype(np.int32), LOSS, IndexError, r"got id -1 \(row 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refused_batch_leaves_nothing(case):
    index, loss, error, message = REFUSED[case]
    log = make_log()
    log.append(IDS, {"loss": LOSS})
    with pytest.raises(error, match=message):
        log.append(index, {"loss": loss})
    assert_holds(log, IDS, loss=LOSS)


def test_a_missing_signal_is_named_with_those_given():
    log = make_log(5, ("loss", "correct"))
    with pytest.raises(ValueError, match="signals lack 'correct'; given: 'loss', 'x'"):
        log.append(IDS, {"loss": LOSS, "x": LOSS})
    with pytest.raises(
        ValueError, match="signals lack 'loss', 'correct'; given: none; logits= and"
    ):
        log.append(IDS, {})


class TestRows:
    row_of = np.array([-1, 2, -1, 0, 1], np.int32)

    def make(self):
        log = make_log(3)
        log.set_rows(self.row_of)
        return log

    def test_ids_become_rows(self):
        log = self.make()
        log.append(np.array([4, 1, 3]), {"loss": LOSS})
        assert_holds(log, [1, 2, 0], loss=LOSS)

    def test_an_id_without_a_row_was_not_issued(self):
        log = self.make()
        with pytest.raises(ValueError, match=r"id 2 \(row 1 of the batch\) was not issued"):
            log.append(np.array([4, 2]), {"loss": LOSS[:2]})
        assert len(log) == 0

    def test_ids_beyond_the_map_are_out_of_range(self):
        with pytest.raises(IndexError, match=r"\[0, 5\), got id 5"):
            self.make().append(np.array([5]), {"loss": LOSS[:1]})

    def test_the_map_can_be_taken_away(self):
        log = self.make()
        log.set_rows(None)
        log.append(np.array([2]), {"loss": LOSS[:1]})
        assert_holds(log, [2])

    @pytest.mark.parametrize("row", [3, -2])
    def test_a_map_to_rows_that_are_not_there_is_refused(self, row):
        with pytest.raises(ValueError, match=f"row_of must hold -1 or rows below 3, got {row}"):
            make_log(3).set_rows(np.array([0, row], np.int32))

    def test_the_map_has_one_dtype(self):
        with pytest.raises(TypeError):
            make_log(3).set_rows(np.array([0, 1]))


class TestAllowed:
    def test_ids_not_issued_are_refused_and_nothing_is_appended(self):
        log = make_log(20)
        allowed = np.ones(20, np.bool_)
        allowed[17] = False
        log.set_allowed(allowed)
        with pytest.raises(
            ValueError, match=r"id 17 \(row 3 of the batch\) was not issued in this epoch"
        ):
            log.append(np.array([1, 2, 3, 17]), {"loss": np.zeros(4, np.float32)})
        assert len(log) == 0
        log.set_allowed(None)
        log.append(np.array([17]), {"loss": LOSS[:1]})
        assert_holds(log, [17])

    def test_the_mask_goes_by_row_and_the_message_by_id(self):
        log = make_log(2)
        log.set_rows(np.array([-1, 1, 0], np.int32))
        log.set_allowed(np.array([True, False]))
        log.append(np.array([2]), {"loss": LOSS[:1]})
        with pytest.raises(ValueError, match=r"id 1 \(row 0 of the batch\) was not issued in"):
            log.append(np.array([1]), {"loss": LOSS[:1]})
        assert_holds(log, [0])

    def test_the_mask_has_one_entry_a_row(self):
        with pytest.raises(ValueError, match="allowed must have 5 rows, got 4"):
            make_log().set_allowed(np.ones(4, np.bool_))

    def test_the_log_keeps_what_it_borrows(self):
        log = make_log(100_000)
        log.set_allowed(np.ones(100_000, np.bool_))
        log.append(np.arange(100_000), {"loss": np.zeros(100_000, np.float32)})
        assert len(log) == 100_000


def test_clear_and_reserve():
    log = make_log()
    log.reserve(100)
    log.append(IDS, {"loss": LOSS})
    log.clear()
    assert_holds(log, [])
    log.append(IDS, {"loss": LOSS})
    assert_holds(log, IDS, loss=LOSS)


def test_restore_takes_what_index_and_signal_gave():
    log = make_log(5, ("loss", "correct"))
    log.append(IDS, {"loss": LOSS, "correct": -LOSS})
    log.close()
    other = make_log(5, ("loss", "correct"))
    other.append(IDS[:1], {"loss": LOSS[:1], "correct": LOSS[:1]})
    other.restore(log.index(), {name: log.signal(name) for name in log.signals})
    assert_holds(other, IDS, loss=LOSS, correct=-LOSS)


def test_a_restore_that_fails_changes_nothing():
    log = make_log()
    log.append(IDS, {"loss": LOSS})
    with pytest.raises(IndexError, match=r"\[0, 5\), got 5"):
        log.restore(np.array([0, 5], np.uint32), {"loss": LOSS[:2]})
    with pytest.raises(ValueError, match="signals lack 'loss'"):
        log.restore(np.array([0], np.uint32), {})
    with pytest.raises(ValueError, match="signals and index differ in length"):
        log.restore(np.array([0], np.uint32), {"loss": LOSS})
    with pytest.raises(TypeError):
        log.restore(IDS, {"loss": LOSS})
    assert_holds(log, IDS, loss=LOSS)


def test_what_index_and_signal_give_is_a_copy():
    log = make_log()
    log.append(IDS, {"loss": LOSS})
    log.close()
    log.index()[:] = 0
    log.signal("loss")[:] = 0
    assert_holds(log, IDS, loss=LOSS)
    with pytest.raises(ValueError, match=r"signal must be one of \('loss',\), got 'correct'"):
        log.signal("correct")


@pytest.mark.parametrize(
    ("num_samples", "signals", "error", "message"),
    [
        (2**32, ("loss",), ValueError, r"num_samples must be in \[0, 4294967295\], got 4294967296"),
        (-1, ("loss",), ValueError, r"num_samples must be in \[0, 4294967295\], got -1"),
        (2.0, ("loss",), TypeError, "num_samples must be an integer, got float"),
        (5, ("loss", "loss"), ValueError, "signals must differ"),
    ],
)
def test_a_log_of_bad_parameters_is_refused(num_samples, signals, error, message):
    with pytest.raises(error, match=message):
        ObservationLog(num_samples, signals)
