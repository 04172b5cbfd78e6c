"""Dynamic data pruning and sampling for training loops."""

from dynsample import batch, ops, schedules, signals
from dynsample.policies import (
    Forgetting,
    ImportanceSampling,
    InfoBatch,
    Kakurenbo,
    RandomSubset,
    SelectiveBackprop,
    Uniform,
    WeightedRandom,
)
from dynsample.policies.base import EpochRandom, Policy, Selection
from dynsample.table import ScoreTable

__all__ = [
    "EpochRandom",
    "Forgetting",
    "ImportanceSampling",
    "InfoBatch",
    "Kakurenbo",
    "Policy",
    "RandomSubset",
    "ScoreTable",
    "Selection",
    "SelectiveBackprop",
    "Uniform",
    "WeightedRandom",
    "batch",
    "ops",
    "schedules",
    "signals",
]
