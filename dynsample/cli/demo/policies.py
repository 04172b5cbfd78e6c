"""The rows of the demo's table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dynsample.cli.experiment.rows import (
    BASELINE,
    CONTROLS,
    METHODS,
    Control,
    Method,
    Settings,
    Training,
)


@dataclass(frozen=True)
class Row:
    """What a row trains.

    Attributes
    ----------
    plan : callable(settings, cost) -> Training
    cost_of : str or None
        The row whose cost in the same seed, as a share of the baseline's, is the second argument.
    """

    plan: Callable[[Settings, float], Training]
    cost_of: str | None = None


def _method(method: Method) -> Row:
    return Row(lambda settings, cost: method.training(settings))


def _at_fraction(control: Control) -> Row:
    return Row(
        lambda settings, cost: Training(
            control.policy(settings, settings.fraction), settings.epochs
        )
    )


def _at_cost(control: Control, cost_of: str) -> Row:
    return Row(control.training, cost_of)


ROWS: dict[str, Row] = {
    "baseline": _method(BASELINE),
    **{name: _method(METHODS[name]) for name in ("kakurenbo", "infobatch", "importance")},
    "random": _at_fraction(CONTROLS["random"]),
    "short": _at_cost(CONTROLS["short"], "kakurenbo"),
    "random_same_cost": _at_cost(CONTROLS["random_same_cost"], "kakurenbo"),
    "hide_hardest": _at_fraction(CONTROLS["hide_hardest"]),
}

# Which rows a method must beat to be worth its trouble, and how to name them. The last, a negative
# control, must not: were it no worse, the scores of the others would mean nothing.
COMPARED: dict[str, dict[str, str]] = {
    "kakurenbo": {
        "random": "random hiding of the same fraction",
        **{name: CONTROLS[name].words for name in ("short", "random_same_cost")},
    },
    "infobatch": {"random": "random hiding of the set fraction"},
    "importance": {"random": "random hiding of the set fraction"},
    "hide_hardest": {"random": "random hiding of the same fraction"},
}
