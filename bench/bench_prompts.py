"""A step of a prompt curriculum: fold what was observed, weigh, draw and plan, beside torch.

Ours is `set_epoch` with `PassRate`: it takes in the rewards of the step before, weighs all prompts,
draws some without replacement, and makes the plan, with its order and what a checkpoint needs. The
peers draw and sort what they drew, and nothing else: their weights are there already. The honest
ones draw the step; the last one an order of all prompts, of which a trainer takes what it needs.
"""

from __future__ import annotations

import sys
from itertools import count

import numpy as np
import torch
from common import Bench, keep_memory

import dynsample as ds
from dynsample.reference.policies import expect

DRAWS = 512


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

        def observe(sampler: ds.Sampler = sampler) -> None:
            index = sampler.plan.order
            sampler.observe(index, reward=rates[index])

        case = f"a step of {k}, {form}"
        for name, peer in peers.items():
            bench.compare(
                case,
                lambda sampler=sampler, steps=steps: sampler.set_epoch(next(steps)),
                name,
                peer,
                setup=observe,
                below="it draws, and does not fold, weigh or plan",
            )
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
