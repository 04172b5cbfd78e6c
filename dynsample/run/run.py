"""A run as it stands: what it was made with, its table, its epoch, and what is being observed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dynsample import signals as signal_functions
from dynsample.groups import Group
from dynsample.plan.dealing import Steps
from dynsample.run.config import RunConfig
from dynsample.run.epoch import Epoch
from dynsample.run.turn import warn
from dynsample.table.log import ObservationLog
from dynsample.table.rings import PinnedRing
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    import torch

    from dynsample.table.places import Log


class Observations:
    """Where a training step reports to: the log of the epoch, and what belongs to it.

    Attributes
    ----------
    log : ObservationLog or DeviceLog
    ring : PinnedRing
        Observations on their way from a device to a log on the host.
    known : set of str
        Signals that may be reported.
    weights : float32[N] tensor or None
        Loss weights of all rows, on the device: its address stays.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.ring = PinnedRing(log)
        self.known = {*signal_functions.NAMES, *log.signals}
        self.weights: torch.Tensor | None = None


@dataclass(eq=False)
class Run:
    """The state of a sampler. Calls change it as a whole, see `turn` and `planning.adopt`.

    Attributes
    ----------
    config : RunConfig
    group : Group
    auto : bool
        Whether ranks are looked for again while there is one process.
    table : ScoreTable
    observations : Observations
    epoch : Epoch or None
        None until the first is planned.
    data_set, loaded_fingerprint
        What gives the identity of the data set, and the one that a loaded state has.
    generation : int
        Number of the last generation that was saved or loaded.
    looking : callable or None
        Gives the iterator of batches that are not to be observed, while it is alive.
    told : int or None
        What the user was told of the length, since `set_epoch`.
    put_off : list of callables
        Saves that a signal handler asked for in the middle of a call.
    warned : set of str
        What was warned of, each once.
    """

    config: RunConfig
    group: Group
    auto: bool
    table: ScoreTable
    observations: Observations
    data_set: Callable[[], str] | None = None
    loaded_fingerprint: str | None = None
    epoch: Epoch | None = None
    generation: int = 0
    looking: Callable[[], object] | None = None
    told: int | None = None
    put_off: list[Callable[[], None]] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)

    @property
    def fingerprint(self) -> str | None:
        """Identity of the data set, when it was given or a loader has brought it."""
        return None if self.data_set is None else self.data_set()

    @property
    def current(self) -> Epoch:
        """The epoch, which is planned."""
        assert self.epoch is not None
        return self.epoch

    @property
    def ids(self) -> ObservationLog:
        """Checks of ids on the host, as the log on a device does not make them."""
        log = self.observations.log
        return self.config.host_ids if log.on_device else log

    def steps(self, batch_size: int | None = None) -> Steps:
        """Return how a pass is dealt to this rank."""
        return self.config.steps(self.group, batch_size)

    def warn_once(self, what: str, message: str) -> None:
        """Warn at the user's line, of each thing once."""
        if what not in self.warned:
            self.warned.add(what)
            warn(message)
