"""A training script of an FFCV user, as it is before anything of dynsample is in it."""

import sys

import torch
import torch.nn.functional as F
from ffcv.fields.decoders import IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.transforms import Squeeze, ToTensor, ToTorchImage

path, epochs = sys.argv[1], 4
pipelines = {
    "image": [SimpleRGBImageDecoder(), ToTensor(), ToTorchImage()],
    "label": [IntDecoder(), ToTensor(), Squeeze()],
}
torch.manual_seed(0)


class Net(torch.nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1) / 255 - 0.5)


model = Net(3 * 64 * 64, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

# fmt: off
loader = Loader(
    path, batch_size=256, num_workers=8, order=OrderOption.RANDOM, pipelines=pipelines,
)
# fmt: on
for epoch in range(epochs):  # noqa: B007
    for images, labels in loader:
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print("loss is finite:", bool(loss.isfinite().all()))
