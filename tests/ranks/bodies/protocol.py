"""What every group promises, for any number of ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dynsample.groups import Group, GroupError

SUMMED = [np.int64, np.uint64, np.int32, np.uint32]
CARRIED = ["u1", "?", "i2", "f2", "f4", "f8", "c16", "S3", "U2", "M8[s]", "u4,f8"]


def numbers(rank: int, count: int, dtype: Any = np.int64) -> NDArray[Any]:
    """Integers over the whole range of a dtype, of a rank: any rank knows those of any other."""
    info = np.iinfo(dtype)
    random = np.random.default_rng((rank, count))
    return random.integers(info.min, info.max, count, dtype, endpoint=True)


def letters(rank: int, count: int, dtype: Any) -> NDArray[Any]:
    width = np.dtype(dtype).itemsize
    if np.dtype(dtype).kind in "bU":  # not every bit pattern is a value
        return (numbers(rank, count) % 2).astype(dtype)
    return numbers(rank, count * width, np.uint8).view(dtype)


def same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()
    assert found.flags.writeable
    assert found.flags.aligned


def check_rank_and_size(group: Group) -> None:
    assert 0 <= group.rank < group.size
    ranks = group.all_gather(np.array([group.rank]), "the ranks")
    assert [rank.tolist() for rank in ranks] == [[rank] for rank in range(group.size)]


def check_sums_wrap(group: Group) -> None:
    for dtype in SUMMED:
        mine = numbers(group.rank, 1000, dtype)
        kept = mine.copy()
        expected = np.zeros_like(mine)
        for rank in range(group.size):
            expected += numbers(rank, 1000, dtype)
        same(group.sum(mine, "a sum"), expected)
        same(mine, kept)


def check_sum_keeps_the_shape(group: Group) -> None:
    for shape in [(), (0,), (1,), (2, 0, 3), (3, 4)]:
        values = np.full(shape, group.rank, np.int32)
        same(group.sum(values, "a sum"), np.full(shape, sum(range(group.size)), np.int32))
        same(group.exclusive_scan(values, "a scan"), np.full(shape, sum(range(group.rank)), "i4"))
    strided = np.arange(10)[::3]
    same(group.sum(strided, "a sum"), strided * group.size)


def check_scan_is_the_sum_of_the_lower_ranks(group: Group) -> None:
    for dtype in SUMMED:
        expected = np.zeros(1000, dtype)
        for rank in range(group.rank):
            expected += numbers(rank, 1000, dtype)
        same(group.exclusive_scan(numbers(group.rank, 1000, dtype), "a scan"), expected)


def check_only_integers_are_summed(group: Group) -> None:
    for values in [np.zeros(2), np.zeros(2, bool), np.zeros(2, "i2"), np.zeros(2, ">i8")]:
        for method in (group.sum, group.exclusive_scan):
            with pytest.raises(TypeError, match="values must be int64, uint64, int32, uint32, got"):
                method(values, "a sum")


def check_gather_of_uneven_lengths(group: Group) -> None:
    for length in (lambda rank: rank, lambda rank: 7 * (rank % 2), lambda rank: 5, lambda rank: 0):
        mine = numbers(group.rank, length(group.rank))
        found = group.all_gather(mine, "arrays")
        assert len(found) == group.size
        for rank, part in enumerate(found):
            same(part, numbers(rank, length(rank)))


def check_any_dtype_travels(group: Group) -> None:
    for dtype in CARRIED:
        gathered = group.all_gather(letters(group.rank, 3 + group.rank, dtype), "arrays")
        for rank, part in enumerate(gathered):
            same(part, letters(rank, 3 + rank, dtype))
        sent = [letters(group.rank, to, dtype) for to in range(group.size)]
        for rank, part in enumerate(group.all_to_all(sent, "parts")):
            same(part, letters(rank, group.rank, dtype))


def check_strided_arrays_travel(group: Group) -> None:
    values = np.arange(20)[::-2] + group.rank
    for rank, part in enumerate(group.all_gather(values, "arrays")):
        same(part, np.arange(20)[::-2] + rank)
    for rank, part in enumerate(group.all_to_all([values] * group.size, "parts")):
        same(part, np.arange(20)[::-2] + rank)


def check_objects_do_not_travel(group: Group) -> None:
    for values, error in [(np.array([None]), TypeError), (np.zeros((2, 2)), ValueError)]:
        with pytest.raises(error, match="values must"):
            group.all_gather(values, "arrays")
        with pytest.raises(error, match="parts must"):
            group.all_to_all([values] * group.size, "parts")
    with pytest.raises(ValueError, match=rf"parts must be {group.size}, one for each rank"):
        group.all_to_all([np.zeros(1)] * (group.size + 1), "parts")
    if group.size > 1:
        mixed = [np.zeros(1), *[np.zeros(1, "f4")] * (group.size - 1)]
        with pytest.raises(TypeError, match="parts must have one dtype, got float64 and others"):
            group.all_to_all(mixed, "parts")


def check_every_part_goes_to_its_rank(group: Group) -> None:
    def length(source: int, to: int) -> int:
        return (3 * source + 5 * to) % 4 * 11  # 0, 11, 22 or 33, and not symmetric

    sent = [numbers(100 * group.rank + to, length(group.rank, to)) for to in range(group.size)]
    found = group.all_to_all(sent, "parts")
    assert len(found) == group.size
    for rank, part in enumerate(found):
        same(part, numbers(100 * rank + group.rank, length(rank, group.rank)))


def check_nothing_but_empty_parts(group: Group) -> None:
    for dtype in (np.float32, np.int64):
        for part in group.all_to_all([np.empty(0, dtype)] * group.size, "parts"):
            same(part, np.empty(0, dtype))


def check_one_rank_sends_to_one_rank(group: Group) -> None:
    last = group.size - 1
    sent = [np.empty(0, np.int64) for _ in range(group.size)]
    if group.rank == 0:
        sent[last] = numbers(0, 10)
    for rank, part in enumerate(group.all_to_all(sent, "parts")):
        same(part, numbers(0, 10 if (rank, group.rank) == (0, last) else 0))


def check_megabytes(group: Group) -> None:
    count = 500_000  # 4 MB
    total = np.zeros(count, np.uint64)
    for rank in range(group.size):
        total += numbers(rank, count, np.uint64)
    same(group.sum(numbers(group.rank, count, np.uint64), "a sum"), total)
    uneven = [count if rank == 0 else rank for rank in range(group.size)]
    for even in (False, True):
        lengths = [count // 2] * group.size if even else uneven
        found = group.all_gather(numbers(group.rank, lengths[group.rank]), "arrays")
        for rank, part in enumerate(found):
            same(part, numbers(rank, lengths[rank]))
    sent = [numbers(group.rank, count if to == 0 else 1) for to in range(group.size)]
    for rank, part in enumerate(group.all_to_all(sent, "parts")):
        same(part, numbers(rank, count if group.rank == 0 else 1))


def check_results_are_of_their_own(group: Group) -> None:
    mine = np.full(4, group.rank)
    parts = [mine] * group.size
    calls = [
        lambda: [group.sum(mine, "a sum")],
        lambda: [group.exclusive_scan(mine, "a scan")],
        lambda: group.all_gather(mine, "arrays"),
        lambda: group.all_to_all(parts, "parts"),
    ]
    for call in calls:
        first = call()
        expected = [part.copy() for part in first]
        for part in first:
            part += 1 + group.rank
        same(mine, np.full(4, group.rank))
        for part, value in zip(call(), expected, strict=True):
            same(part, value)


def check_exchange_is_all_to_all_in_one_array(group: Group) -> None:
    for dtype in (np.uint8, np.float32, np.int64):
        parts = [numbers(group.rank * 7 + to, 3 * to + group.rank, np.int64).astype(dtype)
                 for to in range(group.size)]  # fmt: skip
        counts = [len(part) for part in parts]
        came = group.exchange(np.concatenate(parts), counts, "an exchange")
        same(came, np.concatenate(group.all_to_all(parts, "parts")))


def check_exchange_refuses_counts_of_other_arrays(group: Group) -> None:
    for counts in ([3] * group.size, [1] * (group.size + 1), [-1] + [1] * (group.size - 1)):
        with pytest.raises(ValueError, match="counts must be"):
            group.exchange(np.zeros(1, np.int64), counts, "an exchange")


def check_many_calls_in_a_row(group: Group) -> None:
    for turn in range(50):
        values = np.array([group.rank + turn])
        assert group.sum(values, "a sum")[0] == sum(r + turn for r in range(group.size))
        assert group.exclusive_scan(values, "a scan")[0] == sum(r + turn for r in range(group.rank))
        group.barrier("a barrier")
        found = group.all_gather(np.full(turn % 3, group.rank), "arrays")
        assert [part.tolist() for part in found] == [[r] * (turn % 3) for r in range(group.size)]


def check_ranks_agree_when_all_succeed(group: Group) -> None:
    assert group.agree(lambda: group.rank * 10, "the file") == group.rank * 10
    nested = group.agree(lambda: group.agree(lambda: "done", "inside"), "outside")
    assert nested == "done"


def check_nobody_goes_on_when_one_rank_fails(group: Group) -> None:
    for failing in {0, group.size - 1}:

        def read(failing: int = failing) -> None:
            if group.rank == failing:
                raise FileNotFoundError("no such table \u2205")

        if group.rank == failing:
            with pytest.raises(FileNotFoundError, match="no such table"):
                group.agree(read, "reading the table")
        else:
            expected = (
                f"reading the table failed on rank {failing} of {group.size}: "
                "FileNotFoundError: no such table \u2205"
            )
            with pytest.raises(GroupError, match=expected):
                group.agree(read, "reading the table")


def check_the_first_failure_is_named(group: Group) -> None:
    def read() -> None:
        if group.rank > 0:
            raise OSError(f"disk {group.rank}")

    if group.size == 1:
        group.agree(read, "reading")
    elif group.rank > 0:
        with pytest.raises(OSError, match=f"disk {group.rank}"):
            group.agree(read, "reading")
    else:
        with pytest.raises(GroupError, match=f"reading failed on rank 1 of {group.size}: .*disk 1"):
            group.agree(read, "reading")


def check_a_failure_inside_reaches_the_outermost_call(group: Group) -> None:
    def fail() -> None:
        if group.rank == group.size - 1:
            raise ArithmeticError("inside")

    with pytest.raises((ArithmeticError, GroupError), match="inside"):
        group.agree(lambda: group.agree(fail, "the inner call"), "the outer call")
    assert group.sum(np.array([1]), "a sum")[0] == group.size
