"""The sampler: observations in, batches of ids out, one plan per epoch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import boundary, groups, resume, step
from dynsample import signals as signal_functions
from dynsample._arrays import as_subset, fingerprint
from dynsample._checks import MAX_SAMPLES, choice, integer
from dynsample.columns import Column
from dynsample.ledger import Ledger
from dynsample.log import MAX_BYTES, ObservationLog
from dynsample.orders import Order, PageLocal, as_order
from dynsample.passes import BatchIterator, HiddenView, Pass
from dynsample.plan import Plan
from dynsample.policies.base import Policy
from dynsample.policies.uniform import Uniform
from dynsample.report import Report, as_report
from dynsample.staging import PinnedRing
from dynsample.table import ScoreTable


class ObservationError(RuntimeError):
    """Observations of samples that the epoch did not issue, or not that often."""


def _device(device: Any) -> Any:
    """Find a GPU, only where one was asked for: this imports torch."""
    if str(device) == "cpu":
        return None
    from dynsample.device import as_device

    return as_device(device)


class Sampler:
    """Batches of sample ids, planned every epoch by a policy from what `observe` reported.

    Iterating gives int64[B] arrays; the sampler is also a `batch_sampler` for torch's DataLoader.

    Parameters
    ----------
    num_samples : int in [0, 2**32 - 1]
        Size of the data set.
    policy : Policy
        Which samples an epoch holds; `Uniform()` when left out.
    batch_size : int
    seed : int in [0, 2**64)
        Key of all randomness; no global generator is touched.
    drop_last : bool
        Leave out the last batch of an epoch when it is not full.
    order : "random", "sequential" or PageLocal
    subset : int64[M], optional
        The ids to train on (a coreset); by default all. The policy then sees M samples.
    columns : mapping of str to Column, optional
        Further columns to keep in the table, beside those of the policy.
    group : "auto", Group, mpi4py communicator or torch process group
        The ranks that train together, see `dynsample.groups`; "auto" finds those that were
        launched. `batch_size` is that of one rank.
    placement : "replicated" or "sharded"
        Whether every rank holds the scores of all samples, or of a range of them. It changes where
        things are and nothing of what is planned. With "sharded" the start of an iterator is
        collective, `plan.order` is refused, and `observe` finds ids that were not issued at the
        next epoch's start only.
    device : "cpu", "cuda", "cuda:<number>" or torch.device
        Where table and log are. On a GPU `observe` hands the step's tensors over without waiting
        for the device, and columns, selections and orders are worked out there, with the same
        result. What `observe` cannot refuse without waiting, it counts; the next epoch's start
        raises.
    max_log_bytes : int
        What the observations of an epoch may take on a rank; beyond it `observe` is an error.
    report : path or Report, optional
        A folder that takes a line of figures at the start of every epoch, for `dynsample inspect`.

    Attributes
    ----------
    table : ScoreTable
    stats : dict of str to float
        Figures of the current epoch, for any logger.
    """

    def __init__(
        self,
        num_samples: int,
        policy: Policy | None = None,
        batch_size: int = 256,
        *,
        seed: int = 0,
        drop_last: bool = False,
        order: str | Order = "random",
        subset: Any = None,
        columns: Mapping[str, Column] | None = None,
        group: Any = "auto",
        placement: str = "replicated",
        device: Any = "cpu",
        max_log_bytes: int = MAX_BYTES,
        report: str | os.PathLike[str] | Report | None = None,
    ) -> None:
        self.num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        self.batch_size = integer(batch_size, "batch_size", 1, MAX_SAMPLES)
        self.seed = integer(seed, "seed", 0, 2**64 - 1)
        self.drop_last = bool(drop_last)
        self.policy = Uniform() if policy is None else policy
        self.placement = choice(placement, "placement", ("replicated", "sharded"))
        self.max_log_bytes = integer(max_log_bytes, "max_log_bytes", 0, 2**63 - 1)
        self.report = as_report(report)
        self._order = as_order(order)
        if placement == "sharded" and isinstance(self._order, PageLocal):
            raise ValueError(
                'order must be "random" or "sequential" with placement="sharded", got a PageLocal'
            )
        self.subset = None if subset is None else as_subset(subset, self.num_samples)
        self.group = groups.as_group(group)
        self.device = _device(device)
        self.table, self._ledger = self._empty({**self.policy.columns, **(columns or {})})
        self._ring = PinnedRing(self._log)
        self._weights: Any = None  # of all rows, on the device: its address stays
        self._known = {*signal_functions.NAMES, *self._log.signals}
        self._plan: Plan | None = None
        self._passes = (Pass(False, 0), Pass(True, 0))
        self._padded: NDArray[np.int64] | None = None  # this rank's last batch, when it is padded
        self._folded = False  # observations of this epoch are in the table
        self._explicit = False  # set_epoch was called, and no batch was asked for since
        self._warned: set[str] = set()
        self.generation = 0
        self.stats: dict[str, float] = {}

    @cached_property
    def _subset_fingerprint(self) -> str | None:
        return None if self.subset is None else fingerprint(self.subset)

    @cached_property
    def _order_fingerprint(self) -> dict[str, Any]:
        return self._order.fingerprint()

    @property
    def _log(self) -> ObservationLog:
        return self._ledger.log

    def _empty(self, columns: Mapping[str, Column]) -> tuple[ScoreTable, Ledger]:
        return boundary.empty(self, columns)

    def _replace(self, table: ScoreTable, ledger: Ledger) -> None:
        self.table, self._ledger = table, ledger
        self._ring = PinnedRing(ledger.log)

    # Epochs

    def set_epoch(self, epoch: int, *, restart: bool = False) -> None:
        """Fold what was observed and plan `epoch`; the current epoch is left as it is.

        Collective: on many ranks, all call it with the same epoch.

        Parameters
        ----------
        epoch : int in [0, 2**32)
        restart : bool
            Drop the observations of the current epoch and start it, or `epoch`, from the beginning.

        Raises
        ------
        ObservationError
            When samples were observed that the epoch did not issue to the rank that observed them,
            or more often than it issued them. These observations are left out of the table; calling
            again goes on without them.
        DisagreementError
            When ranks have other arguments, data sets, policies or versions than each other.
        GroupError
            When another rank does not come within the time limit of the group.
        """
        epoch = integer(epoch, "epoch", 0, 2**32 - 1)
        self._explicit = True
        if self._plan is not None and epoch == self.epoch and not restart:
            return
        resume.check_ranks(self, epoch, restart)
        self._ring.drain(everything=True)
        folded = boundary.Folded()
        if restart:
            self._ledger.clear()
        elif self._plan is not None:
            folded = boundary.close_epoch(self, self._plan)
            self._folded = True
            if folded.not_issued:
                self.stats["not_issued"] = folded.not_issued
                raise ObservationError(
                    f"{folded.not_issued} observations of epoch {self.epoch} were of samples that "
                    "it did not issue to the rank that observed them, or not that often (a batch "
                    "observed twice, or batches that did not come from this sampler); they were "
                    f"left out of the table{': ' if folded.detail else ''}{folded.detail}. "
                    f"set_epoch({epoch}) again goes on without them"
                )
        boundary.begin_epoch(self, epoch, folded)

    def _make_plan(self, table: ScoreTable, epoch: int) -> Plan:
        return boundary.make_plan(self, table, epoch)

    def _start(
        self, plan: Plan, kept_stop: int | None = None, received: tuple[int, int] = (0, 0)
    ) -> None:
        if kept_stop is None:
            rows = self.batch_size * self.group.size
            whole = plan.num_positions // rows * rows
            kept_stop = whole if self.drop_last else plan.num_positions
        hidden_stop = plan.num_hidden if plan.refresh else 0
        boundary.fetch(self, plan, received[0], kept_stop)
        self._plan, self._folded, self._padded = plan, False, None
        self._passes = (
            Pass(False, kept_stop, received=received[0]),
            Pass(True, hidden_stop, received=received[1]),
        )
        for cursor in self._passes:
            cursor.rewind()
        if self.device is not None:
            step.prepare(self, plan, kept_stop + hidden_stop)
        self._log.set_allowed(plan.allowed())

    def _warn_once(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(message, RuntimeWarning, stacklevel=5)

    # Batches

    def __len__(self) -> int:
        """Batches of the epoch, the same number on every rank, whatever the cursor."""
        self._ensure_planned()
        return -(-self._passes[0].stop // (self.batch_size * self.group.size))

    def __iter__(self) -> BatchIterator:
        return self.batches(prefetching=False)

    def batches(self, *, prefetching: bool) -> BatchIterator:
        """Iterate from the cursor; with `prefetching` the loader counts what its user receives.

        When the epoch is used up, and `set_epoch` was not called since, the next one is planned.
        """
        self._ensure_planned()
        if self._passes[0].received >= self._passes[0].stop and not self._explicit:
            self.set_epoch(self.epoch + 1)
        return BatchIterator(self, False, self.batch_size, prefetching)

    @property
    def hidden(self) -> HiddenView:
        """The hidden samples of this epoch, to iterate after it; empty without a due refresh."""
        self._ensure_planned()
        return HiddenView(self)

    def _pass(self, hidden: bool) -> Pass:
        return self._passes[hidden]

    def _ensure_planned(self) -> Plan:
        if self._plan is None:
            self.set_epoch(0)
            self._explicit = False
        assert self._plan is not None
        return self._plan

    # What the training step uses

    def observe(
        self, index: Any, *, logits: Any = None, targets: Any = None, **signals: Any
    ) -> None:
        """Report what the training step saw; only appends to the log.

        Parameters
        ----------
        index : int64[B]
            Ids of the batch, as the loader gave them; numpy or torch.
        logits, targets : [B, C] and int[B], optional
            The signals that the columns need are computed from these.
        **signals : float[B] or [B, 1]
            `loss`, `correct`, `confidence`, ... by name. Known ones that no column
            needs are ignored.

        Raises
        ------
        ValueError, TypeError, IndexError
            For what is missing, misshapen, or not of this epoch; nothing is then appended.
        """
        step.observe(self, index, logits, targets, signals)

    def weights(self, index: Any) -> Any:
        """Loss weights of a batch: float32[B], of the kind and on the device of `index`.

        A padded row, which a rank gets when fewer rows than ranks are left, has weight 0.
        """
        return step.weights(self, self._ensure_planned(), index)

    @property
    def plan(self) -> Plan:
        """The plan of the current epoch; epoch 0 is planned when there is none yet."""
        return self._ensure_planned()

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self._ensure_planned().random.epoch

    @property
    def lr_scale(self) -> float:
        """Factor of the learning rate in this epoch."""
        return self._ensure_planned().lr_scale

    @property
    def progress(self) -> float:
        """Epochs done, as a fraction, for schedules by iteration while epochs shrink."""
        epoch, kept = self.epoch, self._passes[0]
        return epoch + (kept.received / kept.stop if kept.stop else 1.0)

    @property
    def max_batches(self) -> int:
        """Batches of an epoch that holds every sample once."""
        rows, step = self.table.num_samples, self.batch_size * self.group.size
        return rows // step if self.drop_last else -(-rows // step)

    # State

    def state_dict(self) -> dict[str, Any]:
        """Position in the epoch: small, JSON-able, of this process. The table is in `save`."""
        return resume.state_dict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a position that `state_dict` gave; plans its epoch from the present table.

        Raises
        ------
        StateError
            When the state is of another run, or of a plan that the present table does not give.
        """
        resume.load_state_dict(self, state)

    def save(self, path: str | os.PathLike[str], *, consumed: int | None = None) -> None:
        """Write table, log and position into a directory, whole or not at all.

        Parameters
        ----------
        path : path
            A directory of this sampler's own; its previous content is kept until the new is whole.
        consumed : int, optional
            Batches that your loop received since it began to iterate. Needed in the middle of an
            epoch under a stock prefetching DataLoader; the loaders of dynsample count themselves.
        """
        self._ring.drain(everything=True)
        self._log.close()
        if refused := self._log.refusals():
            self._warn_once("refused", f"observations that are not saved: {refused}")
        resume.save(self, path, consumed)

    def load(self, path: str | os.PathLike[str], *, allow: Iterable[str] = ()) -> None:
        """Go on where `save` was: same table, log, plan and position, to the next sample.

        Parameters
        ----------
        path : path
        allow : names among "seed", "policy", "order"
            Differences to go past. When they change the plan, the epoch starts again under the new
            plan, with its observations so far in the table.

        Raises
        ------
        StateError
            When the state is damaged, foreign, newer, or of another run; the sampler is unchanged.
        """
        resume.load(self, path, frozenset(allow))
