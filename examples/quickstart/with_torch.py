"""KAKURENBO with torch's DataLoader: hide the easiest samples of every epoch."""

import torch
import torch.nn.functional as F

import dynsample as ds
from dynsample.torch import DataLoader, scaled_lr

torch.manual_seed(0)
classes = torch.randint(10, (5000,))
train_set = torch.utils.data.TensorDataset(
    torch.randn(10, 64)[classes] + torch.randn(5000, 64), classes
)
model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)

sampler = ds.Sampler(len(train_set), ds.Kakurenbo(fraction=0.3), batch_size=64, seed=0)
loader = DataLoader(train_set, sampler=sampler)

for epoch in range(5):
    sampler.set_epoch(epoch)
    model.train()
    for images, labels, index in loader:
        logits = model(images)
        loss = F.cross_entropy(logits, labels, reduction="none")
        sampler.observe(index, logits=logits, targets=labels)
        optimizer.zero_grad()
        (sampler.weights(index) * loss).mean().backward()
        with scaled_lr(optimizer, sampler.lr_scale):
            optimizer.step()
    model.eval()
    with torch.no_grad():
        for images, labels, index in loader.hidden():  # has their losses changed?
            sampler.observe(index, logits=model(images), targets=labels)
    print(f"epoch {epoch}: trained on {sampler.plan.num_positions} of {len(train_set)}")
