"""Every published method has one name, and command lines know no others."""

import re

import pytest

from dynsample import policies
from dynsample.cli import plan
from dynsample.cli.chaos import scenario
from dynsample.cli.demo.policies import ROWS, HideHardest, ScaledRandomSubset, Settings
from dynsample.policies import registry

NEEDED = {
    "curriculum": {"pace": policies.schedules.linear(0.5, 3)},
    "infobatch": {"delta": 1.0},
    "seta": {"delta": 1.0},
    "weighted": {"probabilities": "loss"},
}


def test_every_public_policy_has_one_name() -> None:
    made = [type(registry.make(name, **NEEDED.get(name, {}))) for name in registry.POLICIES]
    assert sorted(kind.__name__ for kind in made) == sorted(policies.__all__)


@pytest.mark.parametrize("name", ["kakurembo", "Kakurenbo", "", None])
def test_an_unknown_name_is_told_which_there_are(name: str) -> None:
    known = ", ".join(map(repr, registry.POLICIES))
    with pytest.raises(ValueError, match=re.escape(f"policy must be one of {known}, got {name!r}")):
        registry.make(name)


def test_command_lines_offer_names_of_the_registry_and_controls() -> None:
    assert set(plan.POLICIES) < set(registry.POLICIES)
    for name, policy in scenario.POLICIES.items():
        assert type(policy) is registry.POLICIES[name.replace("_", "-")]
    controls = {
        "baseline": policies.Uniform, "short": policies.Uniform,
        "random_same_cost": ScaledRandomSubset, "hide_hardest": HideHardest,
    }  # fmt: skip
    settings = Settings(num_samples=100, epochs=3, fraction=0.3, refresh_every=1)
    for name, row in ROWS.items():
        assert type(row.plan(settings, 0.8)[0]) is {**registry.POLICIES, **controls}[name]
