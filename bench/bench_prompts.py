"""A step of a prompt curriculum: weigh all prompts, draw some and plan them, beside torch.

To plan is `PassRate.select`, which weighs all prompts and draws without replacement, and
`build_plan`, which lists what was drawn, ascending. `set_epoch` takes in the rewards of the step
before as well, closes that and starts the next. The peers draw and sort what they drew, and nothing
else: their weights are there already. The honest ones draw the step; the last one an order of all
prompts, of which a trainer takes what it needs. Steps in a row find code and data in the caches; a
step alone finds there what the peer has left.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count

import numpy as np
import torch
from common import Bench, keep_memory

import dynsample as ds
from dynsample.reference.policies import expect

DRAWS, ROW = 512, 20
BELOW = "it draws, and does not weigh or plan"


def in_a_row(call: Callable[[], object]) -> Callable[[], None]:
    """Make a function that calls another several times."""

    def calls() -> None:
        for _ in range(ROW):
            call()

    return calls


def main() -> int:
    bench = Bench("prompts", __doc__.splitlines()[0], 100_000)
    args = bench.parse()
    torch.set_num_threads(1)
    keep_memory()
    n, k = args.n, min(DRAWS, args.n)
    generator = np.random.default_rng(0)
    rates = generator.beta(0.5, 0.5, n).astype(np.float32)
    weights = rates * (1 - rates) + np.float32(0.01)
    tensor, shares = torch.from_numpy(weights), weights.astype(np.float64) / weights.sum(dtype="f8")
    peers = {
        "torch.multinomial of the step, sort": lambda: torch.multinomial(tensor, k).sort(),
        "numpy choice of the step, sort": lambda: np.sort(
            generator.choice(n, k, replace=False, p=shares)
        ),
        "torch.multinomial of all, sort": lambda: torch.multinomial(tensor, n).sort(),
    }
    for form in ("variance", "gaussian"):
        policy = ds.PassRate(k, form)
        sampler = ds.Sampler(n, policy, issue="external", seed=1, group=None)
        sampler.table.set_column("reward", rates)
        sampler.set_epoch(0)
        expected = expect(policy, sampler.table.state(), 0, 1)
        assert np.setdiff1d(np.arange(n), sampler.plan.order).tolist() == expected.hidden
        steps = count(1)

        def plan(
            policy: ds.Policy = policy, table: ds.ScoreTable = sampler.table, steps: count = steps
        ) -> ds.EpochPlan:
            epoch = next(steps)
            selection = policy.select(table, epoch, ds.EpochRandom(1, epoch))
            return ds.build_plan(selection, n, seed=1, epoch=epoch)

        def observe(sampler: ds.Sampler = sampler) -> None:
            index = sampler.plan.order
            if not sampler.run.current.observed:  # the set-up is run before every call of both
                sampler.observe(index, reward=rates[index])

        def step(sampler: ds.Sampler = sampler, steps: count = steps) -> None:
            sampler.set_epoch(next(steps))

        for name, peer in peers.items():
            case = f"plan a step of {k}, {form}, in a row of {ROW}"
            bench.compare(case, in_a_row(plan), name, in_a_row(peer), per=ROW, below=BELOW)
        for does, ours, setup in (("plan", plan, None), ("set_epoch of", step, observe)):
            for name, peer in peers.items():
                case = f"{does} a step of {k}, {form}, alone"
                bench.compare(case, ours, name, peer, setup=setup, below=BELOW)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
