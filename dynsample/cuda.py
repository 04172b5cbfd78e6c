"""Whether CUDA can be used; the error that says why not."""

from dynsample.kernels.available import CudaUnavailable, load, require

__all__ = ["CudaUnavailable", "load", "require"]
