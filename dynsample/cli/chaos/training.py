"""The training loop of a user, with a record of every step and saves at random moments."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsample import Sampler
from dynsample.cli.chaos import generations
from dynsample.cli.chaos.hooks import Hooks
from dynsample.cli.chaos.model import Model, Output
from dynsample.cli.chaos.records import Recorder, bits, from_bits
from dynsample.cli.chaos.scenario import POLICIES, Orders
from dynsample.cli.chaos.strikes import Signals
from dynsample.disk.fields import Check, array, integer, one_of, optional, record, text
from dynsample.groups import Group
from dynsample.run.views import HiddenView
from dynsample.table.columns import Mean

SAVES = {"received": 0.15, "observed": 0.25, "planned": 0.3}  # chances
_NO_WEIGHTS = np.empty(0, np.float32)


class Pending(TypedDict):
    """A batch that was received and not used yet: ids and weights, bit for bit."""

    batch: list[str]
    hidden: bool


class State(TypedDict):
    """What is saved beside the sampler."""

    generation: int
    step: int
    weights: str
    gradient: str
    pending: Pending | None


_COUNT = integer(0, 2**53)
_PENDING: Check[Pending] = record({"batch": array(text, 2), "hidden": one_of(True, False)})
_STATE: Check[State] = record(
    {
        "generation": _COUNT,
        "step": _COUNT,
        "weights": text,
        "gradient": text,
        "pending": optional(_PENDING),
    }
)


class StoppedError(Exception):
    """The loop ended because a signal said so, and everything is saved."""


@dataclass(frozen=True)
class Done:
    """What was done when the last step ended: assigned at once, so that a handler finds it whole.

    Attributes
    ----------
    step : int
        Steps so far.
    positions : (int, int)
        Positions of the kept and of the hidden pass, at the end of the step.
    weights, gradient : int64[F, C]
        Weights of the model, and what is not applied to them yet, of this rank.
    """

    step: int
    positions: tuple[int, int]
    weights: NDArray[np.int64]
    gradient: NDArray[np.int64]


class Training:
    """The loop of a user, with a record of every step and a save at random.

    A signal is caught as users may: on one process the handler saves at once, whatever the loop is
    doing; ranks of many set a flag, agree on it at the end of a step, and save together.
    """

    def __init__(self, orders: Orders, group: Group, hooks: Hooks, signals: Signals) -> None:
        scenario = orders.scenario
        self.orders, self.group, self.hooks, self.signals = orders, group, hooks, signals
        self.model = Model(scenario.num_samples, scenario.seed)
        policy = POLICIES[scenario.policy]
        if orders.group:
            hooks.watch_selections(type(policy))
        self.sampler = Sampler(
            scenario.num_samples,
            policy,
            batch_size=scenario.global_batch // group.size,
            seed=scenario.seed,
            group=group,
            placement=orders.placement,
            issue=orders.issue,
            late=orders.late,
            columns={"losses": Mean(signal="loss")} if orders.late else None,
        )
        self.recorder = Recorder(orders.records(group.rank))
        self.folder = Path(orders.folder)
        self.done = Done(0, (0, 0), self.model.weights, np.zeros_like(self.model.weights))
        self.planning = False
        self.generation = 0
        self.numbers = itertools.count(1)  # a handler may take one in the middle of a save

    def run(self) -> None:
        """Train to the end from the newest checkpoint, or from the beginning."""
        with self.hooks.phase("load"):
            pending = self.load()
        sampler, hooks = self.sampler, self.hooks
        self.plan(sampler.epoch if self.generation else 0, pending)
        if self.group.size == 1:
            self.signals.at_once = self.save_at_once
        if pending:
            self.catch_up(pending)
        while sampler.epoch < self.orders.scenario.epochs:
            with hooks.phase("step"):
                self.go_over(hidden=False)
            with hooks.phase("hidden"):
                self.go_over(hidden=True)
            with hooks.phase("step"):
                self.end_epoch()
            self.plan(sampler.epoch + 1)
            self.stop_if_told()
            if sampler.epoch < self.orders.scenario.epochs:
                self.save_perhaps("planned")
        self.signals.at_once = None
        with hooks.phase("end"):
            self.record_end()

    def go_over(self, *, hidden: bool) -> None:
        """Do the steps of a pass."""
        for index in _counted(self.sampler.hidden if hidden else self.sampler):
            self.take(index, hidden=hidden)

    def end_epoch(self) -> None:
        """Do what is left of an epoch when its passes are over: here nothing."""

    def plan(self, epoch: int, pending: Pending | None = None) -> None:
        """Go to an epoch; what a state left to do of it is not done yet."""
        self.planning = True
        with self.hooks.phase("plan"):
            self.sampler.set_epoch(epoch)
            kept, hidden = self.positions()
            if pending:
                left = len(from_bits(pending["batch"][0], np.int64))
                kept, hidden = (kept, hidden - left) if pending["hidden"] else (kept - left, hidden)
            self.done = replace(self.done, positions=(kept, hidden))
        self.planning = False

    def positions(self) -> tuple[int, int]:
        """Say where both passes are."""
        state = self.sampler.state_dict()
        return state["positions"], state["hidden_positions"]

    def share(self, rows: int) -> tuple[int, int]:
        """Return the first row of a step that is this rank's, and the one after its last."""
        rank, size = self.group.rank, self.group.size
        return rank * rows // size, (rank + 1) * rows // size

    def take(self, index: NDArray[np.int64], *, hidden: bool) -> None:
        """Go on with a batch that the sampler gave."""
        rows = self.positions()[hidden] - self.done.positions[hidden]
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

    def catch_up(self, pending: Pending) -> None:
        """Do the step whose batch had been received, and not more, when the state was saved."""
        batch, hidden = pending["batch"], pending["hidden"]
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
        self.record(
            index[:own],
            weights[:own],
            output.loss[:own],
            hidden,
            rows=rows,
            first=self.share(rows)[0],
        )
        with self.signals.held():  # an observation belongs to the step that is counted
            if len(index):
                self.observe(index, output, hidden)
            self.done = Done(
                self.done.step + 1, self.positions(), model.weights.copy(), self.done.gradient
            )
        self.stop_if_told()
        self.save_perhaps("observed")

    def record(
        self,
        index: NDArray[np.int64],
        weights: NDArray[np.float32],
        loss: NDArray[np.float32],
        hidden: bool,
        **place: int,
    ) -> None:
        """Note what a step is made of, and where a batch stands in it, for the comparison."""
        self.recorder.append(
            step=self.done.step,
            kind="hidden" if hidden else "kept",
            **{"epoch": self.sampler.epoch, **place},
            digest=self.sampler.state_dict()["digest"],
            ids=bits(index),
            weights=bits(weights),
            losses=bits(loss),
            model=self.digest(),
        )

    def observe(self, index: NDArray[np.int64], output: Output, hidden: bool) -> None:
        """Report to the sampler."""
        with self.hooks.phase("hidden" if hidden else "observe"):
            self.hooks()
            self.report(index, output)
            self.hooks()

    def report(self, index: NDArray[np.int64], output: Output) -> None:
        """Call `Sampler.observe`."""
        self.sampler.observe(
            index, loss=output.loss, correct=output.correct, confidence=output.confidence
        )

    def drawn(self, when: str) -> bool:
        """Whether to save now: the same draw on all ranks."""
        orders = self.orders
        draw = random.Random(f"{orders.scenario.seed} {orders.life} {self.done.step} {when}")
        return orders.group is not None and draw.random() < SAVES[when]

    def save_perhaps(self, when: str) -> None:
        """Save when that is drawn."""
        if self.drawn(when):
            self.save(None)

    def save(self, pending: Pending | None) -> None:
        """Save, and remove what was saved before."""
        number = self._save(pending)
        self.recorder.append(saved=number)
        generations.forget_older(self.folder, number, self.group)

    def _save(self, pending: Pending | None) -> int:
        """Save model and sampler, and the batch that was received and not used yet."""
        number, done = next(self.numbers), self.done
        state: State = {
            "generation": number,
            "step": done.step,
            "weights": bits(done.weights),
            "gradient": bits(self.unapplied()),
            "pending": pending,
        }
        with self.hooks.phase("save"):
            self.hooks()
            generations.save(self.folder, number, state, self.sampler, self.group)
        self.generation = max(self.generation, number)
        return number

    def unapplied(self) -> NDArray[np.int64]:
        """Return what no rank has applied to the model yet: here every step does."""
        return self.done.gradient

    def save_at_once(self) -> None:
        """Save in a handler, on one process. Inside `set_epoch` and `save` it comes after them."""
        self._save(self.in_hand())

    def in_hand(self) -> Pending | None:
        """Find what the sampler gave and no step has used, wherever the loop is."""
        if self.planning:  # between two epochs everything was used
            return None
        for hidden, (first, last) in enumerate(
            zip(self.done.positions, self.positions(), strict=True)
        ):
            if first < last:
                index = self.sampler.plan.slice(first, last, hidden=bool(hidden))
                weights = _NO_WEIGHTS if hidden else self.sampler.weights(index)
                return {"batch": [bits(index), bits(weights)], "hidden": bool(hidden)}
        return None

    def stop_if_told(self) -> None:
        """End when a signal came to this process, or to any rank."""
        came = self.signals.came
        if self.group.size > 1:
            told = np.array([came], np.int64)
            came = bool(self.group.sum(told, "whether a signal came")[0])
        if not came:
            return
        if not self.signals.acted:
            self._save(None)
        self.recorder.append(saved=self.generation)
        raise StoppedError

    def load(self) -> Pending | None:
        """Go to where the newest checkpoint is; return its pending batch."""
        found = generations.load(self.folder, self.sampler, self.group)
        state = None if found is None else _STATE(found, "the model's state")
        if state is not None:
            weights = from_bits(state["weights"], np.int64)
            self.model.weights = weights.reshape(self.model.weights.shape)
        self.generation = 0 if state is None else state["generation"]
        self.numbers = itertools.count(self.generation + 1)
        step = 0 if state is None else state["step"]
        gradient = np.zeros_like(self.model.weights)
        if state is not None and self.group.rank == 0:
            gradient = from_bits(state["gradient"], np.int64).reshape(gradient.shape)
        self.done = Done(step, (0, 0), self.model.weights.copy(), gradient)
        self.recorder.append(loaded=self.generation, step=self.done.step)
        return None if state is None else state["pending"]

    def digest(self) -> str:
        """Digest of the model's bits."""
        return hashlib.blake2b(self.model.weights.tobytes(), digest_size=8).hexdigest()

    def record_end(self) -> None:
        """Record the table's rows that are here, and the plan that follows from the table."""
        table = self.sampler.table
        first, last = table.bounds
        self.recorder.append(
            end=self.done.step,
            first=first,
            last=last,
            digest=self.sampler.state_dict()["digest"],
            model=self.digest(),
            table={name: bits(array) for name, array in table.state().items()},
        )


def _counted(source: Sampler | HiddenView) -> Iterator[NDArray[np.int64]]:
    """Iterate as a loader does that counts what its user receives: not all of it is observed."""
    batches = source.batches(prefetching=True)
    for index in batches:
        yield batches.received(index)
