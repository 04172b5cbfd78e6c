"""Dynamic data pruning and sampling for training loops."""

from dynsample import batch, coreset, groups, ops, payload, report, schedules, signals
from dynsample.checkpoint import StateError
from dynsample.columns import EMA, Last, Max, Mean, Transitions, Uncertainty, Window
from dynsample.orders import PageLocal
from dynsample.pack import PackError
from dynsample.payload import PayloadError
from dynsample.plan import EpochPlan, build_plan
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
from dynsample.priority import PriorityTree
from dynsample.sampler import ObservationError, Sampler
from dynsample.score import score, score_columns
from dynsample.table import ScoreTable

__all__ = [
    "EMA",
    "EpochPlan",
    "EpochRandom",
    "Forgetting",
    "ImportanceSampling",
    "InfoBatch",
    "Kakurenbo",
    "Last",
    "Max",
    "Mean",
    "ObservationError",
    "PackError",
    "PageLocal",
    "PayloadError",
    "Policy",
    "PriorityTree",
    "RandomSubset",
    "Sampler",
    "ScoreTable",
    "Selection",
    "SelectiveBackprop",
    "StateError",
    "Transitions",
    "Uncertainty",
    "Uniform",
    "WeightedRandom",
    "Window",
    "batch",
    "build_plan",
    "coreset",
    "groups",
    "ops",
    "payload",
    "report",
    "schedules",
    "score",
    "score_columns",
    "signals",
]
