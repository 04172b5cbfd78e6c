"""Kernels on local arrays: numpy or torch, on the CPU or a GPU, in; the same kind out.

Of arrays of other libraries, which are taken through DLPack, the results are numpy.
"""

from dynsample._core import available_isas
from dynsample.ops.draw import (
    bernoulli_cdf,
    draw,
    draw_counts,
    draw_mask,
    inverse_probabilities,
    power,
)
from dynsample.ops.gather import gather_rows, read_ahead
from dynsample.ops.permute import order_slice, permute, unpermute
from dynsample.ops.select import exact_mean, hide_lowest, mask_ids, min_max

__all__ = [
    "available_isas",
    "bernoulli_cdf",
    "draw",
    "draw_counts",
    "draw_mask",
    "exact_mean",
    "gather_rows",
    "hide_lowest",
    "inverse_probabilities",
    "mask_ids",
    "min_max",
    "order_slice",
    "permute",
    "power",
    "read_ahead",
    "unpermute",
]
