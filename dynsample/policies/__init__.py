"""Published methods, one file each."""

from dynsample.policies.afss import AFSS
from dynsample.policies.class_budget import ClassBudget
from dynsample.policies.curriculum import Curriculum
from dynsample.policies.forgetting import Forgetting
from dynsample.policies.group_dro import GroupDRO
from dynsample.policies.ies import IES
from dynsample.policies.importance import ImportanceSampling
from dynsample.policies.info_batch import InfoBatch
from dynsample.policies.kakurenbo import Kakurenbo
from dynsample.policies.order_dp import OrderDP
from dynsample.policies.pass_rate import PassRate
from dynsample.policies.random_subset import RandomSubset
from dynsample.policies.reducible_loss import ReducibleLoss
from dynsample.policies.replay_priority import ReplayPriority
from dynsample.policies.selective_backprop import SelectiveBackprop
from dynsample.policies.seta import SeTa
from dynsample.policies.uniform import Uniform
from dynsample.policies.weighted import WeightedRandom

__all__ = [
    "AFSS",
    "IES",
    "ClassBudget",
    "Curriculum",
    "Forgetting",
    "GroupDRO",
    "ImportanceSampling",
    "InfoBatch",
    "Kakurenbo",
    "OrderDP",
    "PassRate",
    "RandomSubset",
    "ReducibleLoss",
    "ReplayPriority",
    "SeTa",
    "SelectiveBackprop",
    "Uniform",
    "WeightedRandom",
]
