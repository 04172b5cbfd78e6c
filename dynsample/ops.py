"""Kernels on local arrays: numpy or torch (CPU) in, the same kind out."""

from __future__ import annotations
