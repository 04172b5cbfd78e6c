"""A step of a prompt curriculum: fold what was observed, weigh, draw and plan, beside torch.

Ours is `set_epoch` with `PassRate`: it takes in the rewards of the step before, weighs all prompts,
draws some without replacement, and makes the plan, with its order and what a checkpoint needs. The
peers draw and sort what they drew, and nothing else: their weights are there already. One draws the
step; the other an order of all prompts, as where the trainer takes what it needs of it.
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
    weights = torch.from_numpy(rates * (1 - rates) + np.float32(0.01))
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
        ours = lambda sampler=sampler, steps=steps: sampler.set_epoch(next(steps))  # noqa: E731
        bench.compare(case, ours, "torch.multinomial of the step, sort",
                      lambda: torch.multinomial(weights, k).sort(), setup=observe)  # fmt: skip
        bench.compare(case, ours, "torch.multinomial of all, sort",
                      lambda: torch.multinomial(weights, n).sort(), setup=observe)  # fmt: skip
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
