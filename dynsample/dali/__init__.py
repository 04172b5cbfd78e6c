"""DALI in the order of a sampler: readers for any pipeline, and DALI's iterators with the index."""

from dynsample.dali import readers
from dynsample.dali.iterators import DALIClassificationIterator, DALIGenericIterator
from dynsample.files import SampleError

__all__ = ["DALIClassificationIterator", "DALIGenericIterator", "SampleError", "readers"]
