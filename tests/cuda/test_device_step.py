"""The log in a training step that is compiled, captured, or must not wait."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dynsample.kernels.cuda import Device

torch = pytest.importorskip("torch")

from dynsample.table import cuda_rings as staging  # noqa: E402
from dynsample.table.cuda_log import DeviceLog  # noqa: E402

SIGNALS = ("loss", "margin", "mine")


def make_log(device: Device, room: int = 1000) -> DeviceLog:
    log = DeviceLog(device, 100, SIGNALS)
    log.reserve(room)
    return log


def batch(device: Device, seed: int, size: int = 4) -> tuple[torch.Tensor, ...]:
    random = np.random.default_rng(seed)
    ids, targets = random.integers(0, 100, size), random.integers(0, 3, size)
    logits = device.put(random.standard_normal((size, 3), np.float32)).requires_grad_()
    return device.put(ids), logits, device.put(targets)


@pytest.mark.skipif(not hasattr(torch.library, "custom_op"), reason="torch before 2.4")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.whole  # test_device_use.py compiles the step of a sampler
def test_a_compiled_step_appends_in_order_and_once_a_call(device: Device) -> None:
    def step(log: DeviceLog, ids: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor):
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        log.append_in_place(ids, {"loss": loss, "margin": loss * 2, "mine": ids})
        log.append_logits(ids, logits, targets, signals={"mine": ids > 50})
        log.append(ids, {"loss": loss, "margin": loss[:, None], "mine": loss.bfloat16()})
        return loss.sum()

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    log, eager = make_log(device), make_log(device)
    for seed in range(4):
        if seed == 2:
            log.close()
            log.reserve(2000)
        compiled(log, *batch(device, seed)).backward()
        step(eager, *batch(device, seed))
    assert len(log) == 48
    log.close()
    eager.close()
    assert log.rows.tolist() == eager.rows.tolist()
    for name in SIGNALS:
        assert log.values(name).tolist() == eager.values(name).tolist()


def test_a_compiled_step_takes_ids_from_the_host(device: Device) -> None:
    log = make_log(device)

    def step(ids: torch.Tensor, loss: torch.Tensor) -> None:
        log.append(ids, {"loss": loss, "margin": loss, "mine": loss})

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    loss = torch.rand(3, device=device.torch_device)
    compiled(torch.tensor([5, 6, 7]), loss)
    compiled(torch.tensor([7, 8, 9]), loss)
    log.close()
    assert log.rows.tolist() == [5, 6, 7, 7, 8, 9]


def test_a_captured_step_follows_the_log(gpu: Device) -> None:
    log = make_log(gpu, 12)
    ids, logits, targets = batch(gpu, 0)
    mine = torch.zeros(4, device=gpu.torch_device)

    def step() -> None:
        log.append(ids, {"loss": mine, "margin": mine, "mine": mine})
        log.append_logits(ids, logits, targets, signals={"mine": mine})

    step()
    torch.cuda.synchronize()
    log.clear()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
        with pytest.raises(RuntimeError, match=r"index must be on .* while a CUDA graph"):
            log.append(np.zeros(1, np.int64), dict.fromkeys(SIGNALS, mine[:1]))
    assert len(log) == 0
    for replay in range(3):
        ids.fill_(replay)
        mine.fill_(replay)
        if replay == 1:
            log.reserve(100)
            log.close()
            log.set_allowed(np.arange(100) != 1)
        graph.replay()
    log.close()
    assert log.rows.tolist() == [0] * 8 + [-1] * 8 + [2] * 8
    assert log.values("mine").tolist() == [0] * 8 + [1] * 8 + [2] * 8


@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_an_append_does_not_wait(gpu: Device) -> None:
    log = make_log(gpu)
    ids, logits, targets = batch(gpu, 0)
    host = {name: np.zeros(4, np.float32) for name in SIGNALS}
    log.append(np.zeros(4, np.int64), host)  # allocates its buffers
    torch.cuda.set_sync_debug_mode("error")
    try:
        log.append(ids, {"loss": logits[:, 0], "margin": logits[:, 1], "mine": targets})
        log.append_logits(ids, logits, targets, signals={"mine": ids})
        log.append_logits(ids, logits.double(), targets.short(), signals={"mine": host["mine"]})
        for _ in range(staging.DEPTH + 2):
            log.append(np.zeros(4, np.int64), host)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(log) == 4 * (staging.DEPTH + 6)


def test_steps_on_two_streams_that_wait_for_each_other_are_in_order(gpu: Device) -> None:
    log = make_log(gpu)
    streams = torch.cuda.Stream(), torch.cuda.Stream()
    torch.cuda.synchronize()
    for step in range(20):
        stream, other = streams[step % 2], streams[1 - step % 2]
        stream.wait_stream(other)
        with torch.cuda.stream(stream):
            log.append(np.full(3, step), {name: np.full(3, step, np.float32) for name in SIGNALS})
    log.close()
    assert log.rows.tolist() == np.repeat(np.arange(20), 3).tolist()


def test_a_tensor_on_another_gpu_is_refused(gpu: Device) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    loss = torch.zeros(1, device="cuda:1")
    with pytest.raises(ValueError, match=r"index must be on cuda:0 .* on cuda:1"):
        make_log(gpu).append(loss.long(), dict.fromkeys(SIGNALS, loss))


def test_no_wait_without_a_limit() -> None:
    stuck, done = (SimpleNamespace(query=lambda answer=answer: answer) for answer in (False, True))
    staging.wait(done, "nothing", limit_s=0)
    with pytest.raises(
        RuntimeError, match=r"did not finish the copy of index to cuda:0 in 0\.01 s"
    ):
        staging.wait(stuck, "the copy of index to cuda:0", limit_s=0.01)
