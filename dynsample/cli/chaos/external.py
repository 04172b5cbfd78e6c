"""A loop that hands a plan out as frameworks do: it shards, pads, prefetches and reorders."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dynsample.cli.chaos.training import Pending, Training
from dynsample.run import handout

Integers = NDArray[np.int64]


class ExternalTraining(Training):
    """As `Training`, over the order of the whole plan, whose batches are this loop's.

    Which rows are a step depends on what was in flight when a life ended. So that nothing else
    does, the model takes one step an epoch, with the gradients of all rows, which are integers: a
    row that is lost or comes twice changes all that follows.
    """

    def go_over(self, *, hidden: bool) -> None:
        """Do the steps of a pass: on every rank as many, some of them without a batch."""
        for index, own in self.batches(hidden=hidden):
            if self.drawn("received"):
                self.save(None)
            self.use(index, own, hidden)

    def batches(self, *, hidden: bool) -> Iterator[tuple[Integers, int]]:
        """Yield batches in the order in which they are ready, and how many rows are no padding.

        A rank that has no batch in the last round repeats its first one, as shards are padded.
        """
        rank, size, rows = self.group.rank, self.group.size, self.sampler.batch_size
        sampler, orders = self.sampler, self.orders
        ids = list(handout.iterate(sampler.run, hidden=hidden, start=0))
        every = [np.array(ids[first : first + rows]) for first in range(0, len(ids), rows)]
        source = random.Random(f"{orders.scenario.seed} {orders.life} {rank} {sampler.epoch}")
        window, mine = [], every[rank::size]
        first = mine[0] if mine else np.empty(0, np.int64)
        for batch in mine:
            window.append(batch)
            if len(window) == 4:  # workers that are not equally fast
                ready = window.pop(source.randrange(4))
                yield ready, len(ready)
        for ready in window:
            yield ready, len(ready)
        for _ in range(len(mine), -(-len(every) // size)):
            # Of a row that the plan holds twice, padding could take the place of the other one.
            yield (first[:0] if sampler.plan.repeated else first), 0

    def use(self, index: Integers, own: int, hidden: bool) -> None:
        """Add up the gradient of a batch and observe all of it; then count the step."""
        model = self.model
        output = model.forward(index)
        weights = self.weights(index)
        gradient = np.zeros_like(model.weights)
        if own and not hidden:
            gradient = model.gradient(index, output, weights)
        self.record(index[:own], weights[:own], output.loss[:own], hidden, **self.place())
        with self.signals.held():  # an observation belongs to the step that is counted
            if len(index):
                self.observe(index, output, hidden)
            total = self.done.gradient + gradient
            self.done = replace(self.done, step=self.done.step + 1, gradient=total)
        self.stop_if_told()
        self.save_perhaps("observed")

    def weights(self, index: Integers) -> NDArray[np.float32]:
        """Return the loss weights of a batch."""
        return self.sampler.weights(index)

    def place(self) -> dict[str, int]:
        """Say where a batch stands, beyond its step."""
        return {}

    def unapplied(self) -> Integers:
        """Return the gradient of all rows of the epoch that were used so far."""
        return self.group.sum(self.done.gradient, "the gradient of an epoch")

    def end_epoch(self) -> None:
        """Apply the gradient of the epoch: once, wherever a handler may save."""
        self.model.update(self.unapplied(), self.sampler.lr_scale)
        weights = self.model.weights.copy()
        self.done = replace(self.done, weights=weights, gradient=np.zeros_like(weights))

    def in_hand(self) -> Pending | None:
        """Return nothing: what was not observed comes again."""
        return None
