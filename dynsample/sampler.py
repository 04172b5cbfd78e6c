"""The sampler: observations in, batches of ids out, one plan per epoch."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from dynsample.groups import as_group
from dynsample.kernels.checks import MAX_EPOCH, MAX_SAMPLES, choice, integer
from dynsample.kernels.keys import Keys, as_keys
from dynsample.kernels.numbers import as_subset
from dynsample.plan.orders import Order, OrderName, PageLocal, as_order
from dynsample.plan.plan import Plan
from dynsample.policies.base import Policy, as_policy
from dynsample.policies.uniform import Uniform
from dynsample.report import Report, as_report
from dynsample.run import life, planning, position, resume
from dynsample.run.batches import BatchIterator, refuse_sampler_slot
from dynsample.run.boundary import ObservationError as ObservationError
from dynsample.run.config import Issue, Placement, RunConfig, as_fingerprint
from dynsample.run.passes import Batch
from dynsample.run.run import Observations, Run
from dynsample.run.training_step import TrainingStep
from dynsample.run.turn import alone, running
from dynsample.run.views import AllView, HiddenView, PeekView
from dynsample.table.by_group import as_groups
from dynsample.table.columns import Column
from dynsample.table.log import MAX_BYTES

MAX_LATE = 64  # plans that are open beside the current one


class Sampler(TrainingStep):
    """Batches of sample ids, planned every epoch by a policy from what `observe` reported.

    Iterating gives int64[B] arrays; the sampler is also a `batch_sampler` for torch's DataLoader.
    The `sampler` there is for one id at a time, and an error.

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
    issue : "sampler" or "external"
        Who hands the plan out: the sampler, in batches for every rank; or a framework that shards,
        batches and prefetches a `dynsample.torch.IndexSampler` on its own. The plan is the same.
        "external" is for replicated tables without `drop_last`; see the page "Frameworks that own
        the sampler".
    fingerprint : str, optional
        Identity of the data set: a state that was saved with another one is refused. The loaders
        of DALI and FFCV bring that of their files.
    groups : int[num_samples], optional
        Group of every sample, such as its class, from 0 on; see `ScoreTable.by_group`.
    late : int in [0, 64]
        With `issue="external"`: for how many epochs after its own a plan stays open, so that what
        was in flight when the next epoch began can still be observed; see "Late observations" in
        the page "The life of an epoch".
    keys : Keys, optional
        Names of all samples, for `observe(keys=)` and `weights(keys=)`. A state is of these names.

    Attributes
    ----------
    table : ScoreTable
    generation : int
        Of the last save or load.

    Notes
    -----
    A sampler copies and pickles, by `copy` or `pickle`, with all that it has observed: the copy is
    a run of its own that goes on at the same cursor. Ranks copy it together, and share the group. A
    sampler of several ranks does not pickle, and one on a device does neither: `save` and `load`.

    Examples
    --------
    >>> sampler = ds.Sampler(1000, ds.InfoBatch(epochs=10), batch_size=100)
    >>> for epoch in range(3):
    ...     sampler.set_epoch(epoch)
    ...     for index in sampler:  # int64[B]
    ...         sampler.observe(index, loss=1 / (1 + index.astype(np.float32)))
    ...     sampler.plan.num_positions
    1000
    566
    566
    """

    def __init__(
        self,
        num_samples: int,
        policy: Policy | None = None,
        batch_size: int = 256,
        *,
        seed: int = 0,
        drop_last: bool = False,
        order: OrderName | Order = "random",
        subset: Any = None,
        columns: Mapping[str, Column] | None = None,
        group: Any = "auto",
        placement: Placement = "replicated",
        device: Any = "cpu",
        max_log_bytes: int = MAX_BYTES,
        report: str | os.PathLike[str] | Report | None = None,
        issue: Issue = "sampler",
        fingerprint: str | None = None,
        groups: Any = None,
        late: int = 0,
        keys: Keys | None = None,
    ) -> None:
        samples = integer(num_samples, "num_samples", 0, MAX_SAMPLES)
        policy = as_policy(Uniform() if policy is None else policy)
        where = choice(placement, "placement", ("replicated", "sharded"))
        folder, arranged = as_report(report), as_order(order)
        if placement == "sharded" and isinstance(arranged, PageLocal):
            raise ValueError(
                'order must be "random" or "sequential" with placement="sharded", got a PageLocal'
            )
        data_set = as_fingerprint(fingerprint)
        config = RunConfig(
            num_samples=samples,
            policy=policy,
            batch_size=integer(batch_size, "batch_size", 1, MAX_SAMPLES),
            seed=integer(seed, "seed", 0, 2**64 - 1),
            drop_last=bool(drop_last),
            order=arranged,
            subset=None if subset is None else as_subset(subset, samples),
            columns={**policy.columns, **(columns or {})},
            placement=where,
            device=planning.as_device(device),
            max_log_bytes=integer(max_log_bytes, "max_log_bytes", 0, 2**63 - 1),
            report=folder,
            issue=choice(issue, "issue", ("sampler", "external")),
            groups=None if groups is None else as_groups(groups, samples),
            late=integer(late, "late", 0, MAX_LATE),
            keys=None if keys is None else as_keys(keys, samples),
        )
        config.check_external()
        config.check_drop_last(ranks := as_group(group))
        table, log = planning.empty(config, ranks)
        self._run = Run(config, ranks, isinstance(group, str), table, Observations(log), data_set)

    def __copy__(self) -> Sampler:
        return copy.deepcopy(self)  # one run is not shared by two samplers

    # Epochs

    def set_epoch(self, epoch: int, *, restart: bool = False) -> None:
        """Fold what was observed and plan `epoch`; the current epoch goes on at its cursor.

        Collective: on many ranks, all call it with the same epoch. The page "The life of an epoch"
        says what it means after a break, a load or an iteration that nobody named.

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
        StateError
            When `epoch` is before the one that was just loaded.
        DisagreementError
            When ranks have other arguments, data sets, policies, positions or versions than each
            other.
        GroupError
            When another rank does not come within the time limit of the group.
        """
        number = integer(epoch, "epoch", 0, MAX_EPOCH)
        life.find_ranks(self._run)
        self._run.told = None
        life.go_to(self._run, number, named=True, restart=restart)

    # Batches

    def __len__(self) -> int:
        """Batches of the current epoch, the same number on every rank, whatever the cursor."""
        self._run.check_deals()
        refuse_sampler_slot()
        self._run.told = told = life.num_batches(self._run)
        return told

    def __iter__(self) -> BatchIterator:
        self._run.check_deals()
        refuse_sampler_slot()
        return self.batches(prefetching=False)

    def batches(self, *, prefetching: bool) -> BatchIterator:
        """Iterate from the cursor; with `prefetching` the loader counts what its user receives.

        When the epoch is used up, and it was not named by `set_epoch`, the next one is planned.

        Raises
        ------
        RuntimeError
            When the epoch is used up, and `set_epoch` named it.
        """
        self._run.check_deals()
        life.begin_pass(self._run, hidden=False)
        return BatchIterator(self._run, False, self.batch_size, prefetching)

    def peek(self, n: int = 1) -> list[Batch]:
        """Look at the next `n` batches of the kept samples; nothing moves.

        Fewer at the end of an epoch. They are not to be observed.
        """
        self._run.check_deals()
        return list(PeekView(self._run, n))

    def all(self, batch_size: int | None = None) -> AllView:
        """Every id once, ascending, dealt over the ranks: to score or to evaluate by.

        Without weights, without drop_last, and without a trace in the epoch; `observe` is refused
        while it is iterated.

        Parameters
        ----------
        batch_size : int, optional
            Of one rank; by default the sampler's.
        """
        return AllView(self._run, batch_size)

    @property
    def hidden(self) -> HiddenView:
        """The hidden samples of this epoch, to iterate after it; empty without a due refresh."""
        self._run.check_deals()
        life.planned(self._run)
        return HiddenView(self._run)

    @property
    def plan(self) -> Plan:
        """The plan of the current epoch; epoch 0 is planned when there is none yet."""
        epoch = life.planned(self._run)
        epoch.plan_read = True
        return epoch.plan

    # State

    def state_dict(self) -> dict[str, Any]:
        """Position in the epoch: small, JSON-able, of this process. The table is in `save`.

        With `issue="external"` positions are those handed out; what was used is in `save` too.
        """
        return position.state_dict(self._run)

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go to a position that `state_dict` gave; plans its epoch from the present table.

        Raises
        ------
        StateError
            When the state is of another run, or of a plan that the present table does not give.
        """
        position.go_to_state(self._run, state)

    def save(self, path: str | os.PathLike[str], *, consumed: int | None = None) -> None:
        """Write table, log and position into a directory, whole or not at all.

        Parameters
        ----------
        path : path
            A directory of this sampler's own; its previous content is kept until the new is whole.
        consumed : int, optional
            Batches that your loop received since it began to iterate, over the sampler or over its
            hidden samples. Needed when a stock DataLoader, or a loop over the sampler itself, has
            drawn rows that were not observed; the loaders of dynsample count themselves.
            With `issue="external"` samples, not batches: what the loops of all ranks used since
            `set_epoch` or `load`, of a policy without columns whose samples were not observed.

        Notes
        -----
        Collective. On one process it may be called in a signal handler: it then happens at once,
        or, when the handler came inside `set_epoch`, `save` or `load`, directly after that. On
        several ranks a handler sets a flag, and the loop agrees on it at a step; see docs/ranks.md.
        """
        run = self._run
        other = running(run)
        if other is not None and other[1] and run.group.size == 1:  # in a handler
            run.put_off.append(partial(self.save, path, consumed=consumed))
            return
        life.planned(run)
        alone(run, f"the save to {path}", partial(resume.save, run, path, consumed))

    def load(self, path: str | os.PathLike[str], *, allow: Iterable[str] = ()) -> None:
        """Go on where `save` was: same table, log, plan and position, to the next sample.

        Parameters
        ----------
        path : path
        allow : names among "seed", "policy", "order", "fingerprint"
            Differences to go past. When they change the plan, the epoch starts again under the new
            plan, with its observations so far in the table.

        Raises
        ------
        StateError
            When the state is damaged, foreign, newer, or of another run; the sampler is unchanged.
        """
        life.find_ranks(self._run)
        load = partial(resume.load, self._run, path, frozenset(allow))
        alone(self._run, f"the load of {path}", load)
