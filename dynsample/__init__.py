"""Dynamic data pruning and sampling for training loops."""

from dynsample import ops

__all__ = ["ops"]
