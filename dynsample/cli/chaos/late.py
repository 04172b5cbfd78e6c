"""What was recorded of plans whose batches were in flight over epochs: each position once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import numpy as np

from dynsample.cli.chaos.compare import LINES, Life, final_steps, missing_ends, torn
from dynsample.cli.chaos.records import from_bits
from dynsample.cli.chaos.sets import Pass, Record, counts_of, records_of


def differences(life: Life, reference: Life) -> Iterator[str]:
    """Say what is wrong with a life by itself: no other one has its plans."""
    yield from torn(life)


def account(lives: list[Life]) -> Counter[str]:
    """Count, along what the run went on from, what became of the positions of its plans.

    Returns
    -------
    Counter
        `plans`, `positions`, and of these `late` that a later epoch observed, `lost` that none did,
        and how many more observations there were: `twice`.
    """
    count: Counter[str] = Counter()
    wanted, found = _wanted(lives), _found(lives)
    count["plans"] = len({epoch for epoch, _ in wanted})
    for which in {*wanted, *found}:
        count["positions"] += wanted.get(which, Counter()).total()
        lost, twice = _difference(which, wanted, found)
        count["lost"] += lost.total()
        count["twice"] += twice.total()
    for done in _final_records(lives):
        if done["now"] > done["epoch"]:
            count["late"] += len(from_bits(done["ids"], np.int64))
    return count


def gaps(lives: list[Life], reference: Life) -> Iterator[str]:
    """Say which positions were lost or came twice, and whose observations the table lacks."""
    wanted, found = _wanted(lives), _found(lives)
    for which in sorted({*wanted, *found}):
        for what, samples in zip(
            ("lost", "too many"), _difference(which, wanted, found), strict=True
        ):
            if samples:
                first = ", ".join(map(str, sorted(samples)[:LINES]))
                yield f"epoch {which[0]}, {which[1]}: {samples.total()} {what}, such as {first}"
    yield from missing_ends(lives)
    if lives[-1].ends:
        yield from islice(_of_table(lives[-1], found), LINES)


def _of_table(life: Life, found: dict[Pass, Counter[int]]) -> Iterator[str]:
    """Say where the table has not counted what was observed: its means take late ones too."""
    every: Counter[int] = sum(found.values(), Counter())
    for end in life.ends:
        counts = from_bits(end["table"]["losses/count"], np.uint32).tolist()
        for row, count in enumerate(counts, start=end["first"]):
            if count != every[row]:
                yield (
                    f"life {life.number}, rank {end['rank']} of {life.size}, at the end: the table "
                    f"has {count} observations of sample {row}, and there were {every[row]}"
                )


def _wanted(lives: list[Life]) -> dict[Pass, Counter[int]]:
    """Return the ids of all plans: the last life that was in an epoch has the plan of it."""
    wanted = {}
    for life in lives:
        for epoch, line in life.plans.items():
            for kind in ("kept", "hidden"):
                wanted[epoch, kind] = Counter(from_bits(line[kind], np.int64).tolist())
    return wanted


def _found(lives: list[Life]) -> dict[Pass, Counter[int]]:
    return counts_of(_final_records(lives))


def _final_records(lives: list[Life]) -> Iterator[Record]:
    """Yield the records of what the run went on from, of steps that had rows."""
    end = max((step + 1 for life in lives for step in life.steps), default=0)
    for life, steps in final_steps(lives, end):
        for done in records_of(life, steps):
            if done["epoch"] >= 0:
                yield done


def _difference(
    which: Pass, wanted: dict[Pass, Counter[int]], found: dict[Pass, Counter[int]]
) -> tuple[Counter[int], Counter[int]]:
    there, here = wanted.get(which, Counter()), found.get(which, Counter())
    return there - here, here - there
