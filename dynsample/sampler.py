"""The sampler: observations in, batches of ids out, one plan per epoch."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import groups, resume
from dynsample import signals as signal_functions
from dynsample._arrays import is_tensor, like
from dynsample._checks import MAX_SAMPLES, integer
from dynsample.columns import Column
from dynsample.log import ObservationLog
from dynsample.orders import Order, as_order
from dynsample.passes import BatchIterator, HiddenView, Pass
from dynsample.plan import EpochPlan, build_plan
from dynsample.policies.base import EpochRandom, Policy
from dynsample.policies.uniform import Uniform
from dynsample.staging import PinnedRing
from dynsample.table import ScoreTable


class ObservationError(RuntimeError):
    """Observations of samples that the epoch did not issue, or not that often."""


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
    group : "auto", Group, mpi4py communicator or torch.distributed process group
        The ranks that train together; "auto" finds them, or refuses a launched world that it
        cannot join. This version serves one rank.

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
        group: str | groups.Group | None = "auto",
    ) -> None:
        self.num_samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        self.batch_size = integer(batch_size, "batch_size", 1, MAX_SAMPLES)
        self.seed = integer(seed, "seed", 0, 2**64 - 1)
        self.drop_last = bool(drop_last)
        self.policy = Uniform() if policy is None else policy
        self.group = groups.as_group(group)
        if self.group.size > 1:
            raise RuntimeError(
                f"one rank is served, got {self.group}: several come with the next change"
            )
        self._order = as_order(order)
        self.subset = None if subset is None else _as_subset(subset, self.num_samples)
        self.table, self._log = self._empty({**self.policy.columns, **(columns or {})})
        self._ring = PinnedRing(self._log)
        self._known = {*signal_functions.NAMES, *self._log.signals}
        self._plan: EpochPlan | None = None
        self._passes = (Pass(False, 0), Pass(True, 0))
        self._folded = False  # observations of this epoch are in the table
        self._explicit = False  # set_epoch was called, and no batch was asked for since
        self._warned: set[str] = set()
        self.generation = 0
        self.stats: dict[str, float] = {}

    def _empty(self, columns: Mapping[str, Column]) -> tuple[ScoreTable, ObservationLog]:
        rows = self.num_samples if self.subset is None else len(self.subset)
        table = ScoreTable(rows, columns, index=self.subset)
        signals = sorted({column.signal or name for name, column in columns.items()})
        log = ObservationLog(rows, signals)
        if self.subset is not None:
            row_of = np.full(self.num_samples, -1, np.int32)
            row_of[self.subset] = np.arange(rows, dtype=np.int32)
            log.set_rows(row_of)
        return table, log

    def _replace(self, table: ScoreTable, log: ObservationLog) -> None:
        self.table, self._log = table, log
        self._ring = PinnedRing(log)

    # Epochs

    def set_epoch(self, epoch: int, *, restart: bool = False) -> None:
        """Fold what was observed and plan `epoch`; the current epoch is left as it is.

        Parameters
        ----------
        epoch : int in [0, 2**32)
        restart : bool
            Drop the observations of the current epoch and start it, or `epoch`, from the beginning.

        Raises
        ------
        ObservationError
            When samples were observed that the epoch did not issue, or more often than it issued
            them. These observations are left out of the table; calling again goes on without them.
        """
        epoch = integer(epoch, "epoch", 0, 2**32 - 1)
        self._explicit = True
        if self._plan is not None and epoch == self.epoch and not restart:
            return
        self._ring.drain(everything=True)
        fold_seconds = not_issued = non_finite = 0.0
        if restart:
            self._log.clear()
        elif self._plan is not None and len(self._log):
            start = time.perf_counter()
            not_issued, non_finite = self._fold(self._plan)
            fold_seconds = time.perf_counter() - start
            if not_issued:
                self.stats["not_issued"] = not_issued
                raise ObservationError(
                    f"{not_issued} observations of epoch {self.epoch} were of samples that it did "
                    "not issue, or not that often (a batch observed twice, or batches that did "
                    "not come from this sampler); they were left out of the table. "
                    f"set_epoch({epoch}) again goes on without them"
                )
        elif self._plan is not None and not self._folded:
            self._warn_unobserved()
        start = time.perf_counter()
        plan = self._make_plan(self.table, epoch)
        self._start(plan)
        self.stats = {
            **resume.plan_stats(plan, self.table),
            "not_issued": 0,
            "non_finite": non_finite,
            "fold_seconds": fold_seconds,
            "plan_seconds": time.perf_counter() - start,
        }

    def _fold(self, plan: EpochPlan) -> tuple[int, int]:
        if plan.refresh and self._passes[1].received < self._passes[1].stop:
            left = self._passes[1].stop - self._passes[1].received
            self._warn_once(
                "refresh",
                f"epoch {plan.random.epoch}: {left} of {plan.num_hidden} hidden samples were due "
                "for a forward pass and were not iterated; go over sampler.hidden after the "
                "epoch, or choose a larger refresh_every",
            )
        non_finite = sum(
            len(self._log) - int(np.count_nonzero(np.isfinite(self._log.signal(name))))
            for name in self._log.signals
        )
        quota = plan.issued(self._passes[0].drawn, self._passes[1].drawn)
        rejected = self.table.fold(self._log, epoch=plan.random.epoch, quota=quota)
        self._log.clear()
        self._folded = True
        return rejected, non_finite

    def _make_plan(self, table: ScoreTable, epoch: int) -> EpochPlan:
        selection = self.policy.select(table, epoch, EpochRandom(self.seed, epoch))
        return build_plan(
            selection,
            table.num_samples,
            seed=self.seed,
            epoch=epoch,
            order=self._order,
            index=self.subset,
        )

    def _start(self, plan: EpochPlan, kept_stop: int | None = None) -> None:
        if kept_stop is None:
            whole = plan.num_positions // self.batch_size * self.batch_size
            kept_stop = whole if self.drop_last else plan.num_positions
        self._plan, self._folded = plan, False
        hidden_stop = plan.num_hidden if plan.refresh else 0
        self._passes = (Pass(False, kept_stop), Pass(True, hidden_stop))
        self._log.set_allowed(plan.allowed())

    def _warn_unobserved(self) -> None:
        if self.policy.columns and self._passes[0].drawn:
            self._warn_once(
                "unobserved",
                f"nothing was observed in epoch {self.epoch}, and {type(self.policy).__name__} "
                f"selects by {', '.join(self._log.signals)}: call sampler.observe in every step",
            )

    def _warn_once(self, what: str, message: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(message, RuntimeWarning, stacklevel=4)

    # Batches

    def __len__(self) -> int:
        """Batches of the epoch, whatever the cursor."""
        self._ensure_planned()
        return -(-self._passes[0].stop // self.batch_size)

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
        return HiddenView(self, self.batch_size)

    def _pass(self, hidden: bool) -> Pass:
        return self._passes[hidden]

    def _ensure_planned(self) -> EpochPlan:
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
        if self._plan is None:
            raise RuntimeError(
                "observe before the first epoch was planned: call set_epoch, or iterate, first"
            )
        if logits is not None or targets is not None:
            computed = signal_functions.compute(
                self._log.signals, logits, targets, self.policy.confidence
            )
            signals = {**computed, **signals}
        if not self._known.issuperset(signals):
            unknown = ", ".join(sorted(set(signals) - self._known))
            raise ValueError(
                f"unknown signals {unknown}; known are {', '.join(sorted(self._known))}"
            )
        if self._ring or not self._log.append_in_place(index, signals):
            self._append_converted(index, signals)

    def _append_converted(self, index: Any, signals: Mapping[str, Any]) -> None:
        if self._ring.takes(index, signals):
            self._ring.push(index, signals)
        else:
            self._log.append(index, signals)

    def weights(self, index: Any) -> Any:
        """Loss weights of a batch: float32[B], of the kind and on the device of `index`."""
        plan = self._ensure_planned()
        ids = index.detach().cpu().numpy() if is_tensor(index) else np.asarray(index)
        if plan.weights is None:
            weights = np.ones(ids.shape, np.float32)
        else:
            rows = ids if self.subset is None else np.searchsorted(self.subset, ids)
            weights = plan.weights[rows]
        result = like(weights, index)
        return result.to(index.device) if is_tensor(index) else result

    @property
    def plan(self) -> EpochPlan:
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
        rows = self.table.num_samples
        return rows // self.batch_size if self.drop_last else -(-rows // self.batch_size)

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


def _as_subset(subset: Any, num_samples: int) -> NDArray[np.int64]:
    ids = subset.detach().cpu().numpy() if is_tensor(subset) else np.asarray(subset)
    if ids.ndim != 1 or (len(ids) and ids.dtype.kind not in "iu"):
        raise TypeError(f"subset must be a one-dimensional integer array, got {ids.dtype}")
    unique = np.unique(ids.astype(np.int64))
    if len(unique) != len(ids):
        raise ValueError(f"subset must not repeat ids: {len(ids) - len(unique)} are repeated")
    if len(unique) and not (unique[0] >= 0 and unique[-1] < num_samples):
        raise IndexError(
            f"subset must hold ids in [0, {num_samples}), got {unique[0]} to {unique[-1]}"
        )
    return unique
