"""A coreset: score every sample with a model by EL2N, and keep the hardest half for good."""

import numpy as np
import torch
import torch.nn.functional as F

import dynsample as ds
from dynsample.torch import DataLoader

torch.manual_seed(0)
classes = torch.randint(10, (5000,))
train_set = torch.utils.data.TensorDataset(
    torch.randn(10, 64)[classes] + torch.randn(5000, 64), classes
)


def train(subset=None, epochs=3):
    model = torch.nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    sampler = ds.Sampler(len(train_set), batch_size=64, subset=subset, seed=0)
    loader = DataLoader(train_set, sampler=sampler)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for images, labels, _ in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model, loader


model, loader = train(epochs=1)
el2n = ds.score(model, loader, ("el2n",))["el2n"]
kept = ds.coreset.keep_highest(el2n, 2500)
np.save("kept.npy", kept)
train(subset=kept)
print(f"trained on {len(kept)} of {len(train_set)}, written to kept.npy")
