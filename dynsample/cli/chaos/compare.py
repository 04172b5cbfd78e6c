"""What the ranks recorded, against what the undisturbed run on one process recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from dynsample.cli.chaos import records
from dynsample.cli.chaos.scenario import Orders

_DIGITS = {"ids": 16, "weights": 8, "losses": 8}  # hexadecimal, of one row
LINES = 5  # of one life: what follows from a first difference is no news


@dataclass
class Life:
    """What the ranks of one launch recorded.

    Attributes
    ----------
    start : int or None
        First step that it was to do; None when it never loaded.
    loaded, saved : int
        Generation that it went on from, and the last that it saved; 0 for none.
    steps : dict of int to list of dict
        The records of a step, of the ranks that came to it.
    ends : list of dict
    plans : dict of int to dict
        Of the epochs that it was in, where the loop records them.
    torn : list of int
        Ranks of which a line within the file is torn.
    """

    number: int
    size: int
    start: int | None = None
    loaded: int = 0
    saved: int = 0
    steps: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    ends: list[dict[str, Any]] = field(default_factory=list)
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    torn: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, orders: Orders) -> Life:
        """Gather the records of all ranks."""
        life = cls(orders.life, orders.size)
        for rank in range(orders.size):
            lines, whole = records.read(orders.records(rank))
            if not whole:
                life.torn.append(rank)
            for line in lines:
                line["rank"] = rank
                if "kind" in line:
                    life.steps.setdefault(line["step"], []).append(line)
                elif "loaded" in line:
                    life.start, life.loaded = line["step"], line["loaded"]
                elif "saved" in line:
                    life.saved = max(life.saved, line["saved"])
                elif "planned" in line:
                    life.plans[line["planned"]] = line
                else:
                    life.ends.append(line)
        return life


def torn(life: Life) -> Iterator[str]:
    """Say which ranks have records that are not whole."""
    for rank in life.torn:
        yield f"life {life.number}: a record of rank {rank} is torn"


def differences(life: Life, reference: Life) -> Iterator[str]:
    """Say where a life differs from the undisturbed one; every record counts, final or not."""
    yield from torn(life)
    lines = (line for step in sorted(life.steps) for line in _of_step(life, step, reference))
    yield from islice(lines, LINES)
    yield from ends_differ(life, reference, ("end", "digest", "model"))


def ends_differ(life: Life, reference: Life, names: tuple[str, ...]) -> Iterator[str]:
    """Say where the end of a life differs from that of the undisturbed one."""
    ends = (line for end in life.ends for line in _of_end(life, end, reference.ends[0], names))
    yield from islice(ends, LINES)


def _of_step(life: Life, step: int, reference: Life) -> Iterator[str]:
    for record in life.steps[step]:
        where = f"life {life.number}, rank {record['rank']} of {life.size}, step {step}"
        if step not in reference.steps:
            yield f"{where}: the undisturbed run has {len(reference.steps)} steps"
            continue
        expected = reference.steps[step][0]
        for name in ("kind", "epoch", "digest", "rows", "model"):
            if record[name] != expected[name]:
                yield f"{where}: {name} is {record[name]}, undisturbed {expected[name]}"
        for name, digits in _DIGITS.items():
            begin = record["first"] * digits
            there = expected[name][begin : begin + len(record[name])]
            if record[name] != there:
                yield f"{where} ({record['kind']}, epoch {record['epoch']}): {name} differ"


def _of_end(
    life: Life, end: dict[str, Any], expected: dict[str, Any], names: tuple[str, ...]
) -> Iterator[str]:
    where = f"life {life.number}, rank {end['rank']} of {life.size}, at the end"
    for name in names:
        if end[name] != expected[name]:
            yield f"{where}: {name} is {end[name]}, undisturbed {expected[name]}"
    if end["table"].keys() != expected["table"].keys():
        yield f"{where}: the table has other columns"
        return
    for name, content in expected["table"].items():
        digits = len(content) // expected["last"]
        if end["table"][name] != content[end["first"] * digits : end["last"] * digits]:
            yield f"{where}: column {name} of the table differs"


def gaps(lives: list[Life], reference: Life) -> Iterator[str]:
    """Say which final steps were not recorded whole: those before the next life's first one."""
    for life, steps in final_steps(lives, len(reference.steps)):
        for step in steps:
            rows = reference.steps[step][0]["rows"]
            came = sum(len(record["ids"]) // _DIGITS["ids"] for record in life.steps.get(step, []))
            if came != rows:
                yield f"life {life.number}, step {step}: {came} of {rows} rows are recorded"
    yield from missing_ends(lives)


def final_steps(lives: list[Life], end: int) -> Iterator[tuple[Life, range]]:
    """Yield each life with those of its steps that the run went on from, up to the last one."""
    started = [life for life in lives if life.start is not None]
    stops = [*(life.start for life in started[1:]), end]
    for life, stop in zip(started, stops, strict=True):
        yield life, range(life.start or 0, stop or 0)


def missing_ends(lives: list[Life]) -> Iterator[str]:
    """Say which ranks of the last life did not record the end."""
    started = [life for life in lives if life.start is not None]
    if started and len(started[-1].ends) != started[-1].size:
        last = started[-1]
        yield f"life {last.number}: {len(last.ends)} of {last.size} ranks recorded the end"
