"""What a run was made with: the same on all ranks, and in every process that goes on with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.groups import Group
from dynsample.kernels import HOST, AnyKernels
from dynsample.kernels.convert import fingerprint as fingerprint_of
from dynsample.kernels.keys import Keys
from dynsample.kernels.numbers import rows_of_ids
from dynsample.plan.dealing import Steps
from dynsample.plan.orders import Order
from dynsample.policies.base import Policy
from dynsample.report import Report
from dynsample.table.columns import Column, signals_of
from dynsample.table.issued import names_of_issued
from dynsample.table.log import ObservationLog
from dynsample.table.places import make_log

if TYPE_CHECKING:
    from dynsample.kernels.cuda import Device
    from dynsample.table.places import Log


Placement: TypeAlias = Literal["replicated", "sharded"]
Issue: TypeAlias = Literal["sampler", "external"]


def as_fingerprint(value: object) -> Callable[[], str] | None:
    """Return what gives the identity of a data set, when there is one."""
    if value is not None and (not isinstance(value, str) or not value):
        raise TypeError(
            f"fingerprint must be a non-empty string, got {type(value).__name__} {value!r}"
        )
    return None if value is None else lambda: value


@dataclass(frozen=True, eq=False, kw_only=True)
class RunConfig:
    """The arguments of a sampler, checked; see `dynsample.Sampler`.

    Attributes
    ----------
    columns : mapping of str to Column
        Those of the policy, and further ones.
    device : dynsample.kernels.cuda.Device or None
        None is the host.
    """

    num_samples: int
    policy: Policy
    batch_size: int
    seed: int
    drop_last: bool
    order: Order
    subset: NDArray[np.int64] | None
    columns: Mapping[str, Column]
    placement: str
    device: Device | None
    max_log_bytes: int
    report: Report | None
    issue: str
    groups: NDArray[np.int32] | None
    late: int
    keys: Keys | None

    @property
    def external(self) -> bool:
        """Whether others hand the plan out."""
        return self.issue == "external"

    @property
    def num_rows(self) -> int:
        """Samples that are trained on: rows of the table."""
        return self.num_samples if self.subset is None else len(self.subset)

    @property
    def kernels(self) -> AnyKernels:
        """What works on the table, where that is."""
        if self.device is None:
            return HOST
        from dynsample.kernels.cuda.backend import OnDevice

        return OnDevice(self.device)

    @cached_property
    def signals(self) -> list[str]:
        """Signals that an observation must bring."""
        return signals_of(self.columns)

    @cached_property
    def decisive(self) -> list[str]:
        """Those of them that the policy decides by."""
        return signals_of(self.policy.columns)

    @cached_property
    def subset_fingerprint(self) -> str | None:
        """Identity of the subset."""
        return None if self.subset is None else fingerprint_of(self.subset)

    @cached_property
    def groups_fingerprint(self) -> str | None:
        """Identity of the groups of the samples."""
        return None if self.groups is None else fingerprint_of(self.groups)

    @property
    def groups_of_rows(self) -> NDArray[np.int32] | None:
        """Group of every sample that is trained on."""
        if self.groups is None or self.subset is None:
            return self.groups
        return self.groups[self.subset]

    @cached_property
    def order_fingerprint(self) -> dict[str, object]:
        """Identity of the order."""
        return self.order.fingerprint()

    def row_of(self) -> NDArray[np.int32] | None:
        """Return the row of every id, -1 for none; None where rows are ids."""
        return None if self.subset is None else rows_of_ids(self.subset, self.num_samples)

    def new_log(self) -> Log:
        """Return an empty log, where the run wants it."""
        log = make_log(self.kernels, self.num_rows, self.signals, self.max_log_bytes)
        if self.subset is not None:
            log.set_rows(self.row_of())
        return log

    @cached_property
    def host_ids(self) -> ObservationLog:
        """A log on the host that is only asked which rows ids have: made once, not in each step."""
        log = ObservationLog(self.num_rows, [])
        log.set_rows(self.row_of())
        return log

    def steps(self, group: Group, batch_size: int | None = None) -> Steps:
        """Return how a pass is dealt; by default in batches of the run's size."""
        size = self.batch_size if batch_size is None else batch_size
        return Steps(size, group.rank, group.size)

    def check_external(self) -> None:
        """Raise when others are to hand out what they cannot."""
        if not self.external and self.late:
            raise ValueError(
                f'late must be 0 with issue="sampler", got {self.late}: what a plan of the sampler '
                "dealt is observed before the next epoch begins"
            )
        if not self.external:
            return
        if self.late and self.device is not None:
            raise ValueError(
                f"late must be 0 with a table on {self.device.torch_device}, got {self.late}: "
                "which plan an observation is of is worked out on the host. Leave device= out; "
                "observe takes tensors of any device"
            )
        if self.placement == "sharded":
            raise ValueError(
                'placement must be "replicated" with issue="external", got "sharded": every rank '
                "hands out the whole order"
            )
        if names := names_of_issued(self.columns):
            raise ValueError(
                f'column {names[0]!r} must not be of kind Issued with issue="external": which '
                "samples the framework has used of what it was handed is not known"
            )
        if self.drop_last:
            raise ValueError(
                'drop_last must be False with issue="external", got True: the framework makes the '
                "batches, and its loader can drop the last one"
            )

    def check_drop_last(self, group: Group) -> None:
        """Raise when a batch of all ranks is larger than the data set, and would be dropped."""
        rows, step = self.num_rows, self.batch_size * group.size
        if self.drop_last and 0 < rows < step:
            raise ValueError(
                f"drop_last must be False for {rows} samples, fewer than a batch of all ranks, "
                f"{step}: every epoch would be empty"
            )
