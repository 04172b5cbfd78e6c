"""Kernels on local arrays: numpy or torch (CPU) in, the same kind out."""

from dynsample._ops_draw import bernoulli_cdf as bernoulli_cdf
from dynsample._ops_draw import draw as draw
from dynsample._ops_draw import draw_counts as draw_counts
from dynsample._ops_draw import draw_mask as draw_mask
from dynsample._ops_draw import inverse_probabilities as inverse_probabilities
from dynsample._ops_draw import power as power
from dynsample._ops_permute import order_slice as order_slice
from dynsample._ops_permute import permute as permute
from dynsample._ops_permute import unpermute as unpermute
