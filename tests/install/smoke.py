"""What a fresh installation must do, with numpy alone: a run, its plans, and its state."""

import sys
import tempfile

import numpy as np

import dynsample as ds

DIGEST = "64326a8bd4248eded17fe134c37f3f16"  # of the last epoch, on every machine


def new() -> ds.Sampler:
    return ds.Sampler(10000, ds.Kakurenbo(fraction=0.3, tau=0.5), batch_size=64, seed=7)


def observe(sampler: ds.Sampler, index: np.ndarray) -> None:
    loss = (np.asarray(index) * 2654435761 % 1000).astype(np.float32) / 1000
    sampler.observe(index, loss=loss, correct=loss < 0.9, confidence=1 - loss)


sampler = new()
for epoch in range(3):
    sampler.set_epoch(epoch)
    for index in sampler:
        observe(sampler, index)
    for index in sampler.hidden:
        observe(sampler, index)
with tempfile.TemporaryDirectory() as folder:
    sampler.save(folder)
    again = new()
    again.load(folder)
assert sampler.plan.num_hidden == 3000
assert again.plan.digest == sampler.plan.digest == DIGEST, sampler.plan.digest
assert not {"torch", "nvidia", "ffcv", "mpi4py"} & sys.modules.keys()
print(f"dynsample {ds.__version__} works: {ds.__path__[0]}")
