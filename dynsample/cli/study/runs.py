"""The runs of a study: what identifies one, and the file that keeps them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.rows import Settings
from dynsample.disk.files import read_regular
from dynsample.report.store import append_line

FILE = "runs.jsonl"


class RunsError(RuntimeError):
    """A file that is not of a study, or that another one writes."""


class Key(NamedTuple):
    """What identifies a run in a study.

    Attributes
    ----------
    name : str
        "baseline", a method or a kind of control.
    cost : int or None
        Of a control, in percent of the baseline's.
    """

    task: str
    variant: str
    name: str
    cost: int | None
    seed: int


@dataclass(frozen=True)
class Record:
    """A finished run.

    Attributes
    ----------
    settings : Settings
        What the runs that are compared share.
    training : dict
        What this one was given, JSON-able: policy, epochs, budget, and how it was optimised.
    place : dict
        Commit, date, versions and kind of machine; nothing depends on it but the seconds.
    """

    key: Key
    settings: Settings
    training: dict[str, object]
    run: Run
    place: dict[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> int:
        """In percent of the baseline's samples."""
        return round(100 * self.run.cost / self.settings.samples)

    def line(self) -> str:
        """Return the record as an object of JSON."""
        key, run = self.key, self.run
        content = {
            **key._asdict(),
            "settings": asdict(self.settings),
            "training": self.training,
            "accuracy": run.accuracy,
            "backward": run.backward,
            "forward_only": run.forward_only,
            "seconds": run.seconds,
            "planning_seconds": run.planning_seconds,
            "curve": run.curve,
            "hidden": run.hidden,
            "place": self.place,
        }
        return json.dumps(content)


def _record(line: bytes) -> Record:
    content = json.loads(line)
    run = Run(
        **{name: content[name] for name in ("backward", "forward_only", "seconds")},
        planning_seconds=content["planning_seconds"],
        hidden=content["hidden"],
        curve=[(cost, accuracy) for cost, accuracy in content["curve"]],
    )
    return Record(
        Key(**{name: content[name] for name in Key._fields}),
        Settings(**content["settings"]),
        content["training"],
        run,
        content["place"],
    )


def read(folder: Path) -> tuple[list[Record], bool]:
    """Read the runs of a folder, none where there is no file; and whether the last line is torn.

    Raises
    ------
    RunsError
        When a whole line is not one of a study.
    OSError
    """
    path = folder / FILE
    try:
        *lines, rest = read_regular(path).split(b"\n")
    except FileNotFoundError:
        return [], False
    records = []
    for number, line in enumerate(lines, 1):
        try:
            records.append(_record(line))
        except (ValueError, KeyError, TypeError) as error:
            raise RunsError(f"{path}, line {number}: not a run of a study: {error!r}") from None
    return records, bool(rest)


def append(folder: Path, record: Record) -> None:
    """Add a run, in the place of a torn line, and wait until it is on the disk."""
    path = folder / FILE
    append_line(path, record.line())
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def latest(records: Sequence[Record]) -> tuple[list[Record], int]:
    """Return the runs that belong together, and how many others there are.

    Of one key the last counts; and where a policy has been given other settings since, the runs
    with those that the last one had.
    """
    given = {(each.key[:4], each.settings): each.training for each in records}
    kept = {
        (each.key, each.settings): each
        for each in records
        if each.training == given[each.key[:4], each.settings]
    }
    return list(kept.values()), len(records) - len(kept)
