"""Coresets: which samples to keep for good, from scores.

Every function gives ids in ascending order, int64, for `Sampler(subset=...)`. Samples compare by
(score, index), -0 equals +0, and infinities are numbers like any other. A NaN is a sample without
a score: it was never seen. Such samples are never pruned: they are kept first, also when there are
more of them than k, and a UserWarning says how many they are. k = 0 keeps nothing.
"""

from __future__ import annotations

import warnings
from typing import Any, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dynsample import _core, ops
from dynsample._core import Stream
from dynsample.coreset.beta import beta_probabilities as beta_probabilities
from dynsample.coreset.dyn_unc import write_probabilities as write_probabilities
from dynsample.coreset.files import load as load
from dynsample.coreset.scoring import mean_over_runs as mean_over_runs
from dynsample.coreset.scoring import run_file as run_file
from dynsample.kernels.checks import MAX_SAMPLES, choice, integer, real
from dynsample.kernels.convert import is_real, to_host
from dynsample.kernels.numbers import integers, relative_on_host

Ids = NDArray[np.int64]
Scores = NDArray[Any]


def _checked(scores: ArrayLike, k: SupportsIndex) -> tuple[Scores, int]:
    array = np.asarray(to_host(scores))
    if array.ndim != 1:
        raise ValueError(f"scores must have one dimension, got shape {array.shape}")
    if not is_real(array):
        raise TypeError(f"scores must be real numbers, got dtype {array.dtype}")
    values = array if array.dtype.kind == "f" else array.astype(np.float64)
    return values, integer(k, "k", 0, len(values))


def _join(unseen: Ids, chosen: Ids, num_samples: int) -> Ids:
    kept = np.zeros(num_samples, np.bool_)
    kept[unseen] = kept[chosen] = True
    return np.flatnonzero(kept)


def _split(scores: Scores, k: int) -> tuple[Ids, Ids, int]:
    """Ids without a score, to keep if any are; ids with one, and how many of them to keep."""
    missing = np.isnan(scores)
    unseen, seen = np.flatnonzero(missing), np.flatnonzero(~missing)
    if len(unseen) and 0 < k < len(scores):
        more = f", more than the {k} that were asked for" if len(unseen) > k else ""
        warnings.warn(
            f"{len(unseen)} of {len(scores)} samples have no score, NaN: they are kept before all "
            f"others{more}",
            stacklevel=3,
        )
    return unseen if k else unseen[:0], seen, max(0, k - len(unseen))


def _ranks(scores: Scores, ids: Ids, first: int, stop: int) -> Ids:
    """Ids of the ranks [first, stop), without sorting the rest."""
    if first >= stop:
        return ids[:0]
    values = scores[ids]
    parted = np.partition(values, (first, stop - 1))
    low, high = parted[first], parted[stop - 1]
    chosen = (values > low) & (values < high)
    for edge in (low, high):
        ties = np.flatnonzero(values == edge)
        before = np.count_nonzero(values < edge)
        chosen[ties[max(first - before, 0) : max(stop - before, 0)]] = True
    kept: Ids = ids[chosen]
    return kept


def _ascending(scores: Scores, ids: Ids) -> Ids:
    ordered: Ids = ids[np.argsort(scores[ids], kind="stable")]
    return ordered


def _shuffled(ids: Ids, num_samples: int, seed: int) -> Ids:
    """Put `ids` in the order in which a keyed permutation of all samples has them."""
    order = ops.permute(num_samples, seed=seed, epoch=0, stream=Stream.CORESET)
    wanted = np.zeros(num_samples, np.bool_)
    wanted[ids] = True
    shuffled: Ids = order[wanted[order]]
    return shuffled


def keep_highest(scores: ArrayLike, k: int) -> Ids:
    """Keep the k highest scores: the hardest by EL2N, GraNd, forgetting or uncertainty.

    Parameters
    ----------
    scores : float[N]
        numpy or torch; NaN for a sample without a score.
    k : int in [0, N]

    Returns
    -------
    int64[max(k, unseen)], or none for k = 0

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, section 3.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.coreset.keep_highest([0.1, 0.7, 0.3, 0.7], 2).tolist()
    [1, 3]
    """
    values, k = _checked(scores, k)
    unseen, seen, rest = _split(values, k)
    return _join(unseen, _ranks(values, seen, len(seen) - rest, len(seen)), len(values))


def keep_lowest(scores: ArrayLike, k: int) -> Ids:
    """Keep the k lowest scores; arguments as in `keep_highest`.

    Examples
    --------
    >>> ds.coreset.keep_lowest([0.1, 0.7, 0.3, 0.7], 2).tolist()
    [0, 2]
    """
    return keep_offset(scores, k, 0)


def keep_offset(scores: ArrayLike, k: int, offset: int) -> Ids:
    """Keep the scores of ranks [offset, offset + k) in ascending order.

    Parameters
    ----------
    scores, k
        As in `keep_highest`.
    offset : int in [0, seen - k]
        Lowest scores to leave out.

    References
    ----------
    Paul et al., "Deep Learning on a Data Diet", NeurIPS 2021, section 4.

    Examples
    --------
    >>> ds.coreset.keep_offset([0.1, 0.7, 0.3, 0.7], 2, offset=1).tolist()
    [1, 2]
    """
    values, k = _checked(scores, k)
    unseen, seen, rest = _split(values, k)
    integer(offset, "offset", 0, max(0, len(seen) - rest))
    return _join(unseen, _ranks(values, seen, offset, offset + rest), len(values))


def keep_random(num_samples: int, k: int, seed: int = 0) -> Ids:
    """Keep k samples at random, each set of k equally likely.

    Parameters
    ----------
    num_samples : int
    k : int in [0, num_samples]
    seed : int in [0, 2**64)

    Examples
    --------
    >>> ds.coreset.keep_random(10, 3, seed=1).tolist()
    [0, 3, 5]
    """
    num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
    k = integer(k, "k", 0, num_samples)
    return np.sort(ops.permute(num_samples, seed=seed, epoch=0, stop=k, stream=Stream.CORESET))


def keep_drawn(probabilities: ArrayLike, k: int, seed: int = 0) -> Ids:
    """Keep k samples drawn without replacement, as `ops.draw_mask` does.

    Parameters
    ----------
    probabilities : float[N]
        Up to a common factor, not negative; numpy or torch. Infinities draw like the largest finite
        one, and NaN is a sample without a probability. 0 is never kept.
    k : int in [0, unseen + positive probabilities]
    seed : int in [0, 2**64)

    Returns
    -------
    int64[max(k, unseen)], or none for k = 0

    References
    ----------
    Cho et al., "Lightweight Dataset Pruning without Full Training via Example Difficulty and
    Prediction Uncertainty", ICML 2025, whose probabilities `beta_probabilities` gives; Efraimidis
    and Spirakis, "Weighted random sampling with a reservoir", 2006.

    Examples
    --------
    >>> import dynsample as ds
    >>> ds.coreset.keep_drawn([0.5, 0.0, 0.1, 0.4], 3).tolist()
    [0, 2, 3]
    """
    values = relative_on_host(to_host(probabilities), "probabilities")
    k = integer(k, "k", 0, len(values))
    unseen, _, rest = _split(values, k)
    chances = np.where(np.isnan(values), np.float32(0), values)
    _, positive = _core.survey(chances)  # refuses negative ones
    if rest > positive:
        raise ValueError(
            f"k must be at most {len(unseen) + positive}, the number of samples whose probability "
            f"is not 0, got {k}"
        )
    seed = integer(seed, "seed", 0, 2**64 - 1)
    drawn = _core.draw_mask(chances, rest, seed, 0, Stream.CORESET_DRAW)
    return _join(unseen, np.flatnonzero(drawn), len(values))


def shares(sizes: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Split k over groups, int64[G]: the smallest first, each an equal part of what is left.

    A group with fewer gives all it has, so that the sum is k whenever there are k.

    References
    ----------
    Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023,
    algorithm 1.

    Examples
    --------
    >>> shares(np.array([1, 9, 9]), 7).tolist()
    [1, 3, 3]
    """
    taken = np.zeros(len(sizes), np.int64)
    for place, group in enumerate(np.argsort(sizes, kind="stable")):
        taken[group] = min(sizes[group], k // (len(sizes) - place))
        k -= int(taken[group])
    return taken


def _keep_groups(ranked: Ids, groups: NDArray[Any], k: int) -> Ids:
    """Keep the first ids of `ranked` in every group, k in all; `groups` has a label for each."""
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    by_group = np.argsort(group, kind="stable")
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(ranked)) - starts[group[by_group]]
    kept: Ids = ranked[by_group[place < shares(sizes, k)[group[by_group]]]]
    return kept


def keep_balanced(
    labels: ArrayLike,
    k: int,
    scores: ArrayLike | None = None,
    *,
    keep: str = "highest",
    seed: int = 0,
) -> Ids:
    """Keep the same number of every class, of small classes all they have.

    Parameters
    ----------
    labels : int[N]
    k : int in [0, N]
    scores : float[N], optional
        Without them, samples of a class are kept at random.
    keep : "highest" or "lowest"
        Scores of a class to keep.
    seed : int in [0, 2**64)

    Examples
    --------
    >>> ds.coreset.keep_balanced([0, 0, 0, 1], 2, scores=[0.1, 0.3, 0.2, 0.0]).tolist()
    [1, 3]
    """
    classes = integers(labels, "labels")
    choice(keep, "keep", ("highest", "lowest"))
    values, k = _checked(np.zeros(len(classes)) if scores is None else scores, k)
    if len(values) != len(classes):
        raise ValueError(f"labels must have {len(values)} entries, one a score, got {len(classes)}")
    unseen, seen, rest = _split(values, k)
    if scores is None:
        ranked = _shuffled(seen, len(values), seed)
    else:
        ranked = _ascending(values, seen)
        ranked = ranked[::-1] if keep == "highest" else ranked
    return _join(unseen, _keep_groups(ranked, classes[ranked], rest), len(values))


def keep_strata(
    scores: ArrayLike,
    k: int,
    *,
    strata: int = 50,
    cutoff: float = 0.0,
    hardest: str = "highest",
    seed: int = 0,
) -> Ids:
    """Keep a random part of every stratum of the scores, without the hardest (CCS).

    The int(cutoff * N) hardest samples are dropped, the range of what is left is cut into strata of
    equal width, and the budget goes over the strata, smallest first.

    Parameters
    ----------
    scores : float[N]
        Finite, or NaN for a sample without a score; infinite ones must fall to the cutoff.
    k : int in [0, N - int(cutoff * N)]
    strata : int
    cutoff : float in [0, 1)
        The published "beta": share of the samples that are dropped as too hard.
    hardest : "highest" or "lowest"
        Which scores are hard: "lowest" for AUM.
    seed : int in [0, 2**64)

    References
    ----------
    Zheng et al., "Coverage-centric Coreset Selection for High Pruning Rates", ICLR 2023,
    algorithm 1.

    Examples
    --------
    >>> ds.coreset.keep_strata([0.0, 0.1, 0.2, 0.9, 1.0, 9.0], 2, strata=2, cutoff=0.2).tolist()
    [0, 3]
    """
    values, k = _checked(scores, k)
    integer(strata, "strata", 1, MAX_SAMPLES)
    real(cutoff, "cutoff", "[0, 1)")
    choice(hardest, "hardest", ("highest", "lowest"))
    unseen, seen, rest = _split(values, k)
    ranked = _ascending(values, seen)
    dropped = min(int(cutoff * len(values)), len(ranked))
    left = ranked[dropped:] if hardest == "lowest" else ranked[: len(ranked) - dropped]
    if rest > len(left):
        raise ValueError(
            f"k must be at most {len(unseen) + len(left)}, what cutoff = {cutoff} leaves of "
            f"{len(values)} samples, got {k}"
        )
    if not rest:
        return _join(unseen, left[:0], len(values))
    inside = values[left].astype(np.float64)
    if not np.isfinite(inside).all():
        raise ValueError(
            f"scores must be finite: {np.count_nonzero(~np.isfinite(inside))} infinite ones are "
            f"left after cutoff = {cutoff}"
        )
    return _join(unseen, _keep_strata(left, inside, strata, rest, len(values), seed), len(values))


def _keep_strata(
    left: Ids, inside: NDArray[np.float64], strata: int, k: int, num_samples: int, seed: int
) -> Ids:
    low, width = inside.min(), (inside.max() - inside.min()) / strata
    stratum_of = np.zeros(num_samples, np.int64)
    if width > 0:
        stratum_of[left] = np.minimum((inside - low) / width, strata - 1).astype(np.int64)
    ranked = _shuffled(left, num_samples, seed)
    return _keep_groups(ranked, stratum_of[ranked], k)
