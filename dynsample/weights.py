"""Weights of samples by their classes: what `WeightedRandom` draws by, or a loss is multiplied by.

numpy alone. Each function takes the labels of the whole data set and gives a number per sample.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import real
from dynsample.kernels.convert import to_host
from dynsample.kernels.numbers import integers

__all__ = ["balanced", "effective_number", "repeat_factor"]

Floats = NDArray[np.float64]


def balanced(labels: object, power: float = 1.0) -> Floats:
    """Weigh each sample by (1 / samples of its class) ** power.

    Parameters
    ----------
    labels : int[N]
        Class of every sample; each number that occurs is a class.
    power : float, not negative
        1: every class is drawn equally often. 1/2: in proportion to the square root of its size.
        0: all samples weigh the same.

    Returns
    -------
    float64[N]
        With mean 1; for power 1 N / (C n_c), C the number of classes and n_c the samples of one.

    References
    ----------
    Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020,
    equation 1, with q = 1 - power.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.weights.balanced([0, 0, 0, 1]).round(3).tolist()
    [0.667, 0.667, 0.667, 2.0]
    """
    power = real(power, "power", "[0, inf)")
    class_of, sizes = _classes(labels)
    # Of the smallest class, so that no power of a count overflows.
    return _with_mean_one(((sizes.min(initial=1) / sizes) ** power)[class_of])


def effective_number(labels: object, beta: float) -> Floats:
    """Weigh each sample by 1 / E, E = (1 - beta ** n) / (1 - beta) with n samples of its class.

    Parameters
    ----------
    labels : int[N]
        Class of every sample; each number that occurs is a class.
    beta : float in [0, 1)
        0: all samples weigh the same. Towards 1 they approach `balanced(labels)`; the paper takes
        0.9 to 0.9999.

    Returns
    -------
    float64[N]
        With mean 1. The paper scales the weights of the classes to the sum C instead.

    References
    ----------
    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
    proposition 1, and the class-balanced weight (1 - beta) / (1 - beta ** n) of section 4.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.weights.effective_number([0, 0, 0, 1], beta=0.5).round(3).tolist()
    [0.842, 0.842, 0.842, 1.474]
    """
    beta = real(beta, "beta", "[0, 1)")
    class_of, sizes = _classes(labels)
    # 1 - beta ** n without the digits that a beta next to 1 would cost.
    reached = -np.expm1(sizes * np.log(beta)) if beta else np.ones(len(sizes))
    return _with_mean_one(((1 - beta) / reached)[class_of])


def repeat_factor(labels: object, threshold: float) -> Floats:
    """Say how often to repeat each sample, so that rare classes are seen: LVIS's repeat factors.

    The factor of a class is max(1, sqrt(threshold / f)), f the fraction of the samples that have
    it, and that of a sample the largest among its classes.

    Parameters
    ----------
    labels : int[N], sequence of N sequences of int, or bool[N, C]
        Class of every sample, or its classes; one that is named twice counts once.
    threshold : float in (0, 1]
        Classes of a smaller fraction are repeated; LVIS takes 0.001.

    Returns
    -------
    float64[N]
        At least 1; 1 for a sample without classes.

    Notes
    -----
    ``WeightedRandom(factors, num_draws=round(factors.sum()))`` draws each sample its factor of
    times, rounded up or down.

    References
    ----------
    Gupta, Dollar and Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation",
    CVPR 2019, repeat factor sampling.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.weights.repeat_factor([[0], [0, 1], [0], []], threshold=1.0).round(3).tolist()
    [1.155, 2.0, 1.155, 1.0]
    """
    threshold = real(threshold, "threshold", "(0, 1]")
    sample, label, num_samples = _pairs(labels)
    class_of, sizes = _classes(label)
    factors = np.ones(num_samples)
    np.maximum.at(factors, sample, np.sqrt(threshold * num_samples / sizes)[class_of])
    return factors


def _classes(labels: object) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the number of every label's class, and how many labels each class has."""
    _, class_of, sizes = np.unique(
        integers(labels, "labels"), return_inverse=True, return_counts=True
    )
    return class_of, sizes


def _with_mean_one(weights: Floats) -> Floats:
    return weights * (len(weights) / weights.sum()) if len(weights) else weights


def _pairs(labels: object) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Return each pair of a sample and a class of its own once, and the number of samples."""
    array = to_host(labels)
    if isinstance(array, np.ndarray) and array.ndim > 1:
        if array.ndim > 2 or array.dtype != np.bool_:
            raise TypeError(
                "labels must be int[N], bool[N, C], or N sequences of int, got an array "
                f"{array.dtype}{list(array.shape)}; of 0 and 1 it becomes one by == 1"
            )
        sample, label = np.nonzero(array)
        return sample, label, len(array)
    if not isinstance(array, Sequence) or not any(map(_is_sequence, array)):
        flat = integers(array, "labels").astype(np.int64)
        return np.arange(len(flat)), flat, len(flat)
    rows = [integers(one, f"labels[{j}]").astype(np.int64) for j, one in enumerate(array)]
    sizes = [len(row) for row in rows]
    pairs = np.stack([np.repeat(np.arange(len(rows)), sizes), np.concatenate(rows)])
    sample, label = np.unique(pairs, axis=1)
    return sample, label, len(rows)


def _is_sequence(value: object) -> bool:
    return hasattr(value, "__len__") and getattr(value, "ndim", 1) > 0
