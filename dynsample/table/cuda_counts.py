"""What a log on a device took, and what it did not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counts:
    """What a log took and what it did not; of the ids that were refused, the first of each kind."""

    observed: int
    out_of_range: int
    first_out_of_range: int | None
    not_allowed: int
    first_not_allowed: int | None
    lost: int

    @classmethod
    def of(cls, numbers: tuple[int, ...]) -> Counts:
        """Take the numbers of a header, whose first ids mean nothing where none was refused."""
        observed, outside, outside_id, barred, barred_id, lost = numbers
        first_outside, first_barred = outside_id if outside else None, barred_id if barred else None
        return cls(observed, outside, first_outside, barred, first_barred, lost)

    def __add__(self, later: Counts) -> Counts:
        return Counts(
            self.observed + later.observed,
            self.out_of_range + later.out_of_range,
            self.first_out_of_range if self.out_of_range else later.first_out_of_range,
            self.not_allowed + later.not_allowed,
            self.first_not_allowed if self.not_allowed else later.first_not_allowed,
            self.lost + later.lost,
        )
