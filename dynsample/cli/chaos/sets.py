"""What was recorded of plans that others hand out: sets of samples, whatever the steps were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeAlias, TypedDict

import numpy as np

from dynsample.cli.chaos.compare import (
    LINES,
    Life,
    ends_differ,
    final_steps,
    missing_ends,
    torn,
)
from dynsample.cli.chaos.records import from_bits
from dynsample.disk.fields import Check, integer, record, text


class Record(TypedDict):
    """What a rank did in a step: padding is not among its samples.

    Where batches are in flight over epochs, `epoch` is that of their plan, -1 for a step without
    one, and `now` the current one.
    """

    step: int
    rank: int
    epoch: int
    now: int
    kind: str
    digest: str
    model: str
    ids: str
    weights: str
    losses: str


_COUNT = integer(0, 2**53)
_RECORD: Check[Record] = record(
    {
        **dict.fromkeys(("step", "rank", "now"), _COUNT),
        "epoch": integer(-1, 2**53),
        **dict.fromkeys(("kind", "digest", "model", "ids", "weights", "losses"), text),
    },
    optional=["now"],
)
Pass: TypeAlias = tuple[int, str]  # epoch, and whether of the kept or of the hidden samples


def differences(life: Life, reference: Life) -> Iterator[str]:
    """Say where a life differs from the undisturbed one; every record counts, final or not."""
    yield from torn(life)
    expected: dict[Pass, dict[int, tuple[int, ...]]] = {}
    about: dict[Pass, tuple[str, str]] = {}
    for done in records_of(reference, reference.steps):
        expected.setdefault(_pass(done), {}).update(_samples(done))
        about[_pass(done)] = done["digest"], done["model"]
    records = records_of(life, sorted(life.steps))
    lines = (line for each in records for line in _of(life, each, expected, about))
    yield from islice(lines, LINES)
    yield from ends_differ(life, reference, ("digest", "model"))  # steps are the loop's own


def _of(
    life: Life,
    done: Record,
    expected: dict[Pass, dict[int, tuple[int, ...]]],
    about: dict[Pass, tuple[str, str]],
) -> Iterator[str]:
    where = f"life {life.number}, rank {done['rank']} of {life.size}, step {done['step']}"
    where += f" ({done['kind']}, epoch {done['epoch']})"
    if _pass(done) not in expected:
        yield f"{where}: the undisturbed run has none"
        return
    digest, model = about[_pass(done)]
    for name, here, there in (("digest", done["digest"], digest), ("model", done["model"], model)):
        if here != there:
            yield f"{where}: {name} is {here}, undisturbed {there}"
    for one, bits in _samples(done).items():
        if expected[_pass(done)].get(one) != bits:
            yield f"{where}: weights or losses differ of sample {one}"


def gaps(lives: list[Life], reference: Life) -> Iterator[str]:
    """Say which samples were lost, or came twice, in what the run went on from."""
    wanted = counts_of(records_of(reference, reference.steps))
    found: dict[Pass, Counter[int]] = {}
    end = max((step + 1 for life in lives for step in life.steps), default=0)
    for life, steps in final_steps(lives, end):
        for which, counts in counts_of(records_of(life, steps)).items():
            found.setdefault(which, Counter()).update(counts)
    for which in sorted({*wanted, *found}):
        here, there = found.get(which, Counter()), wanted.get(which, Counter())
        for what, samples in (("lost", there - here), ("too many", here - there)):
            if samples:
                first = ", ".join(map(str, sorted(samples)[:LINES]))
                yield f"epoch {which[0]}, {which[1]}: {samples.total()} {what}, such as {first}"
    yield from missing_ends(lives)


def records_of(life: Life, steps: Iterable[int]) -> Iterator[Record]:
    """Yield the records of some steps, checked."""
    return (_RECORD(one, "a record") for step in steps for one in life.steps.get(step, []))


def _pass(done: Record) -> Pass:
    return done["epoch"], done["kind"]


def _samples(done: Record) -> dict[int, tuple[int, ...]]:
    """Bits of weight and loss, by id."""
    bits = [from_bits(text, np.uint32).tolist() for text in (done["weights"], done["losses"])]
    return dict(zip(_ids(done), zip(*bits, strict=True), strict=True))


def _ids(done: Record) -> list[int]:
    ids: list[int] = from_bits(done["ids"], np.int64).tolist()
    return ids


def counts_of(records: Iterable[Record]) -> dict[Pass, Counter[int]]:
    """Count the samples of some records, by epoch and pass."""
    counts: dict[Pass, Counter[int]] = {}
    for done in records:
        counts.setdefault(_pass(done), Counter()).update(_ids(done))
    return counts
