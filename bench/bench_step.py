"""What observing and weighting cost a training step on a GPU.

A ResNet-50 in bf16, written in plain torch, with and without `sampler.observe` from logits and
`sampler.weights`, in alternating blocks of steps: eager, compiled, and captured in a CUDA graph.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import Bench, Call
from gpu import Gpu, add_device, facts, run
from torch import nn

import dynsample as ds

Forward = Callable[[bool], torch.Tensor]


class Bottleneck(nn.Module):
    """Three convolutions and a way around them."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True),
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width),
            nn.ReLU(True), nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.around = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the two ways."""
        return F.relu(self.body(x) + self.around(x))


def resnet(blocks: tuple[int, ...], width: int, classes: int) -> nn.Module:
    """Build a ResNet of bottlenecks; (3, 4, 6, 3) of width 64 is ResNet-50."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width),
                               nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]  # fmt: skip
    inputs = width
    for stage, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inputs, width << stage, stride))
            inputs = 4 * (width << stage)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class Training:
    """A model, one batch, and the step."""

    def __init__(self, gpu: Gpu, n: int) -> None:
        size, self.batch, classes = (224, 256, 1000) if gpu.real else (32, 8, 10)
        model = resnet((3, 4, 6, 3), 64, classes) if gpu.real else resnet((1, 1), 4, classes)
        there = gpu.torch_device
        self.model = model.to(there, memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)
        self.sampler = ds.Sampler(n, ds.Kakurenbo(), self.batch, device=gpu.device, group=None)
        self.sampler.set_epoch(0)
        self.index = torch.from_numpy(self.sampler.plan.slice(0, self.batch)).to(there)
        images = torch.randn(self.batch, 3, size, size, device=there)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.targets = torch.randint(classes, (self.batch,), device=there)

    def forward(self, observed: bool) -> torch.Tensor:
        """Return the loss of the batch."""
        # A captured graph must not find casts of weights that were made before it.
        with torch.autocast(self.images.device.type, torch.bfloat16, cache_enabled=False):
            logits = self.model(self.images)
        losses = F.cross_entropy(logits.float(), self.targets, reduction="none")
        if observed:
            self.sampler.observe(self.index, logits=logits, targets=self.targets)
            losses = losses * self.sampler.weights(self.index)
        return losses.mean()

    def step(self, forward: Forward, observed: bool) -> None:
        """Take one training step."""
        self.optimizer.zero_grad(set_to_none=True)
        forward(observed).backward()
        self.optimizer.step()


def captured(step: Call, pool: object) -> Call:
    """Capture a step in a CUDA graph, whose memory other graphs may use in turn."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, pool=pool):
        step()
    return graph.replay


def compare(bench: Bench, gpu: Gpu, case: str, steps: dict[bool, Call]) -> None:
    """Time blocks of steps with and without, in turn."""
    count = bench.args.steps

    def block(step: Call) -> float:
        gpu.wait()
        start = time.perf_counter()
        for _ in range(count):
            step()
        gpu.wait()
        return time.perf_counter() - start

    times: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(bench.args.pairs + 1):  # the first is a warm-up
        for observed, step in steps.items():
            taken = block(step)
            if turn:
                times[observed].append(taken)
    bench.record(case, times[True], "the same without", times[False], unit="ms", per=count)
    shares = [100 * (a / b - 1) for a, b in zip(times[True], times[False], strict=True)]
    low, middle, high = statistics.quantiles(shares, n=4) if len(shares) > 1 else shares * 3
    bench.note(case, f"overhead {middle:.2f} %, middle half {low:.2f} to {high:.2f} %",
               overhead_percent=middle, low=low, high=high)  # fmt: skip


def main() -> int:
    bench = Bench("step", __doc__.splitlines()[0])
    add_device(bench.parser)
    bench.parser.add_argument("--steps", type=int, default=4, help="of a block (%(default)s)")
    bench.parser.set_defaults(pairs=30)
    args = bench.parse()
    gpu = Gpu(args.device)
    if not gpu.real:
        args.pairs, args.steps = 2, 1
    bench.show = gpu.real
    torch.backends.cudnn.benchmark = True
    training = Training(gpu, args.n if gpu.real else min(args.n, 5000))
    if gpu.real:
        bench.note("device", facts()["device"], **facts())

    def steps_of(forward: Forward) -> dict[bool, Call]:
        return {
            observed: lambda observed=observed: training.step(forward, observed)
            for observed in (True, False)
        }

    eager = steps_of(training.forward)
    compare(bench, gpu, "eager step", eager)
    if gpu.real:  # before the compiler, which takes long
        gpu.free()
        pool = torch.cuda.graph_pool_handle()
        graphs = {observed: captured(step, pool) for observed, step in eager.items()}
        compare(bench, gpu, "captured step", graphs)
    else:
        print("the captured step is left out: it needs a GPU")
    backend = "inductor" if gpu.real else "aot_eager"
    compiled = torch.compile(training.forward, fullgraph=True, backend=backend)
    compare(bench, gpu, "compiled step", steps_of(compiled))
    log = training.sampler.run.observations.log
    blocks = (args.pairs + 1) * args.steps * training.batch
    assert len(log) >= 2 * blocks, "steps were not observed"
    assert not log.counts().not_allowed, "observations were refused"
    print(f"{len(log)} observations are in the log")
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
