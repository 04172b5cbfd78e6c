"""The kernels on a GPU beside torch's and CUB's, and the bandwidth of a copy.

Stream time by CUDA events with cold caches; the time the host is busy; what waits for the device.
Answers are compared with those of the CPU, and plans by their digests: a wrong one fails. A goal
that is not met is printed, and fails nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from common import Bench
from cuda_cases import NAMES, TABLE_CASES, Case, observations
from gpu import Gpu, add_device, facts, run

import dynsample as ds
from dynsample.policies import registry

SIZES = [1_281_167, 14_197_122, 1_000_000_000]
HOST_SIZE = 5000
LARGE = 20_000_000  # rows from which only the tables' cases are run
BOUNDARY_BATCH = 8192
MIDDLE, BILLION = 14_197_122, 1_000_000_000

PARAMETERS = {  # of a policy; the others have their defaults
    "infobatch": {"epochs": 10},
    "importance": {"smoothing": 0.1, "correct_bias": True},
    "forgetting": {"static_epochs": 1},
    "curriculum": {"pace": ds.schedules.root(0.3, 4)},
    "seta": {"epochs": 10},
    "weighted": {"probabilities": "loss"},
}
POLICIES = {name: registry.make(name, **PARAMETERS.get(name, {})) for name in registry.POLICIES}
POLICIES["random, replacement"] = registry.make("random", replacement=True)


class Failures:
    """What went wrong, and goals met or not."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.goals: list[str] = []

    def check(self, what: str, call: Callable[[], object]) -> None:
        """Note it when an assertion of a check does not hold."""
        try:
            call()
        except AssertionError as error:
            self.wrong.append(what)
            print(f"WRONG: {what} {str(error).strip()[:300]}", flush=True)

    def goal(self, bench: Bench, what: str, found: float, sign: str, wanted: float) -> None:
        """Note a goal, and whether it was met."""
        met = found <= wanted if sign == "<=" else found >= wanted
        text = f"{what}: {found:.4g}, goal {sign} {wanted:g}: {'met' if met else 'not met'}"
        self.goals.append(text)
        bench.note("goal", text, what=what, found=found, sign=sign, wanted=wanted, met=met)


def time_case(bench: Bench, gpu: Gpu, case: Case, rate: float, failures: Failures) -> None:
    """Check, time beside every peer, and say how far from a copy."""
    failures.check(f"{case.name} at {bench.n}", case.check)
    for peer, reason in case.left_out.items():
        print(f"{case.name:<34}{peer} is left out: {reason}")
    ours, ratios = 0.0, {}
    pairs = min(3, bench.args.pairs) if bench.n > LARGE else bench.args.pairs
    for name, peer in case.peers.items():
        try:
            gpu.seconds(peer, case.setup)
        except RuntimeError as error:  # out of memory, or too many rows for it
            print(f"{case.name:<34}{name} is left out: {str(error).splitlines()[0]}")
            continue
        timed = bench.compare(
            case.name, case.ours, name, peer, unit="us", per=case.per, pairs=pairs, setup=case.setup
        )
        ours, ratios[name] = timed.ours, timed.ratio
    if not ratios:
        times = [gpu.seconds(case.ours, case.setup) for _ in range(pairs)]
        ours = float(np.median(times)) * 1e6 / case.per
    speed = case.num_bytes / (ours * 1e-6)
    host = gpu.host_seconds(case.ours, case.setup, pairs) * 1e6 / case.per
    if case.setup:
        case.setup()
    syncs, copies = (number / case.per for number in gpu.waits(case.ours))
    if not case.waits and (syncs or copies):
        failures.wrong.append(f"{case.name} waits for the device")
    bench.note(
        case.name,
        f"{ours:.2f} us, {case.num_bytes / 1e6:.3f} MB, {100 * speed / rate:.0f} % of a copy; host "
        f"{host:.1f} us, {syncs:g} waits, {copies:g} copies to the host",
        stream_us=ours, num_bytes=case.num_bytes, share_of_copy=speed / rate, host_us=host,
        synchronisations=syncs, copies_to_host=copies,
    )  # fmt: skip
    if case.name == "mask of 30 %":
        if limit := {MIDDLE: 40, BILLION: 1400}.get(bench.n):
            failures.goal(bench, f"mask at {bench.n}, us", ours, "<=", limit)
        if "torch.topk to mask" in ratios:
            ratio = ratios["torch.topk to mask"]
            failures.goal(bench, f"mask at {bench.n}, times torch.topk", ratio, ">=", 20)
    if not case.waits:
        failures.goal(bench, f"{case.name}, us", ours, "<=", 5)
        failures.goal(bench, f"{case.name}, waits", syncs + copies, "<=", 0)


def signals(n: int) -> dict[str, np.ndarray]:
    """Scores of every row, with ties, NaN and infinities among the losses."""
    random = np.random.default_rng(0)
    loss = np.floor(random.exponential(size=n) * 4096).astype(np.float32) / 4096
    loss[::9973], loss[5::9973] = np.nan, np.inf
    correct = (random.random(n, np.float32) < 0.7).astype(np.float32)
    return {"loss": loss, "correct": correct, "confidence": random.random(n, np.float32)}


def compare_digests(bench: Bench, gpu: Gpu, values: dict[str, np.ndarray]) -> None:
    """Plan by every policy on both, from the same scores."""
    ids = np.arange(bench.n)
    confidence, correct = values["confidence"], values["correct"]
    values = {**values, "precision": confidence, "recall": correct, "reward": confidence}
    for name, policy in POLICIES.items():
        found = []
        for where in ("cpu", gpu.device):
            given = {"seed": 3, "device": where, "group": None, "groups": ids % 1000}
            sampler = ds.Sampler(bench.n, policy, **given)
            if policy.columns:
                sampler.table.observe(ids, **values)
            for column, rule in policy.columns.items():
                if isinstance(rule, ds.Static):
                    sampler.table.set_column(column, values["confidence"])
            sampler.set_epoch(2)
            found.append((sampler.plan.digest, sampler.plan.num_positions))
        assert found[0] == found[1], f"{name}: {found[0]} on the CPU, {found[1]} on the device"
        print(f"{name:<34}same plan as on the CPU at {bench.n}: {found[0][0]}", flush=True)


class Run:
    """A sampler and an epoch of observations of it."""

    def __init__(self, gpu: Gpu, where: object, values: dict[str, np.ndarray]) -> None:
        there = gpu.torch_device if where != "cpu" else torch.device("cpu")
        n = len(values["loss"])
        self.sampler = ds.Sampler(n, ds.Kakurenbo(), BOUNDARY_BATCH, device=where, group=None)
        self._values = {name: torch.from_numpy(values[name]).to(there) for name in NAMES}
        self._there, self._full = there, False
        self.sampler.set_epoch(0)

    def fill(self) -> None:
        """Observe every batch of the epoch, unless that was done."""
        if self._full:
            return
        for batches in (self.sampler, self.sampler.hidden):
            for batch in batches:
                ids = torch.from_numpy(batch).to(self._there)
                self.sampler.observe(ids, **{k: v[ids] for k, v in self._values.items()})
        self._full = True

    def advance(self) -> None:
        """Fold, and plan the next epoch."""
        self.sampler.set_epoch(self.sampler.epoch + 1)
        self._full = False


def boundary(bench: Bench, gpu: Gpu, values: dict[str, np.ndarray], failures: Failures) -> None:
    """Time a whole epoch boundary on both."""
    ours, theirs = Run(gpu, gpu.device, values), Run(gpu, "cpu", values)
    bench.timer = gpu.wall_seconds
    bench.compare("epoch boundary, Kakurenbo", ours.advance, "the same on the CPU", theirs.advance,
                  pairs=min(5, bench.args.pairs),
                  setup=lambda: (ours.fill(), theirs.fill()))  # fmt: skip
    bench.timer = gpu.seconds

    def same() -> None:
        assert ours.sampler.plan.digest == theirs.sampler.plan.digest

    failures.check(f"epoch boundary at {bench.n}", same)


def check_counting(gpu: Gpu) -> None:
    """Make sure that the profiler sees a wait inside our own module."""
    log = ds.Sampler(10, ds.Kakurenbo(), device=gpu.device, group=None).run.observations.log
    syncs, copies = gpu.waits(log.counts)
    assert not gpu.real or (syncs and copies)


def main() -> int:
    bench = Bench("cuda", __doc__.splitlines()[0], SIZES)
    add_device(bench.parser)
    bench.parser.set_defaults(pairs=9)
    args = bench.parse()
    gpu = Gpu(args.device)
    if not gpu.real:
        args.pairs, args.n = 1, [HOST_SIZE] if args.n == SIZES else args.n
    bench.show, bench.timer = gpu.real, gpu.seconds
    if gpu.real:
        bench.note("device", facts()["device"], **facts())
    failures = Failures()
    failures.check("the profiler does not see what waits", lambda: check_counting(gpu))
    for bench.n in args.n:
        start = time.perf_counter()
        rate = gpu.copy_rate(bench.n)
        bench.note("copy on the device", f"{rate / 1e12:.3f} TB/s", bytes_per_second=rate)
        makers = TABLE_CASES if bench.n > LARGE else (*TABLE_CASES, observations)
        for maker in makers:
            try:
                for case in maker(gpu, bench.n):
                    time_case(bench, gpu, case, rate, failures)
            except torch.cuda.OutOfMemoryError:
                print(f"{maker.__name__} at {bench.n} is left out: not enough memory")
            case = None  # its tensors go before the next ones are made
            gpu.free()
        if bench.n <= LARGE:
            values = signals(bench.n)
            boundary(bench, gpu, values, failures)
            failures.check(
                f"digests at {bench.n}", lambda values=values: compare_digests(bench, gpu, values)
            )
        print(f"n = {bench.n}: {time.perf_counter() - start:.0f} s", flush=True)
    bench.finish()
    for text in failures.goals if gpu.real else ():
        print(text)
    print(f"wrong: {', '.join(failures.wrong)}" if failures.wrong else "all answers are right")
    return int(bool(failures.wrong))


if __name__ == "__main__":
    sys.exit(run(main))
