"""Ranks of a torch.distributed process group."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.base import TIME_LIMIT, Group, GroupError
from dynsample.groups.flat import Bytes, as_bytes
from dynsample.groups.standing import Standing

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup, Work

T = TypeVar("T")
_SMALL = 2**20  # bytes of a gather in one padded call; more goes faster rank by rank
# of a process group, by time limit
_private: weakref.WeakKeyDictionary[ProcessGroup, dict[float, tuple[ProcessGroup, Standing]]]
_private = weakref.WeakKeyDictionary()
_left: list[Work] = []  # what a rank that left did not wait for


def torch(process_group: ProcessGroup | None = None, time_limit: float = TIME_LIMIT) -> Group:
    """Ranks of a torch.distributed process group, whatever its backend; collective.

    Parameters
    ----------
    process_group : torch.distributed.ProcessGroup, optional
        By default the whole world. The group speaks over gloo on a process group of its own, which
        all groups of `process_group` with this time limit share; tensors on GPUs go by NCCL where
        `process_group` has it.
    time_limit : float
        Seconds that any call may wait; after that it raises GroupError.

    Raises
    ------
    RuntimeError
        When torch.distributed is not initialised.
    """
    import torch.distributed as dist

    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError("torch.distributed is not initialised: call init_process_group first")
    if process_group is None:
        process_group = dist.group.WORLD
        assert process_group is not None  # as it is initialised
    rank, size = dist.get_rank(process_group), dist.get_world_size(process_group)
    if rank < 0:
        raise ValueError("process_group must hold this process, which is none of its ranks")
    return TorchGroup(process_group, rank, size, time_limit)


class TorchGroup(Group):
    """Collectives of gloo on arrays in host memory."""

    def __init__(
        self, process_group: ProcessGroup, rank: int, size: int, time_limit: float
    ) -> None:
        import torch
        import torch.distributed as dist

        super().__init__(rank, size, time_limit)
        self._torch, self._dist = torch, dist
        self._ranks = dist.get_process_group_ranks(process_group)
        if "nccl" in str(dist.get_backend_config(process_group)):
            self.device_group = process_group
        shared = _private.setdefault(process_group, {})
        if self.time_limit not in shared:
            private = self._run(
                lambda: dist.new_group(
                    None if process_group is dist.group.WORLD else self._ranks,
                    timeout=timedelta(seconds=self.time_limit),
                    backend="gloo",
                    use_local_synchronization=process_group is not dist.group.WORLD,
                ),
                "the other ranks to make the same group",
            )
            shared[self.time_limit] = private, Standing()
        self._group, self._standing = shared[self.time_limit]

    def _run(self, call: Callable[[], T], what: str) -> T:
        try:
            return call()
        except RuntimeError as error:  # of gloo, or of the store while a group is made
            if "timed out" in str(error).lower() or "timeout" in str(error).lower():
                raise GroupError(self._waited(what)) from error
            raise GroupError(
                f"rank {self.rank} of {self.size} lost another rank, which has died or failed, "
                f"while it waited for {what}: {error}"
            ) from error

    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        total: NDArray[Any] = words.copy()
        signed = total.view(f"i{total.itemsize}")  # the same sums, and all that gloo knows
        tensor = self._torch.from_numpy(signed)
        self._run(lambda: self._dist.all_reduce(tensor, group=self._group), what)
        return total

    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        rows = np.empty((self.size, row.nbytes), np.uint8)
        into, sent = list(self._torch.from_numpy(rows)), self._torch.from_numpy(as_bytes(row))
        if row.nbytes:
            self._run(lambda: self._gather(into, sent), what)
        return rows.view(row.dtype)

    def _gather(self, into: list[Tensor], sent: Tensor) -> None:
        if not self._standing.leaving:
            self._dist.all_gather(into, sent, group=self._group)
            return
        work = self._dist.all_gather(into, sent, group=self._group, async_op=True)
        _left.append(work)
        work.wait(timedelta(seconds=self._patience))
        _left.pop()

    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        longest = max(lengths)
        if longest * self.size <= _SMALL:
            padded = np.zeros(longest, np.uint8)
            padded[: len(sent)] = sent
            rows = self._gather_rows(padded, what)
            return [row[:length] for row, length in zip(rows, lengths, strict=True)]
        own = np.require(sent, requirements="W")  # torch warns of what it may not write to
        received = [
            own if rank == self.rank else np.empty(length, np.uint8)
            for rank, length in enumerate(lengths)
        ]
        for rank, part in enumerate(received):
            if len(part):
                self._broadcast(part, self._ranks[rank], what)
        return received

    def _broadcast(self, values: Bytes, source: int, what: str) -> None:
        tensor = self._torch.from_numpy(values)
        self._run(lambda: self._dist.broadcast(tensor, source, group=self._group), what)

    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        return self._all_to_all(values, [1] * self.size, [1] * self.size, what)

    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        return self._all_to_all(sent, counts.tolist(), lengths.tolist(), what)

    def _all_to_all(
        self, sent: NDArray[Any], into: Sequence[int], out: Sequence[int], what: str
    ) -> NDArray[Any]:
        received = np.empty(sum(into), sent.dtype)
        to, of = self._torch.from_numpy(received), self._torch.from_numpy(sent)
        self._run(lambda: self._dist.all_to_all_single(to, of, into, out, group=self._group), what)
        return received
