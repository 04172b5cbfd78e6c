"""The runs of a study put beside each other: each method with its controls, seed by seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.rows import CONTROLS, METHODS, Settings
from dynsample.cli.experiment.summary import (
    Runs,
    Summary,
    difference,
    judged,
    paired_seeds,
    summarise,
    verdict,
)
from dynsample.cli.study.plan import controls_of
from dynsample.cli.study.runs import Key, Record


@dataclass(frozen=True)
class Beside:
    """A method and what it is compared with.

    Attributes
    ----------
    runs : mapping
        Those of the baseline, of the method, and of its controls, by name and seed.
    """

    name: str
    settings: Settings
    runs: Runs

    @cached_property
    def figures(self) -> dict[str, Summary]:
        """Figures of the rows, by name; without those that share no seed with the baseline."""
        return {row.policy: row for row in summarise(self.runs, self.settings)}

    @property
    def controls(self) -> list[str]:
        """The controls that share a seed with it."""
        names = [name for name in self.runs if name in CONTROLS]
        return [name for name in names if paired_seeds(self.runs, self.name, name)]

    def against(self, other: str) -> tuple[float, float | None]:
        """Accuracy over that of a control, or of the baseline, and its standard error."""
        return difference(self.runs, self.name, other)

    def judgement(self) -> str:
        """Say in a sentence whether the method pays."""
        needless = [name for name in self.controls if not CONTROLS[name].negative]
        return f"{self.name} {judged(self.runs, self.name, needless)}."

    def verdict(self) -> str:
        """Say what it saves, and how it compares."""
        words = {name: CONTROLS[name].words for name in self.controls}
        return verdict(self.runs, self.figures[self.name], words)


@dataclass(frozen=True)
class Balance:
    """A task in one variant: the baseline, and the methods in their order."""

    task: str
    variant: str
    settings: Settings
    baseline: Beside
    methods: Sequence[Beside]

    @property
    def title(self) -> str:
        """What was trained on, and for how long."""
        return (
            f"{self.task}, {self.variant}: {self.settings.num_samples:,} training samples, "
            f"{self.settings.epochs} epochs"
        )


def balances(records: Sequence[Record]) -> Iterator[Balance]:
    """Yield the tasks, variants and settings that have a finished baseline."""
    for task, variant, settings in dict.fromkeys(
        (*each.key[:2], each.settings) for each in records
    ):
        found = {
            each.key: each
            for each in records
            if each.key[:2] == (task, variant) and each.settings == settings
        }
        baseline = {key.seed: each.run for key, each in found.items() if key.name == "baseline"}
        if not baseline:
            continue
        alone = Beside("baseline", settings, {"baseline": baseline})
        every = (_beside(name, settings, baseline, found) for name in METHODS)
        methods = [each for each in every if each.name in each.figures]
        yield Balance(task, variant, settings, alone, methods)


def _beside(
    name: str, settings: Settings, baseline: dict[int, Run], found: Mapping[Key, Record]
) -> Beside:
    runs: dict[str, dict[int, Run]] = {"baseline": baseline, name: {}}
    for key, record in found.items():
        if key.name == name:
            runs[name][key.seed] = record.run
            for control in controls_of(record):
                if control in found:
                    runs.setdefault(control.name, {})[key.seed] = found[control].run
    return Beside(name, settings, runs)
