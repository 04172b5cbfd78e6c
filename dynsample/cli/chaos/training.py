"""The training loop of a user, with a record of every step and saves at random moments."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample import Sampler
from dynsample.cli.chaos import generations
from dynsample.cli.chaos.hooks import Hooks
from dynsample.cli.chaos.model import Model
from dynsample.cli.chaos.records import Recorder, bits, from_bits
from dynsample.cli.chaos.scenario import POLICIES, Orders
from dynsample.groups import Group

SAVES = {"received": 0.15, "observed": 0.25, "planned": 0.3}  # chances
_NO_WEIGHTS = np.empty(0, np.float32)


class Training:
    """The loop of a user, with a record of every step and a save at random."""

    def __init__(self, orders: Orders, group: Group, hooks: Hooks) -> None:
        scenario = orders.scenario
        self.orders, self.group, self.hooks = orders, group, hooks
        self.model = Model(scenario.num_samples, scenario.seed)
        self.sampler = Sampler(
            scenario.num_samples,
            POLICIES[scenario.policy](),
            batch_size=scenario.global_batch // group.size,
            seed=scenario.seed,
            group=group,
            placement=orders.placement,
        )
        self.recorder = Recorder(orders.records(group.rank))
        self.folder = Path(orders.folder)
        self.step = self.generation = 0
        self.received = {False: 0, True: 0}  # positions of the kept and of the hidden pass

    def run(self) -> None:
        """Train to the end from the newest checkpoint, or from the beginning."""
        with self.hooks.phase("load"):
            pending = self.load()
        sampler, hooks = self.sampler, self.hooks
        with hooks.phase("plan"):
            sampler.set_epoch(sampler.epoch if self.generation else 0)
        self.note_position()
        if pending:
            self.catch_up(**pending)
        while sampler.epoch < self.orders.scenario.epochs:
            with hooks.phase("step"):
                for index in sampler:
                    self.take(index, hidden=False)
            with hooks.phase("hidden"):
                for index in sampler.hidden:
                    self.take(index, hidden=True)
            with hooks.phase("plan"):
                sampler.set_epoch(sampler.epoch + 1)
            self.note_position()
            if sampler.epoch < self.orders.scenario.epochs:
                self.save_perhaps("planned")
        with hooks.phase("end"):
            self.record_end()

    def note_position(self) -> None:
        """Remember where both passes are."""
        state = self.sampler.state_dict()
        self.received = {False: state["positions"], True: state["hidden_positions"]}

    def share(self, rows: int) -> tuple[int, int]:
        """Give the first of the rows of a step that are this rank's, and the one after the last."""
        rank, size = self.group.rank, self.group.size
        return rank * rows // size, (rank + 1) * rows // size

    def take(self, index: NDArray[np.int64], *, hidden: bool) -> None:
        """Go on with a batch that the sampler gave."""
        before = self.received[hidden]
        self.note_position()
        rows = self.received[hidden] - before
        first, last = self.share(rows)
        weights = _NO_WEIGHTS if hidden else self.sampler.weights(index)
        own = last - first  # rows; with none of its own, a rank gets a padded one
        if self.drawn("received"):
            whole = [
                bits(np.concatenate(self.group.all_gather(part[:own], "a batch")))
                for part in (index, weights)
            ]
            self.save({"batch": whole, "hidden": hidden})
        self.work(index, weights, own, rows, hidden)

    def catch_up(self, batch: tuple[str, str], hidden: bool) -> None:
        """Do the step whose batch had been received, and not more, when the state was saved."""
        index, weights = from_bits(batch[0], np.int64), from_bits(batch[1], np.float32)
        first, last = self.share(len(index))
        with self.hooks.phase("hidden" if hidden else "step"):
            own = slice(first, last)
            self.work(index[own], weights[own], last - first, len(index), hidden)

    def work(
        self,
        index: NDArray[np.int64],
        weights: NDArray[np.float32],
        own: int,
        rows: int,
        hidden: bool,
    ) -> None:
        """Train on a batch, or only look at it, and observe it; then count the step."""
        sampler, model = self.sampler, self.model
        output = model.forward(index)
        if not hidden:
            gradient = model.gradient(index, output, weights)
            model.update(self.group.sum(gradient, "a training step"), sampler.lr_scale)
        self.recorder.append(
            step=self.step,
            kind="hidden" if hidden else "kept",
            epoch=sampler.epoch,
            digest=sampler.state_dict()["digest"],
            rows=rows,
            first=self.share(rows)[0],
            ids=bits(index[:own]),
            weights=bits(weights[:own]),
            losses=bits(output.loss[:own]),
            model=self.digest(),
        )
        if len(index):
            self.observe(index, output, hidden)
        self.step += 1
        self.save_perhaps("observed")

    def observe(self, index: NDArray[np.int64], output: Any, hidden: bool) -> None:
        """Report to the sampler."""
        with self.hooks.phase("hidden" if hidden else "observe"):
            self.hooks()
            self.sampler.observe(
                index, loss=output.loss, correct=output.correct, confidence=output.confidence
            )
            self.hooks()

    def drawn(self, when: str) -> bool:
        """Whether to save now: the same draw on all ranks."""
        orders = self.orders
        draw = random.Random(f"{orders.scenario.seed} {orders.life} {self.step} {when}")
        return orders.group is not None and draw.random() < SAVES[when]

    def save_perhaps(self, when: str) -> None:
        """Save when that is drawn."""
        if self.drawn(when):
            self.save(None)

    def save(self, pending: Any) -> None:
        """Save model and sampler, and the batch that was received and not used yet."""
        self.generation += 1
        state = {
            "generation": self.generation,
            "step": self.step,
            "weights": bits(self.model.weights),
            "pending": pending,
        }
        with self.hooks.phase("save"):
            self.hooks()
            generations.save(self.folder, self.generation, state, self.sampler, self.group)
        self.recorder.append(saved=self.generation)

    def load(self) -> Any:
        """Go to where the newest checkpoint is; give its pending batch."""
        state = generations.load(self.folder, self.sampler, self.group)
        if state is None:
            state = {"generation": 0, "step": 0, "pending": None}
        else:
            weights = from_bits(state["weights"], np.int64)
            self.model.weights = weights.reshape(self.model.weights.shape)
        self.generation, self.step = state["generation"], state["step"]
        self.recorder.append(loaded=self.generation, step=self.step)
        return state["pending"]

    def digest(self) -> str:
        """Digest of the model's bits."""
        return hashlib.blake2b(self.model.weights.tobytes(), digest_size=8).hexdigest()

    def record_end(self) -> None:
        """Record the table's rows that are here, and the plan that follows from the table."""
        table = self.sampler.table
        first, last = table.bounds
        self.recorder.append(
            end=self.step,
            first=first,
            last=last,
            digest=self.sampler.state_dict()["digest"],
            model=self.digest(),
            table={name: bits(array) for name, array in table.state().items()},
        )
