"""A loop whose batches are in flight over several epochs: what it observes is late."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dynsample.cli.chaos.external import ExternalTraining
from dynsample.cli.chaos.hooks import Hooks
from dynsample.cli.chaos.model import Output
from dynsample.cli.chaos.records import bits
from dynsample.cli.chaos.scenario import Orders
from dynsample.cli.chaos.strikes import Signals
from dynsample.cli.chaos.training import Pending
from dynsample.groups import Group
from dynsample.run import handout

Integers = NDArray[np.int64]


class InFlight(NamedTuple):
    """A batch that was handed out, and of which plan and pass."""

    ids: Integers
    epoch: int
    hidden: bool


_NOTHING = InFlight(np.empty(0, np.int64), -1, False)


class LateTraining(ExternalTraining):
    """As `ExternalTraining`, with batches that stay in flight for up to `late` epochs.

    Every round a rank takes its next batch, and all ranks use as many of those in flight, drawn
    from all of them; a rank that has none left does a step without rows. What is in flight is lost
    in a kill. The plans depend on what was observed when, so that a life is compared with the plans
    that it was given, and with no other run.
    """

    def __init__(self, orders: Orders, group: Group, hooks: Hooks, signals: Signals) -> None:
        super().__init__(orders, group, hooks, signals)
        self.flight: list[InFlight] = []
        self.using = _NOTHING

    def go_over(self, *, hidden: bool) -> None:
        """Hand a pass out, and use some of what is in flight meanwhile."""
        orders, number = self.orders, self.sampler.epoch
        batches = self.cut(hidden=hidden)
        source = random.Random(f"{orders.scenario.seed} {orders.life} {number} {hidden}")
        for begin in range(0, len(batches), self.group.size):
            mine = batches[begin : begin + self.group.size][self.group.rank :]
            self.flight += mine[:1]
            for _ in range(source.choice([0, 0, 1, 1, 2])):
                self.use_some()

    def cut(self, *, hidden: bool) -> list[InFlight]:
        """Return the batches of a pass, each of one plan, dealt to nobody yet."""
        run, rows = self.sampler.run, self.sampler.batch_size
        epochs = handout.epochs(run, hidden=hidden)
        ids = np.array(list(handout.iterate(run, hidden=hidden, start=0)), np.int64)
        batches = []
        for epoch in np.unique(epochs).tolist():
            of_plan = ids[epochs == epoch]
            for first in range(0, len(of_plan), rows):
                batches.append(InFlight(of_plan[first : first + rows], epoch, hidden))
        return batches

    def use_some(self) -> None:
        """Use any one of the batches in flight, or none when there is none."""
        if self.drawn("received"):
            self.save(None)
        source = random.Random(f"{self.orders.life} {self.group.rank} {self.done.step}")
        waiting = len(self.flight)
        self.using = self.flight.pop(source.randrange(waiting)) if waiting else _NOTHING
        self.use(self.using.ids, len(self.using.ids), self.using.hidden)

    def weights(self, index: Integers) -> NDArray[np.float32]:
        """Return the loss weights of the batch that is used."""
        if not len(index):
            return np.empty(0, np.float32)
        return self.sampler.weights(index, epoch=self.using.epoch)

    def report(self, index: Integers, output: Output) -> None:
        """Observe the batch that is used, for the plan that it is of."""
        self.sampler.observe(
            index,
            epoch=self.using.epoch,
            loss=output.loss,
            correct=output.correct,
            confidence=output.confidence,
        )

    def place(self) -> dict[str, int]:
        """Say of which plan the batch is, and in which epoch it is used."""
        return {"epoch": self.using.epoch, "now": self.sampler.epoch}

    def end_epoch(self) -> None:
        """Use what would be open no more in the next epoch, and at the end all; then update."""
        number, last = self.sampler.epoch, self.orders.scenario.epochs - 1
        oldest = number if number == last else number - self.sampler.late
        due = [one for one in self.flight if one.epoch <= oldest]
        most = max(
            int(count[0]) for count in self.group.all_gather(np.array([len(due)]), "a flight")
        )
        kept = [one for one in self.flight if one.epoch > oldest]
        for _ in range(most):
            self.flight = due
            self.use_some()
        self.flight = kept
        super().end_epoch()

    def plan(self, epoch: int, pending: Pending | None = None) -> None:
        """Go to an epoch, and record its plan."""
        super().plan(epoch, pending)
        now = self.sampler.run.current
        if not now.over and epoch < self.orders.scenario.epochs:
            hidden = now.plan.slice(0, now.passes[1].stop, hidden=True)
            kept = now.plan.slice(0, now.passes[0].stop)
            self.recorder.append(planned=epoch, kept=bits(kept), hidden=bits(hidden))
