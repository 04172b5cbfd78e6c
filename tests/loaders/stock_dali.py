"""A training script of a DALI user, as it is before anything of dynsample is in it."""

import sys

import torch
import torch.nn.functional as F
from nvidia.dali import fn, pipeline_def
from nvidia.dali.plugin.pytorch import DALIClassificationIterator

root, epochs = sys.argv[1], 4
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)


@pipeline_def(batch_size=256, num_threads=8, device_id=0)
def train_pipeline():
    jpegs, labels = fn.readers.file(file_root=root, random_shuffle=True, name="Reader")
    images = fn.decoders.image(jpegs, device="mixed")
    images = fn.crop_mirror_normalize(images, mean=128, std=128)
    return images, labels


loader = DALIClassificationIterator(train_pipeline(), reader_name="Reader", auto_reset=True)
for epoch in range(epochs):  # noqa: B007
    for batch in loader:
        images, labels = batch[0]["data"], batch[0]["label"].squeeze(-1).long()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print("loss is finite:", bool(loss.isfinite().all()))
