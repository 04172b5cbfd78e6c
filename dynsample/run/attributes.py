"""What users may read of a run, whatever object they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dynsample.groups import Group
from dynsample.policies.base import Policy
from dynsample.report import Report
from dynsample.run import handout, life
from dynsample.run.run import Run
from dynsample.table.table import ScoreTable

if TYPE_CHECKING:
    from dynsample.kernels.cuda import Device
    from dynsample.kernels.keys import Keys


class RunAttributes:
    """Attributes of an object that has a run."""

    _run: Run

    def __bool__(self) -> bool:
        """Return True, so that `sampler or default` asks for no length."""
        return True

    def __repr__(self) -> str:
        config, group, epoch = self._run.config, self._run.group, self._run.epoch
        ranks = f", rank {group.rank} of {group.size}" if group.size > 1 else ""
        where = "nothing planned yet" if epoch is None else repr(epoch)
        return (
            f"{type(self).__name__}(num_samples={config.num_samples}, "
            f"policy={type(config.policy).__name__}, batch_size={config.batch_size}, "
            f"seed={config.seed}{ranks}; {where})"
        )

    @property
    def run(self) -> Run:
        """The state of the sampler, for loaders."""
        return self._run

    @property
    def num_samples(self) -> int:
        """Size of the data set."""
        return self._run.config.num_samples

    @property
    def batch_size(self) -> int:
        """Rows of a batch of one rank."""
        return self._run.config.batch_size

    @property
    def seed(self) -> int:
        """Key of all randomness."""
        return self._run.config.seed

    @property
    def drop_last(self) -> bool:
        """Whether an epoch's last batch is left out when it is not full."""
        return self._run.config.drop_last

    @property
    def max_batches(self) -> int:
        """Batches of an epoch that holds every sample once."""
        config, step = self._run.config, self.batch_size * self.group.size
        return config.num_rows // step if config.drop_last else -(-config.num_rows // step)

    @property
    def policy(self) -> Policy:
        """The policy, as this run uses it."""
        return self._run.config.policy

    @property
    def placement(self) -> str:
        """Where the scores are: "replicated" or "sharded"."""
        return self._run.config.placement

    @property
    def issue(self) -> str:
        """Who hands the plan out: "sampler" or "external"."""
        return self._run.config.issue

    @property
    def late(self) -> int:
        """For how many epochs after its own a plan stays open."""
        return self._run.config.late

    @property
    def subset(self) -> NDArray[np.int64] | None:
        """Ids that are trained on, ascending; None for all."""
        return self._run.config.subset

    @property
    def keys(self) -> Keys | None:
        """Names of all samples, if they were given."""
        return self._run.config.keys

    @property
    def device(self) -> Device | None:
        """The device of table and log; None for the host."""
        return self._run.config.device

    @property
    def max_log_bytes(self) -> int:
        """Most that the observations of an epoch may take on a rank."""
        return self._run.config.max_log_bytes

    @property
    def report(self) -> Report | None:
        """The report, if one is written."""
        return self._run.config.report

    @property
    def group(self) -> Group:
        """The ranks that train together."""
        return self._run.group

    @property
    def table(self) -> ScoreTable:
        """What is known of every sample."""
        return self._run.table

    @property
    def generation(self) -> int:
        """Number of the last generation that was saved or loaded."""
        return self._run.generation

    @property
    def fingerprint(self) -> str | None:
        """Identity of the data set, when it was given or a loader has brought it."""
        return self._run.fingerprint

    @property
    def stats(self) -> dict[str, float]:
        """Figures of the current epoch, for any logger; none before the first is planned."""
        return {} if self._run.epoch is None else self._run.epoch.stats

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return life.planned(self._run).number

    @property
    def lr_scale(self) -> float:
        """Factor of the learning rate in this epoch."""
        return life.planned(self._run).plan.lr_scale

    @property
    def progress(self) -> float:
        """Epochs done, as a fraction, for schedules by iteration while epochs shrink.

        With `issue="external"` by what this rank observed, times the number of ranks.
        """
        return handout.progress(self._run, life.planned(self._run))

    @property
    def outstanding(self) -> NDArray[np.int64]:
        """Ids handed out and not observed, int64[M]; with `issue="external"`, and collective.

        Of all open plans, oldest first, and of each in the order of the plan.
        """
        return handout.outstanding(self._run)
