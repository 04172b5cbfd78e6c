"""Check what a file says of itself: types, ranges, and nothing that was not expected.

A check takes a value and its name, and returns the value, whose type is then known; it raises
`Mismatch` when the value is not what it must be. Checks are made of others, as the records of a
file are; the type of a record is said where its check is named, `STATE: Check[State] = record(..)`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
R = TypeVar("R", bound=Mapping[str, object])  # a TypedDict
Check: TypeAlias = Callable[[object, str], T]

MAX_JSON = 1 << 24  # bytes: above what a thousand ranks write, below what parsing it could not hold
_SHOWN = 60  # characters of a value in a message


class Mismatch(ValueError):
    """A field is not what it must be; the message names it, what was found and what is allowed."""


def parse(content: bytes, check: Check[T], name: str) -> T:
    """Parse JSON that somebody may have altered, and check it.

    Raises
    ------
    Mismatch
        Also for what is no JSON, names a field twice, or is too deep or too large to be parsed.
    """
    if len(content) > MAX_JSON:
        raise Mismatch(f"{name} must have at most {MAX_JSON} bytes, got {len(content)}")
    try:
        value = json.loads(content.decode(), object_pairs_hook=_unique)
    except Mismatch as error:
        raise Mismatch(f"{name}: {error}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # also of text that is not UTF-8
        raise Mismatch(f"{name} is not JSON ({type(error).__name__})") from None
    return check(value, name)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Mismatch(f"{shown(twice)} is there twice")
    return fields


def shown(value: object) -> str:
    """Return a value as a message has it: on one line, cut off when it is long."""
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**_SHOWN else "an integer"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _wrong(name: str, allowed: str, value: object) -> Mismatch:
    return Mismatch(f"{name} must be {allowed}, got {type(value).__name__} {shown(value)}")


def integer(low: int, high: int) -> Check[int]:
    """Return a check of whole numbers from `low` to `high`."""

    def check(value: object, name: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise _wrong(name, f"an integer in [{low}, {high}]", value)
        return value

    return check


def number(value: object, name: str) -> float:
    """Check that a value is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(name, "a finite number", value)
    if abs(value) > 1e308 or math.isnan(value):
        raise _wrong(name, "a finite number", value)
    return value


def text(value: object, name: str) -> str:
    """Check that a value is text."""
    if not isinstance(value, str):
        raise _wrong(name, "text", value)
    return value


def anything(value: object, name: str) -> object:
    """Accept every value: somebody else checks it."""
    return value


def one_of(*values: T) -> Check[T]:
    """Return a check that accepts these values alone, and of their types."""

    def check(value: object, name: str) -> T:
        for one in values:
            if type(value) is type(one) and value == one:
                return one
        raise _wrong(name, f"one of {', '.join(map(repr, values))}", value)

    return check


def optional(check: Check[T]) -> Check[T | None]:
    """Return a check that also accepts null."""
    return lambda value, name: None if value is None else check(value, name)


def array(check: Check[T], length: int | None = None) -> Check[list[T]]:
    """Return a check of every entry of a list, and of its length where one is given."""

    def check_all(value: object, name: str) -> list[T]:
        if not isinstance(value, list) or length not in (None, len(value)):
            many = "" if length is None else f" of {length} entries"
            raise _wrong(name, f"a list{many}", value)
        return [check(entry, f"{name}[{place}]") for place, entry in enumerate(value)]

    return check_all


def mapping(check: Check[T]) -> Check[dict[str, T]]:
    """Return a check of every value of an object."""

    def check_all(value: object, name: str) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise _wrong(name, "an object", value)
        return {key: check(entry, f"{name}.{shown(key)[1:-1]}") for key, entry in value.items()}

    return check_all


def record(fields: Mapping[str, Check[object]], optional: Sequence[str] = ()) -> Check[R]:
    """Return a check of an object with these fields; others may be there too."""

    def check_all(value: object, name: str) -> R:
        if not isinstance(value, Mapping):
            raise _wrong(name, "an object", value)
        if missing := [field for field in fields if field not in value and field not in optional]:
            raise Mismatch(f"{name} lacks {', '.join(missing)}")
        found: Any = dict(value)
        for field, check in fields.items():
            if field in value:
                found[field] = check(value[field], f"{name}.{field}")
        checked: R = found
        return checked

    return check_all
