"""Importance sampling with FFCV: its Loader, its arguments, and a policy."""

import os
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from ffcv.fields import IntField, NDArrayField
from ffcv.fields.decoders import IntDecoder, NDArrayDecoder
from ffcv.transforms import Squeeze, ToTensor
from ffcv.writer import DatasetWriter

import dynsample as ds
from dynsample.ffcv import Loader, OrderOption

random, path = np.random.default_rng(0), os.path.join(tempfile.mkdtemp(), "train.beton")
samples = [(random.normal(k % 2, 1, 8).astype(np.float32), k % 2) for k in range(1000)]
fields = {"x": NDArrayField(np.dtype("float32"), (8,)), "label": IntField()}
DatasetWriter(path, fields, num_workers=1).from_indexed_dataset(samples)

policy = ds.ImportanceSampling(num_draws=700, smoothing=0.5, correct_bias=True)
pipelines = {"x": [NDArrayDecoder(), ToTensor()], "label": [IntDecoder(), ToTensor(), Squeeze()]}
loader = Loader(
    path, batch_size=50, num_workers=2, order=OrderOption.RANDOM, pipelines=pipelines, policy=policy
)
model = torch.nn.Linear(8, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

for epoch in range(4):
    loader.set_epoch(epoch)
    for x, labels, index in loader:
        loss = F.cross_entropy(model(x), labels, reduction="none")
        loader.sampler.observe(index, loss=loss)
        optimizer.zero_grad()
        (loader.sampler.weights(index) * loss).mean().backward()
        optimizer.step()
    print(f"epoch {epoch}: {len(np.unique(loader.sampler.plan.order))} of 1000 were drawn")
