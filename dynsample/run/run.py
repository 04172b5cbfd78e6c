"""A run as it stands: what it was made with, its table, its epoch, and what is being observed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dynsample import signals as signal_functions
from dynsample.groups import Group
from dynsample.plan.dealing import Steps
from dynsample.run.config import RunConfig, as_fingerprint
from dynsample.run.epoch import Epoch
from dynsample.run.turn import Inside, running, warn
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
    inside : Inside or None
        The call that changes the run as a whole, while it runs.
    warned : set of str
        What was warned of, each once.
    skips : str or None
        Who leaves out what was used before a load, where others hand the plan out; None: not said.
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
    inside: Inside | None = None
    warned: set[str] = field(default_factory=set)
    skips: str | None = None

    def __getstate__(self) -> dict[str, object]:
        """Say all that another run would go on with, on the host; its iterators stay here.

        Raises
        ------
        TypeError
            When the log is on a device.
        RuntimeError
            When a call that changes the run has not ended.
        """
        if self.config.device is not None:
            raise TypeError(
                f"a sampler on {self.config.device.torch_device} cannot be pickled or copied: what "
                "it observed is on the device. Make another one, and bring the state there by "
                "sampler.save(path) and load(path)"
            )
        if (other := running(self)) is not None:
            raise RuntimeError(f"the sampler cannot be copied while {other[0]} runs")
        self.observations.ring.drain(everything=True)
        log = self.observations.log
        log.close()
        signals = {name: log.signal(name) for name in log.signals}
        return {
            **vars(self),
            "observations": (log.index(), signals, log.num_folded),
            "data_set": self.fingerprint,
            "looking": None,
            "put_off": [],
            "inside": None,
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        vars(self).update(state)
        log = self.config.new_log()
        assert isinstance(log, ObservationLog)  # as that which `__getstate__` let through
        log.restore(*state["observations"])
        self.observations = Observations(log)
        self.data_set = as_fingerprint(state["data_set"])
        if self.epoch is not None:
            self.epoch.ledger.log = log
            self.epoch.ledger.allow(self.epoch.plan)

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

    def check_deals(self) -> None:
        """Raise a ValueError when others hand the plan out, and the sampler has no batches."""
        if self.config.external:
            raise ValueError(
                'sampler must be made with issue="sampler" to deal batches, got issue="external": '
                "give the framework's loader a dynsample.torch.IndexSampler, with hidden=True for "
                "the hidden samples, or leave issue= out for the loaders of dynsample and for "
                "batches of the sampler itself"
            )

    def steps(self, batch_size: int | None = None) -> Steps:
        """Return how a pass is dealt to this rank."""
        return self.config.steps(self.group, batch_size)

    def warn_once(self, what: str, message: str) -> None:
        """Warn at the user's line, of each thing once."""
        if what not in self.warned:
            self.warned.add(what)
            warn(message)
