"""What kernels are, wherever the arrays are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array: TypeAlias = "NDArray[Any] | torch.Tensor"


class SupportsDLPack(Protocol):
    """An array of whatever library, as users may give it."""

    def __dlpack__(self) -> object:
        """Export the array."""

    def __len__(self) -> int:
        """Return the number of rows."""


class TensorLike(Protocol):
    """What a torch tensor alone has; where torch is not installed its name says nothing."""

    def untyped_storage(self) -> object:
        """Return the memory."""


# What users give, and of which kind the answer is: a tensor for a tensor, else numpy. The functions
# that take it take it as an `A` inside, as what is neither becomes numpy's at the door.
Given: TypeAlias = "NDArray[Any] | SupportsDLPack"
TensorT = TypeVar("TensorT", bound=TensorLike)

# Of numpy, a tensor, or one of both where only the run knows which: what goes in comes out.
A = TypeVar("A", "NDArray[Any]", "torch.Tensor", "NDArray[Any] | torch.Tensor")
A_co = TypeVar(
    "A_co", "NDArray[Any]", "torch.Tensor", "NDArray[Any] | torch.Tensor", covariant=True
)


class PassRateCurve(NamedTuple):
    """How probable a draw is by a pass rate p in [0, 1].

    ``p * (1 - p) + eps``, or ``exp(-(p - target)**2 / (2 * width**2)) + eps``; 0 from `retire` on.
    A p that is NaN, infinite or outside counts as the best one. All are rounded to float32.
    """

    gaussian: bool
    target: float
    width: float
    eps: float
    retire: float


class Candidates(Protocol[A_co]):
    """Rows of a part that a selection over all parts is among, by histograms of their keys."""

    def count(self) -> int:
        """Return the number of rows that take part."""

    def histogram(self, prefix: int | None = None) -> NDArray[np.uint32]:
        """Count upper halves of keys, or lower ones of the keys with the upper half `prefix`."""

    def tally(self, key: int) -> tuple[int, int]:
        """Count the rows with a key below `key`, and equal to it."""

    def mark(self, ties: int) -> A_co:
        """Mark the rows below the key of the last tally, and the first `ties` equal to it."""


class GroupCandidates(Protocol[A_co]):
    """Rows of a part that selections within groups are among, by rounds of 8 bits of their keys."""

    def digits(self, round: int, prefixes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Count the rows by group and digit of their key, uint32[G, 256], in round 0 to 3.

        Of the rows whose key begins with the digits `prefixes[g]` of their group; in round 0 of all
        that take part.
        """

    def mark(
        self, below: NDArray[np.uint32], equal: NDArray[np.uint32], ties: NDArray[np.uint32]
    ) -> A_co:
        """Mark the rows with a key under `below[g]`, and the first `ties[g]` of key `equal[g]`."""


class GroupedRows(Protocol[A]):
    """Rows of a part, each of which belongs to one of G groups."""

    def count(self, mask: A | None) -> NDArray[np.int64]:
        """Count the rows of each group that are set, or all; int64[G]."""

    def sum_parts(self, values: A, where: A | None) -> NDArray[np.int64]:
        """Return the exact sums of the finite values, as integers that add up; int64[G, M]."""

    def candidates(self, values: A, where: A | None) -> GroupCandidates[A]:
        """Return the finite values, to select among within groups."""

    def race(
        self, probabilities: A, first: int, substitute: float, seed: int, epoch: int
    ) -> GroupCandidates[A]:
        """Return the keys of draws without replacement, to select among within groups."""

    def spread(self, numbers: NDArray[np.float32]) -> A:
        """Return the number of each row's group, float32[N], of one for each group."""


class Rates(Protocol[A_co]):
    """Fixed-point rates of a part of the rows, of which draws with replacement are made."""

    @property
    def total(self) -> int:
        """Sum of the rates."""

    def systematic(self, before: int, total: int, k: int, seed: int, epoch: int) -> A_co:
        """Count how often each row is drawn, when the rows before have so much of the total."""

    def multinomial(self, k: int, seed: int, epoch: int) -> A_co:
        """Count how often each row is drawn, when the part is all rows."""

    def count(self, before: int, points: NDArray[np.uint64]) -> A_co:
        """Count how often each row is drawn by the points that lie in this part."""

    def inverse(self, total: int, num_rows: int) -> A_co:
        """Return 1 / (N p) of every row, float32."""


class Kernels(Protocol[A]):
    """What is done with the rows of one process, wherever their arrays are.

    All arrays of a call are of one kind, which the kernels are of.
    """

    on_device: bool

    # Making and moving

    def take(self, array: NDArray[Any]) -> A:
        """Return a numpy array, which nobody else holds, as one that the kernels take."""

    def copy(self, array: A) -> A:
        """Return a copy."""

    def fill(self, array: A, values: NDArray[Any]) -> None:
        """Copy numpy values into an array."""

    def numpy(self, array: A) -> NDArray[Any]:
        """Return an array as numpy, read only; without a copy where it can."""

    def read_only(self, array: A) -> A:
        """Protect an array that users get to see, where that is possible."""

    def unsigned(self, array: A) -> A:
        """Return an array of 32-bit integers as users get to see it, uint32."""

    def checked(self, values: object, name: str) -> A:
        """Return one-dimensional float32 values as an array that the kernels take."""

    def full(self, size: int, value: float) -> A:
        """Make float32[size]."""

    def mask(self, size: int, value: bool = False) -> A:
        """Make bool[size]."""

    def no_counts(self, size: int) -> A:
        """Make counts of 0, 32 bits each."""

    def chances(self, size: int, where: A | None) -> A:
        """Make equal probabilities, of all rows or of those in `where`."""

    # Elementwise

    def counts(self, *masks: A) -> list[int]:
        """Count the rows that are set in each mask."""

    def where(self, mask: A, inside: A | float, outside: A | float) -> A:
        """Choose by a mask among float32 arrays or numbers."""

    def below(self, values: A, bound: float, where: A | None) -> A:
        """Mark the finite values that are less than a float32 number."""

    def floats(self, array: A) -> A:
        """Convert to float32."""

    def divide(self, values: A, number: float) -> A:
        """Divide float32 values by a number that is rounded to float32 first."""

    def finite(self, values: A) -> A:
        """Mark the finite values."""

    def power(self, values: A, exponent: float) -> A:
        """Raise to a power."""

    def exp(self, values: A) -> A:
        """Return e to the power of float32 values."""

    def informative(self, rates: A, curve: PassRateCurve) -> tuple[A, list[int]]:
        """Return the probabilities of draws by pass rates, float32, and counts of rows.

        They are of finite rates outside of [0, 1], of retired ones, and of positive probabilities.
        """

    # Selections and reductions

    def hide_lowest(self, values: A, k: int, where: A | None, *, finite_only: bool) -> A:
        """Mark the k lowest values."""

    def min_max(self, values: A, where: A | None, *, finite_only: bool) -> tuple[float, float]:
        """Return the extremes; NaN without any."""

    def sum_parts(self, values: A, where: A | None, *, finite_only: bool) -> NDArray[np.int64]:
        """Return the exact sum, as integers that add up."""

    def candidates(self, values: A, where: A | None) -> Candidates[A]:
        """Return the finite values, to select among."""

    def grouped(self, labels: NDArray[np.int32], num_groups: int) -> GroupedRows[A]:
        """Return the rows with the groups that they belong to."""

    # Orders

    def mask_ids(self, mask: A, *, invert: bool) -> A:
        """Return the rows that are set, or are not, ascending; 32 bits each."""

    def order_slice(self, ids: A, seed: int, epoch: int, stream: int, start: int, stop: int) -> A:
        """Return positions [start, stop) of `ids` in a random order, int64."""

    def positions(
        self, num_rows: int, bounds: tuple[int, int], seed: int, epoch: int, stream: int
    ) -> A:
        """Return the positions of the rows of a range in a permutation of all rows, int64."""

    def walk(
        self,
        num_rows: int,
        ranges: Sequence[tuple[int, int]],
        seed: int,
        epoch: int,
        stream: int,
    ) -> A:
        """Mark the rows at ranges of positions of a permutation."""

    # Draws

    def survey(self, probabilities: A) -> tuple[float, int]:
        """Return the largest finite probability, 0 if there is none, and how many are positive."""

    def exponent_sums(self, probabilities: A, substitute: float) -> NDArray[np.uint64]:
        """Return the sum of the probabilities as integers by exponent."""

    def rates(
        self, probabilities: A, sums: NDArray[np.uint64], substitute: float, k: int
    ) -> Rates[A]:
        """Return the rates of a part of the rows."""

    def race(
        self, probabilities: A, first: int, substitute: float, seed: int, epoch: int
    ) -> Candidates[A]:
        """Return the keys of a draw without replacement, to select among."""

    def draw_mask(self, probabilities: A, k: int, seed: int, epoch: int) -> A:
        """Mark k rows drawn without replacement from all."""

    def sample(self, size: int, where: A | None, k: int, seed: int, epoch: int) -> A:
        """Mark k of all rows, or of those in `where`, each with equal chances."""

    def draw(
        self,
        probabilities: A,
        k: int,
        seed: int,
        epoch: int,
        *,
        replacement: bool,
        multinomial: bool,
    ) -> A:
        """Return k rows drawn from all, in random order, int64."""

    def cdf_counts(self, values: A, where: A | None, low: float, high: float) -> NDArray[np.uint64]:
        """Return a histogram of the finite values in 1000 bins."""

    def cdf_keep(
        self,
        values: A,
        where: A | None,
        low: float,
        high: float,
        counts: NDArray[np.uint64],
        beta: float,
        seed: int,
        epoch: int,
        first: int,
    ) -> A:
        """Toss the coins of shares for the rows from `first` on."""
