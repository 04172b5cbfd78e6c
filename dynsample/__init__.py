"""Dynamic data pruning and sampling for training loops."""

from dynsample import batch, coreset, groups, ops, payload, report, signals, weights
from dynsample.coreset.scoring import score, score_columns
from dynsample.disk.checkpoint import StateError
from dynsample.files.pack import PackError
from dynsample.payload import PayloadError
from dynsample.plan.orders import PageLocal
from dynsample.plan.plan import EpochPlan, build_plan
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies import (
    AFSS,
    ClassBudget,
    Curriculum,
    Forgetting,
    GroupDRO,
    ImportanceSampling,
    InfoBatch,
    Kakurenbo,
    OrderDP,
    RandomSubset,
    ReducibleLoss,
    ReplayPriority,
    SelectiveBackprop,
    SeTa,
    Uniform,
    WeightedRandom,
    schedules,
)
from dynsample.policies.base import Policy
from dynsample.priority import PriorityTree
from dynsample.sampler import ObservationError, Sampler
from dynsample.table.columns import EMA, Last, Max, Mean, Static, Transitions, Uncertainty, Window
from dynsample.table.issued import Issued
from dynsample.table.table import ScoreTable

__all__ = [
    "AFSS",
    "EMA",
    "ClassBudget",
    "Curriculum",
    "EpochPlan",
    "EpochRandom",
    "Forgetting",
    "GroupDRO",
    "ImportanceSampling",
    "InfoBatch",
    "Issued",
    "Kakurenbo",
    "Last",
    "Max",
    "Mean",
    "ObservationError",
    "OrderDP",
    "PackError",
    "PageLocal",
    "PayloadError",
    "Policy",
    "PriorityTree",
    "RandomSubset",
    "ReducibleLoss",
    "ReplayPriority",
    "Sampler",
    "ScoreTable",
    "SeTa",
    "Selection",
    "SelectiveBackprop",
    "StateError",
    "Static",
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
    "weights",
]
