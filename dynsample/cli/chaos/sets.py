"""What was recorded of plans that others hand out: sets of samples, whatever the steps were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeAlias

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

Pass: TypeAlias = tuple[int, str]  # epoch, and whether of the kept or of the hidden samples


def differences(life: Life, reference: Life) -> Iterator[str]:
    """Say where a life differs from the undisturbed one; every record counts, final or not."""
    yield from torn(life)
    expected: dict[Pass, dict[int, tuple[int, ...]]] = {}
    about: dict[Pass, tuple[str, str]] = {}
    for record in _records(reference, reference.steps):
        expected.setdefault(_pass(record), {}).update(_samples(record))
        about[_pass(record)] = record["digest"], record["model"]
    records = _records(life, sorted(life.steps))
    lines = (line for each in records for line in _of(life, each, expected, about))
    yield from islice(lines, LINES)
    yield from ends_differ(life, reference)


def _of(
    life: Life,
    record: dict[str, Any],
    expected: dict[Pass, dict[int, tuple[int, ...]]],
    about: dict[Pass, tuple[str, str]],
) -> Iterator[str]:
    where = f"life {life.number}, rank {record['rank']} of {life.size}, step {record['step']}"
    which = f"({record['kind']}, epoch {record['epoch']})"
    if _pass(record) not in expected:
        yield f"{where} {which}: the undisturbed run has none"
        return
    for name, there in zip(("digest", "model"), about[_pass(record)], strict=True):
        if record[name] != there:
            yield f"{where} {which}: {name} is {record[name]}, undisturbed {there}"
    for one, bits in _samples(record).items():
        if expected[_pass(record)].get(one) != bits:
            yield f"{where} {which}: weights or losses differ of sample {one}"


def gaps(lives: list[Life], reference: Life) -> Iterator[str]:
    """Say which samples were lost, or came twice, in what the run went on from."""
    wanted = _counts(reference, reference.steps)
    found: dict[Pass, Counter[int]] = {}
    end = max((step + 1 for life in lives for step in life.steps), default=0)
    for life, steps in final_steps(lives, end):
        for which, counts in _counts(life, steps).items():
            found.setdefault(which, Counter()).update(counts)
    for which in sorted({*wanted, *found}):
        here, there = found.get(which, Counter()), wanted.get(which, Counter())
        for what, samples in (("lost", there - here), ("too many", here - there)):
            if samples:
                first = ", ".join(map(str, sorted(samples)[:LINES]))
                yield f"epoch {which[0]}, {which[1]}: {samples.total()} {what}, such as {first}"
    yield from missing_ends(lives)


def _records(life: Life, steps: Iterable[int]) -> Iterator[dict[str, Any]]:
    return (record for step in steps for record in life.steps.get(step, []))


def _pass(record: dict[str, Any]) -> Pass:
    return record["epoch"], record["kind"]


def _samples(record: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """Bits of weight and loss, by id."""
    ids = from_bits(record["ids"], np.int64).tolist()
    bits = [from_bits(record[name], np.uint32).tolist() for name in ("weights", "losses")]
    return dict(zip(ids, zip(*bits, strict=True), strict=True))


def _counts(life: Life, steps: Iterable[int]) -> dict[Pass, Counter[int]]:
    counts: dict[Pass, Counter[int]] = {}
    for record in _records(life, steps):
        samples = from_bits(record["ids"], np.int64).tolist()
        counts.setdefault(_pass(record), Counter()).update(samples)
    return counts
