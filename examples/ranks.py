"""What a training script needs on many ranks: joining them, gradients, checkpoints, a trace.

Under torchrun torch's DistributedDataParallel averages the gradients. Under mpiexec they go through
mpi4py and the memory of the host, the simplest that is right: GPUs are better off with torchrun,
where NCCL moves them, and with networks that keep no running statistics, which stay those of each
rank.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import torch
from torch import nn

import dynsample as ds

_LOCAL_RANK = ("LOCAL_RANK", "MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `Progress` reads."""
    parser.add_argument("--save", type=Path, metavar="DIR", help="folder for checkpoints")
    parser.add_argument(
        "--every", type=int, default=0, help="steps between checkpoints in an epoch"
    )
    parser.add_argument("--resume", action="store_true", help="go on from what --save has")
    parser.add_argument("--trace", type=Path, help="write the ids of every step, to FILE.<rank>")
    parser.add_argument("--kill-at", type=int, nargs=2, help=argparse.SUPPRESS)


def join() -> tuple[ds.groups.Group, torch.device]:
    """Join the ranks that torchrun or mpiexec launched; give them, and this one's device."""
    cuda = torch.cuda.is_available()
    local = next((int(os.environ[name]) for name in _LOCAL_RANK if name in os.environ), 0)
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    return ds.groups.as_group("auto"), device


def leave() -> None:
    """End what `join` began."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def share(batch_size: int, group: ds.groups.Group) -> int:
    """Rows of one rank, out of those of a step on all ranks."""
    if batch_size % group.size:
        raise SystemExit(f"--batch-size {batch_size} cannot be dealt out to {group.size} ranks")
    return batch_size // group.size


def parallel(model: nn.Module) -> nn.Module:
    """Return the model to train: under torchrun, one that averages gradients itself."""
    initialised = torch.distributed.is_initialized()
    return nn.parallel.DistributedDataParallel(model) if initialised else model


def average_gradients(model: nn.Module, group: ds.groups.Group) -> None:
    """Average gradients over the ranks of mpiexec, after `backward`."""
    if group.size == 1 or torch.distributed.is_initialized():
        return
    from mpi4py import MPI

    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    total = torch.cat([gradient.reshape(-1) for gradient in gradients]).cpu()
    MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, total.numpy())
    parts = (total / group.size).split([gradient.numel() for gradient in gradients])
    for gradient, mean in zip(gradients, parts, strict=True):
        gradient.copy_(mean.view(gradient.shape))


class Progress:
    """Checkpoints of model and sampler, and the trace of what was seen.

    Parameters
    ----------
    args : of `add_arguments`
    sampler : Sampler
    parts : dict of str to what has a state_dict
        Model, optimizer, ..., the same on all ranks.
    """

    def __init__(
        self, args: argparse.Namespace, sampler: ds.Sampler, parts: dict[str, Any]
    ) -> None:
        self.args, self.sampler, self.parts = args, sampler, parts
        saved = self._saved()
        self.steps, self.number = 0, int(saved[-1].name.split("-")[1]) if saved else 0
        rank = sampler.group.rank
        self.trace = args.trace and Path(f"{args.trace}.{rank}")

    def step(self, index: torch.Tensor, *, hidden: bool = False) -> None:
        """Note a step that is done; save when it is time."""
        state = self.sampler.state_dict()
        epoch, position = state["epoch"], state["hidden_positions" if hidden else "positions"]
        if self.trace:
            line = {"epoch": epoch, "pass": "hidden" if hidden else "kept", "position": position}
            line |= {"ids": index.tolist(), "plan": state["digest"]}
            with self.trace.open("a") as file:
                print(json.dumps(line), file=file)
        self.steps += not hidden
        if self.args.every and self.steps % self.args.every == 0 and not hidden:
            self.save(epoch)
        last = self.sampler.group.rank == self.sampler.group.size - 1
        if self.args.kill_at == [epoch, position] and last and not hidden:  # for tests
            os.kill(os.getpid(), signal.SIGKILL)

    def save(self, epoch: int) -> None:
        """Write all that a run needs to go on, with `epoch`, as one generation; collective.

        It is written into a folder of another name, which is renamed when it is whole: whoever is
        killed on the way leaves the generation before.
        """
        if not self.args.save:
            return
        self.number += 1
        path = self.args.save / f"checkpoint-{self.number:09d}"
        unfinished, older = path.with_suffix(".tmp"), self._saved()
        root = self.sampler.group.rank == 0
        if root:
            shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
        self.sampler.save(unfinished / "sampler")  # whole on all ranks when it returns on any
        if root:
            states = {name: part.state_dict() for name, part in self.parts.items()}
            torch.save({"epoch": epoch, "steps": self.steps, **states}, unfinished / "model.pt")
            unfinished.rename(path)
            for old in older:
                shutil.rmtree(old)

    def resume(self, device: torch.device) -> int:
        """Go on from the last generation, on any number of ranks; give the epoch, 0 without one."""
        saved = self._saved()
        if not saved:
            return 0
        self.sampler.load(saved[-1] / "sampler")
        states = torch.load(saved[-1] / "model.pt", map_location=device, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(states[name])
        self.steps = states["steps"]
        epoch: int = states["epoch"]
        return epoch

    def _saved(self) -> list[Path]:
        found = self.args.save.glob("checkpoint-*") if self.args.save else ()
        return sorted(path for path in found if path.suffix != ".tmp")
