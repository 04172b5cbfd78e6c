"""Dynamic data pruning and sampling for training loops."""

from importlib.util import find_spec as _find_spec

if _find_spec("dynsample._core") is None:
    raise ImportError(
        f"{__path__[0]} has no compiled module for this Python: it is a source tree, or was built "
        "for another Python. Leave that folder if dynsample is installed elsewhere, or build it "
        "there by `pip install -e .`"
    )

from dynsample import batch, coreset, groups, ops, payload, report, signals, weights
from dynsample.coreset.scoring import score, score_columns
from dynsample.disk.checkpoint import StateError
from dynsample.files.pack import PackError
from dynsample.payload import PayloadError
from dynsample.plan.orders import PageLocal
from dynsample.plan.plan import EpochPlan, build_plan
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies import (
    Forgetting,
    ImportanceSampling,
    InfoBatch,
    Kakurenbo,
    RandomSubset,
    SelectiveBackprop,
    Uniform,
    WeightedRandom,
    schedules,
)
from dynsample.policies.base import Policy
from dynsample.priority import PriorityTree
from dynsample.sampler import ObservationError, Sampler
from dynsample.table.columns import EMA, Last, Max, Mean, Transitions, Uncertainty, Window
from dynsample.table.table import ScoreTable

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
    "weights",
]


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import version

    return version(__name__)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
