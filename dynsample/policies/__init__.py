"""Published methods, one file each."""

from dynsample.policies.forgetting import Forgetting
from dynsample.policies.ies import IES
from dynsample.policies.importance import ImportanceSampling
from dynsample.policies.info_batch import InfoBatch
from dynsample.policies.kakurenbo import Kakurenbo
from dynsample.policies.random_subset import RandomSubset
from dynsample.policies.selective_backprop import SelectiveBackprop
from dynsample.policies.uniform import Uniform
from dynsample.policies.weighted import WeightedRandom

__all__ = [
    "IES",
    "Forgetting",
    "ImportanceSampling",
    "InfoBatch",
    "Kakurenbo",
    "RandomSubset",
    "SelectiveBackprop",
    "Uniform",
    "WeightedRandom",
]
