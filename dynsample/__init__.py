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
from dynsample.kernels.keys import Keys
from dynsample.payload import PayloadError
from dynsample.plan.orders import PageLocal
from dynsample.plan.plan import EpochPlan, build_plan
from dynsample.plan.selection import EpochRandom, Selection
from dynsample.policies import (
    AFSS,
    IES,
    ClassBudget,
    Curriculum,
    Forgetting,
    GroupDRO,
    ImportanceSampling,
    InfoBatch,
    Kakurenbo,
    OrderDP,
    PassRate,
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
from dynsample.table.columns import (
    EMA,
    Dual,
    Lags,
    Last,
    Max,
    Mean,
    RunLength,
    Static,
    Transitions,
    Uncertainty,
    Window,
)
from dynsample.table.issued import Issued
from dynsample.table.table import ScoreTable

__all__ = [
    "AFSS",
    "EMA",
    "IES",
    "ClassBudget",
    "Curriculum",
    "Dual",
    "EpochPlan",
    "EpochRandom",
    "Forgetting",
    "GroupDRO",
    "ImportanceSampling",
    "InfoBatch",
    "Issued",
    "Kakurenbo",
    "Keys",
    "Lags",
    "Last",
    "Max",
    "Mean",
    "ObservationError",
    "OrderDP",
    "PackError",
    "PageLocal",
    "PassRate",
    "PayloadError",
    "Policy",
    "PriorityTree",
    "RandomSubset",
    "ReducibleLoss",
    "ReplayPriority",
    "RunLength",
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


def __getattr__(name: str) -> str:
    if name != "__version__":
        is_module = not name.startswith("_") and _find_spec(f"{__name__}.{name}") is not None
        hint = f": write import {__name__}.{name} before" if is_module else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    from importlib.metadata import version

    return version(__name__)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
