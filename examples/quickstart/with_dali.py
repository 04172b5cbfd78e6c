"""InfoBatch with DALI: JPEG files in the order of a sampler, with the index of every sample."""

import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from nvidia.dali import fn, pipeline_def
from PIL import Image

import dynsample as ds
import dynsample.dali as dali

root = Path(tempfile.mkdtemp())
for number in range(256):  # folders of classes, as ImageNet's
    (root / f"class{number % 2}").mkdir(exist_ok=True)
    image = Image.new("RGB", (32, 32), (number, 128 * (number % 2), 0))
    image.save(root / f"class{number % 2}" / f"{number:03}.jpg")


@pipeline_def(batch_size=32, num_threads=2, device_id=None)
def pipeline():
    jpegs, labels, index = dali.readers.file(sampler=sampler, file_root=root, name="Reader")
    images = fn.crop_mirror_normalize(fn.decoders.image(jpegs), mean=128, std=128)
    return images, labels, index


sampler = ds.Sampler(256, ds.InfoBatch(epochs=4), batch_size=32, seed=0)
loader = dali.DALIClassificationIterator(pipeline(), sampler=sampler, auto_reset=True)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))

for epoch in range(4):
    loader.set_epoch(epoch)
    for (batch,) in loader:
        labels = batch["label"].squeeze(-1).long()
        loss = F.cross_entropy(model(batch["data"]), labels, reduction="none")
        sampler.observe(batch["index"], loss=loss)
        (sampler.weights(batch["index"]) * loss).mean().backward()  # and a step of your optimizer
    print(f"epoch {epoch}: trained on {sampler.plan.num_positions} of 256")
