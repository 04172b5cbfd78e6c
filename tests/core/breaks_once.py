"""A policy whose error leaves an epoch folded, and the next one not planned."""

from __future__ import annotations

import numpy as np

import dynsample as ds


class BreaksOnce(ds.Policy):
    """Fails the second time it is asked."""

    columns = {"loss": ds.Mean()}  # noqa: RUF012
    broken: list[int] = []  # noqa: RUF012

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        if epoch == 1 and not self.broken:
            self.broken.append(1)
            raise ValueError("a policy's error")
        return ds.Selection(hidden=np.arange(table.num_samples) % 4 == epoch % 4)
