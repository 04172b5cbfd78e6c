"""The name of every published method, for command lines and tables; a user's own needs none."""

from __future__ import annotations

from collections.abc import Callable

from dynsample import policies
from dynsample.kernels.checks import choice
from dynsample.policies.base import Policy

POLICIES: dict[str, Callable[..., Policy]] = {
    "afss": policies.AFSS,
    "class-budget": policies.ClassBudget,
    "curriculum": policies.Curriculum,
    "forgetting": policies.Forgetting,
    "group-dro": policies.GroupDRO,
    "ies": policies.IES,
    "importance": policies.ImportanceSampling,
    "infobatch": policies.InfoBatch,
    "kakurenbo": policies.Kakurenbo,
    "order-dp": policies.OrderDP,
    "pass-rate": policies.PassRate,
    "random": policies.RandomSubset,
    "reducible-loss": policies.ReducibleLoss,
    "replay-priority": policies.ReplayPriority,
    "selective-backprop": policies.SelectiveBackprop,
    "seta": policies.SeTa,
    "uniform": policies.Uniform,
    "weighted": policies.WeightedRandom,
}


def make(name: str, **parameters: object) -> Policy:
    """Make the policy of a name; parameters that are not given have their defaults.

    Raises
    ------
    ValueError
        For an unknown name, saying which there are.
    """
    return POLICIES[choice(name, "policy", tuple(POLICIES))](**parameters)
