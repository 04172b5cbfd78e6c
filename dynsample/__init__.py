"""Dynamic data pruning and sampling for training loops."""

from dynsample import batch, ops, schedules, signals
from dynsample.columns import EMA, Last, Mean, Transitions, Window
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
    "EMA",
    "EpochRandom",
    "Forgetting",
    "ImportanceSampling",
    "InfoBatch",
    "Kakurenbo",
    "Last",
    "Mean",
    "Policy",
    "RandomSubset",
    "ScoreTable",
    "Selection",
    "SelectiveBackprop",
    "Transitions",
    "Uniform",
    "WeightedRandom",
    "Window",
    "batch",
    "ops",
    "schedules",
    "signals",
]
