"""Kernels on local arrays: numpy or torch (CPU) in, the same kind out."""

from __future__ import annotations

from dynsample._ops_select import Bitmap, exact_mean, hide_lowest, mask_ids, min_max

__all__ = ["Bitmap", "exact_mean", "hide_lowest", "mask_ids", "min_max"]
