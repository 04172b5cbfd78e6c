"""Which runs a study has, as far as the runs that are finished say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dynsample.cli.experiment.rows import BASELINE, CONTROLS, METHODS, Settings, Training
from dynsample.cli.study.runs import Key, Record

AIM = 0.3  # share of all samples of a run that methods are to leave out


@dataclass(frozen=True)
class Choice:
    """What is compared; `settings` has those of every (task, variant)."""

    settings: Mapping[tuple[str, str], Settings]
    policies: tuple[str, ...]
    seeds: int

    def methods(self, settings: Settings) -> list[str]:
        """Return the methods that can do something within the epochs."""
        return [name for name in self.policies if METHODS[name].least_epochs <= settings.epochs]

    def left_out(self) -> list[str]:
        """Say which methods need more epochs than there are."""
        return [
            f"{name} is left out on {task}, {variant}: it needs {METHODS[name].least_epochs} "
            f"epochs, got {settings.epochs}"
            for (task, variant), settings in self.settings.items()
            for name in self.policies
            if METHODS[name].least_epochs > settings.epochs
        ]


def settings_of(num_samples: int, epochs: int) -> Settings:
    """Return settings by which a whole run leaves out the aim, though epoch 0 has all samples."""
    fraction = AIM * epochs / max(epochs - 1, 1)
    return Settings(num_samples, epochs, min(fraction, 0.9))


def training_of(key: Key, settings: Settings) -> Training:
    """Return what a run is given."""
    if key.cost is not None:
        return CONTROLS[key.name].training(settings, key.cost / 100)
    return (BASELINE if key.name == "baseline" else METHODS[key.name]).training(settings)


def is_same(record: Record) -> bool:
    """Whether the run would be given the same today."""
    name = record.key.name
    known = name == "baseline" or name in (METHODS if record.key.cost is None else CONTROLS)
    return known and record.training == training_of(record.key, record.settings).identity()


def controls_of(record: Record) -> list[Key]:
    """Return the controls of a method's run: of its cost, and of its seed."""
    cost = record.cost
    return [
        record.key._replace(name=name, cost=cost)
        for name in METHODS[record.key.name].controls
        if CONTROLS[name].possible(record.settings, cost / 100)
    ]


def wanted(choice: Choice, done: Mapping[Key, Record]) -> Iterator[Key]:
    """Yield the runs that are known to be wanted, finished or not, each once.

    Those of the first seed come first, so that an early end is a fair one. The controls of a method
    are known when it is finished.
    """
    seen = set()
    for seed in range(choice.seeds):
        for (task, variant), settings in choice.settings.items():
            for name in ("baseline", *choice.methods(settings)):
                key = Key(task, variant, name, None, seed)
                follow = controls_of(done[key]) if key in done and name != "baseline" else []
                for each in (key, *follow):
                    if each not in seen:
                        seen.add(each)
                        yield each


def most(choice: Choice, done: Mapping[Key, Record]) -> int:
    """Count the runs at most: methods that are not finished may share no control with others."""
    known = list(wanted(choice, done))
    return len(known) + sum(
        len(METHODS[key.name].controls)
        for key in known
        if key.cost is None and key.name != "baseline" and key not in done
    )
