"""Arrays that are written to while they are read: what was checked is what is used."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from dynsample import _core
from dynsample.table.columns import Mean
from dynsample.table.log import ObservationLog, pack

SIZE, ROUNDS = 100_000, 300
FAR = 2**44
ERRORS = (IndexError, ValueError, RuntimeError)


# Another process puts good and bad contents to the end of a file that is mapped, again and again.
CHANGE = """
import sys
import numpy as np
path, dtype, good, bad = sys.argv[1:]
tail = np.memmap(path, dtype, "r+")[-50:]
good, bad = np.full(50, float(good), dtype), np.full(50, float(bad), dtype)
print(flush=True)
while True:
    tail[:] = bad
    tail[:] = good
"""


@contextmanager
def changing(size: int, dtype: Any, good: float, bad: float) -> Iterator[np.ndarray]:
    """Yield an array whose last entries change between `good` and `bad`."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(np.full(size, good, dtype).tobytes())
        file.flush()
        array = np.asarray(np.memmap(file.name, dtype, "r+"))
        arguments = [file.name, np.dtype(dtype).str, str(good), str(bad)]
        command = [sys.executable, "-c", CHANGE, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
            assert other.stdout
            other.stdout.readline()
            try:
                yield array
            finally:
                other.kill()


def gathers(index: np.ndarray) -> None:
    found = ds.ops.gather_rows([np.arange(1000.0)], index)[0]
    assert (found < 1000).all()


def reads_ahead(index: np.ndarray) -> None:
    ds.ops.read_ahead([np.arange(1000.0)], index[-500:])


def appends(index: np.ndarray) -> None:
    log = ObservationLog(1000, ["loss"])
    with suppress(*ERRORS):
        log.append(index, {"loss": np.zeros(len(index), np.float32)})
    log.close()
    assert (log.index() < 1000).all()
    table = ds.ScoreTable(1000, {"loss": Mean()})
    table.fold(log, epoch=0)
    assert table.part("loss", "count").sum() in (0, SIZE)


def maps_to_rows(index: np.ndarray) -> None:
    log = ObservationLog(10, [])
    log.set_rows(np.zeros(1000, np.int32))
    assert not log.rows_of(index).any()
    assert (log.weights(index, np.full(10, 3, np.float32)) == 3).all()


def updates_priorities(index: np.ndarray) -> None:
    tree = _core.PrefixTree(1000)
    tree.update(index, np.ones(len(index), np.float32))
    assert 0 < tree.total() <= 1000 << tree.bits()


def takes_priorities(index: np.ndarray) -> None:
    tree = _core.PrefixTree(1000)
    tree.update(np.arange(1000), np.ones(1000, np.float32))
    assert (tree.units_of(index) == 1 << tree.bits()).all()


def inverts_a_permutation(index: np.ndarray) -> None:
    assert (_core.unpermute(1000, index, 0, 0, 0) < 1000).all()


@pytest.mark.parametrize(
    "use",
    [
        gathers,
        reads_ahead,
        appends,
        maps_to_rows,
        updates_priorities,
        takes_priorities,
        inverts_a_permutation,
    ],
)
def test_an_index_is_used_as_it_was_checked_or_refused(
    use: Callable[[np.ndarray], None],
) -> None:
    with changing(SIZE, np.int64, 7, FAR) as index:
        for _ in range(ROUNDS):
            with suppress(*ERRORS):
                use(index)


def test_a_mask_is_listed_whole_or_refused() -> None:
    with changing(SIZE, np.bool_, 0, 1) as mask:
        for _ in range(ROUNDS):
            with suppress(*ERRORS):
                ids = ds.ops.mask_ids(mask)
                assert (np.diff(ids.astype(np.int64)) > 0).all()
                assert (ids < SIZE).all()


def test_observations_that_tickets_leave_out_are_left_out_once() -> None:
    log = ObservationLog(1000, [])
    log.append(np.arange(SIZE) % 1000, {})
    log.close()
    with changing(SIZE, np.int64, 0, -1) as tickets:
        for _ in range(ROUNDS):
            records, starts = pack(log.native, (12, False, []), tickets)
            assert len(records) == starts[-1] <= SIZE


@pytest.mark.parametrize("method", ["systematic", "multinomial"])
def test_a_draw_is_of_the_probabilities_that_were_added_up_or_refused(method: str) -> None:
    with changing(SIZE, np.float32, 1.0, 1e30) as probabilities:
        for seed in range(ROUNDS):
            with suppress(*ERRORS):
                rows = ds.ops.draw(
                    probabilities, 1000, replacement=True, seed=seed, epoch=0, method=method
                )
                assert ((rows >= 0) & (rows < SIZE)).all()


def test_scores_that_change_hide_as_many_rows_or_are_refused() -> None:
    with changing(SIZE, np.float32, 0.5, np.nan) as scores:
        for _ in range(ROUNDS):
            with suppress(*ERRORS):
                assert len(ds.ops.hide_lowest(scores, SIZE // 2)) == SIZE


def test_a_restored_log_holds_rows_of_the_table() -> None:
    log = ObservationLog(1000, [])
    with changing(SIZE, np.uint32, 7, 2**31) as index:
        for _ in range(ROUNDS):
            with suppress(*ERRORS):
                log.restore(index, {})
            assert (log.index() < 1000).all()


def test_priorities_that_are_loaded_are_those_that_were_checked() -> None:
    tree = _core.PrefixTree(SIZE)
    with changing(SIZE, np.int64, 1, -FAR) as units:
        for _ in range(ROUNDS):
            with suppress(*ERRORS):
                tree.load(units, 0.0)
            assert (tree.units() >= 0).all()
