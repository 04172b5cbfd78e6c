"""Kernels on local arrays: numpy or torch (CPU) in, the same kind out."""

from dynsample._ops_permute import order_slice as order_slice
from dynsample._ops_permute import permute as permute
from dynsample._ops_permute import unpermute as unpermute
