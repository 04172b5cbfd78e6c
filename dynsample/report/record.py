"""What a line of a report holds, checked when it is read: somebody may have altered it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypedDict

from dynsample.disk.fields import (
    Check,
    Mismatch,
    anything,
    array,
    integer,
    mapping,
    number,
    one_of,
    optional,
    record,
    text,
)
from dynsample.kernels.checks import MAX_SAMPLES
from dynsample.report.histogram import BINS, QUANTILES, Histogram


class Extreme(TypedDict):
    """Samples of the lowest, or highest, scores."""

    ids: list[int]
    scores: list[float]


class CameBack(TypedDict):
    """How many samples that were hidden before are not now, and some of them."""

    count: int
    ids: list[int]


class Classes(TypedDict):
    """Samples of every class, and how many of them are hidden."""

    samples: list[int]
    hidden: list[int]


class RunFacts(TypedDict):
    """What stays the same in a run."""

    policy: str
    num_samples: int
    seed: int
    ranks: int


class Times(TypedDict):
    """How long the passes of the epoch before took on this rank, and how many rows they had."""

    epoch: int
    kept_seconds: float
    kept_rows: int
    hidden_seconds: float
    hidden_rows: int
    report_seconds: float


class Record(TypedDict):
    """What a report holds of one epoch; docs/inspect.md says what it means."""

    version: int
    epoch: int
    run: RunFacts
    stats: dict[str, Any]  # figures, and those that a policy adds
    previous: Times | None
    columns: dict[str, Histogram]
    score: str | None
    easiest: Extreme | None
    hardest: Extreme | None
    came_back: CameBack | None
    classes: Classes | None
    hidden: str | None


_COUNT = integer(0, 2**53)
_ID = integer(0, MAX_SAMPLES)
_EPOCH = integer(0, 2**32 - 1)
_EXTREME: Check[Extreme | None] = optional(record({"ids": array(_ID), "scores": array(number)}))
_COLUMN: Check[Histogram] = record(
    {
        "scale": one_of("unit", "octaves", "linear"),
        "edges": array(number, BINS + 1),
        "counts": array(_COUNT, BINS),
        "quantiles": optional(array(number, len(QUANTILES))),
        "min": optional(number),
        "max": optional(number),
    }
)
_STATS = ("num_samples", "num_positions", "num_hidden", "unseen")
_SECONDS = ("kept_seconds", "hidden_seconds", "report_seconds")
# `run`, `stats` and `columns` are in every line; the others were not always.
_LINE: Check[Record] = record(
    {
        "epoch": _EPOCH,
        "run": record(
            {
                "policy": text,
                "num_samples": integer(0, MAX_SAMPLES),
                "seed": integer(0, 2**64 - 1),
                "ranks": integer(1, 2**31),
            }
        ),
        "stats": record(
            {
                **dict.fromkeys(_STATS, _COUNT),
                "fraction": number,
                "lr_scale": number,
                "fold_seconds": optional(number),
                "plan_seconds": optional(number),
            },
            optional=("fold_seconds", "plan_seconds"),
        ),
        "columns": mapping(_COLUMN),
        "previous": optional(
            record(
                {
                    "epoch": _EPOCH,
                    **dict.fromkeys(_SECONDS, number),
                    "kept_rows": _COUNT,
                    "hidden_rows": _COUNT,
                }
            )
        ),
        "score": optional(text),
        "easiest": _EXTREME,
        "hardest": _EXTREME,
        "came_back": optional(record({"count": _COUNT, "ids": array(_ID)})),
        "classes": optional(record({"samples": array(_COUNT), "hidden": array(_COUNT)})),
        "hidden": optional(text),
        "version": anything,
    },
    optional=("previous", "score", "easiest", "hardest", "came_back", "classes", "hidden"),
)
_ABSENT = dict.fromkeys(
    ("previous", "score", "easiest", "hardest", "came_back", "classes", "hidden")
)


def checked(line: Mapping[str, object]) -> Record:
    """Return a line with None for what it does not say.

    Raises
    ------
    Mismatch
    """
    whole = _LINE({**_ABSENT, **line}, "the line")
    for kind, named in (("easiest", whole["easiest"]), ("hardest", whole["hardest"])):
        if named and len(named["ids"]) != len(named["scores"]):
            raise Mismatch(f"the line.{kind} must have a score for each id")
    classes = whole["classes"]
    if classes and len(classes["samples"]) != len(classes["hidden"]):
        raise Mismatch("the line.classes must have as many hidden as samples")
    for name, column in whole["columns"].items():
        edges = column["edges"]
        if any(low > high for low, high in pairwise(edges)):
            raise Mismatch(f"the line.columns.{name}.edges must ascend")
    return whole
