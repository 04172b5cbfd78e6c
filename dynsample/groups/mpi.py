"""Ranks of an MPI communicator."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.base import TIME_LIMIT, Group, GroupError
from dynsample.groups.environment import mpi_world
from dynsample.groups.flat import Bytes, join, split

_MAX_BYTES = 2**31 - 1  # of one call: before MPI 4, counts and displacements are C's int
_LARGE = 2**18  # bytes that one rank sends, from which on a gather goes pair by pair
_EAGER = 1.0  # seconds of polling before the processor is left idle in part
_keyval: list[int] = []  # MPI's key of the private communicator, made with the first group


def mpi(comm: Any = None, time_limit: float = TIME_LIMIT) -> Group:
    """Ranks of an mpi4py communicator; collective.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm, optional
        By default COMM_WORLD. The group speaks on a duplicate, which all groups of `comm` share.
    time_limit : float
        Seconds that any call may wait. A world with a stalled rank cannot be finalised: after
        that time this rank says what it waited for, and aborts the job.

    Raises
    ------
    RuntimeError
        When mpi4py or an MPI library is missing, or is not the one of the launcher.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RuntimeError(
            f"mpi4py cannot be used ({error}): pip install dynsample[mpi] beside the MPI of a "
            "cluster, or dynsample[mpi-local] to have MPICH with it"
        ) from error
    if not MPI.Is_initialized() or MPI.Is_finalized():
        raise RuntimeError("MPI is not initialised: make groups between MPI.Init and MPI.Finalize")
    if comm is None:
        comm = MPI.COMM_WORLD
    if comm == MPI.COMM_NULL or comm.Is_inter():
        raise ValueError(f"comm must be an intracommunicator, got {comm!r}")
    world = mpi_world()
    if comm == MPI.COMM_WORLD and world and comm.size < world.size:
        library = MPI.Get_library_version().splitlines()[0].strip("\0 ")
        raise RuntimeError(
            f"{world}, but mpi4py sees a world of {comm.size}: it loaded the library of another "
            f"MPI ({library}). Set MPI4PY_LIBMPI=<path of the launcher's libmpi.so>, or install an "
            "mpi4py made for it"
        )
    return MPIGroup(MPI, comm, time_limit)


class MPIGroup(Group):
    """Nonblocking collectives, polled up to the time limit."""

    def __init__(self, MPI: Any, comm: Any, time_limit: float) -> None:
        super().__init__(comm.Get_rank(), comm.Get_size(), time_limit)
        self._MPI, self._comm = MPI, comm  # the user's, until the private one is there
        self._comm = self._private(comm)

    def _private(self, comm: Any) -> Any:
        MPI = self._MPI
        if not _keyval:

            def free(comm: Any, keyval: int, private: Any) -> None:
                if comm != MPI.COMM_WORLD:  # which ends inside Finalize, where no call is allowed
                    private.Free()

            _keyval.append(MPI.Comm.Create_keyval(delete_fn=free))
        private = comm.Get_attr(_keyval[0])
        if private is None:
            private, request = comm.Idup()
            self._wait(request, "the other ranks to make the same group")
            comm.Set_attr(_keyval[0], private)
        return private

    def _wait(self, request: Any, what: str) -> None:
        start = time.monotonic()
        try:
            while not request.Test():
                now = time.monotonic()
                if now - start > self.time_limit:
                    self._abort(what)
                # Messages move only while they are polled, so sleep costs bandwidth: 50 us after
                # each poll made MPICH 20 times slower. All ranks of a machine share this clock,
                # and after a while all sleep in every second millisecond.
                if now - start > _EAGER and now % 2e-3 > 1e-3:
                    time.sleep(1e-3)
                else:
                    os.sched_yield()
        except self._MPI.Exception as error:
            raise GroupError(f"rank {self.rank} of {self.size}, {what}: {error}") from error

    def _abort(self, what: str) -> NoReturn:
        message = self._waited(what)
        print(f"dynsample: {message}", file=sys.stderr, flush=True)
        time.sleep(0.5)  # a launcher that ends a job may drop what it has not passed on yet
        self._comm.Abort(1)
        raise GroupError(message)

    def _sum(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        total = np.empty_like(words)
        self._wait(self._comm.Iallreduce(words, total), what)
        return total

    def _scan(self, words: NDArray[Any], what: str) -> NDArray[Any]:
        below = np.zeros_like(words)
        self._wait(self._comm.Iexscan(words, below), what)
        if self.rank == 0:
            below[:] = 0  # MPI leaves it undefined
        return below

    def barrier(self, what: str) -> None:  # noqa: D102
        self._wait(self._comm.Ibarrier(), what)

    def _all_gather(self, sent: Bytes, what: str) -> list[Bytes]:
        lengths = np.empty(self.size, np.int64)
        self._wait(self._comm.Iallgather(np.array([len(sent)], np.int64), lengths), what)
        if int(lengths.max()) > _LARGE:
            return self._all_gather_in_turn(sent, lengths, what)
        received: list[list[Bytes]] = [[] for _ in range(self.size)]
        for start, stop in self._rounds(int(lengths.max())):
            counts = np.clip(lengths - start, 0, stop - start)
            buffer = np.empty(counts.sum(), np.uint8)
            into = [buffer, (counts, _starts(counts)), self._MPI.BYTE]
            piece = [sent[start:stop], self._MPI.BYTE]
            self._wait(self._comm.Iallgatherv(piece, into), what)
            _append(received, split(buffer, counts))
        return [join(pieces) for pieces in received]

    def _all_gather_in_turn(
        self, sent: Bytes, lengths: NDArray[np.int64], what: str
    ) -> list[Bytes]:
        """Gather what is large pair by pair: without the copies through MPI's own buffers."""
        received = [np.empty(length, np.uint8) for length in lengths]
        received[self.rank][:] = sent
        for turn in range(1, self.size):
            to, source = (self.rank + turn) % self.size, (self.rank - turn) % self.size
            for start in range(0, int(lengths.max()), _MAX_BYTES):
                piece = slice(start, start + _MAX_BYTES)
                into = [received[source][piece], self._MPI.BYTE]
                requests = [
                    self._comm.Irecv(into, source),
                    self._comm.Isend([sent[piece], self._MPI.BYTE], to),
                ]
                for request in requests:
                    self._wait(request, what)
        return received

    def _all_to_all(self, parts: list[Bytes], what: str) -> list[Bytes]:
        lengths = np.array([len(part) for part in parts], np.int64)
        # Every rank learns what it receives, and the largest part that any rank sends.
        tell = np.stack([lengths, np.full(self.size, lengths.max())], axis=1)
        told = np.empty_like(tell)
        self._wait(self._comm.Ialltoall(tell, told), what)
        received: list[list[Bytes]] = [[] for _ in range(self.size)]
        for start, stop in self._rounds(int(told[:, 1].max())):
            pieces = [part[start:stop] for part in parts]
            sent = np.clip(lengths - start, 0, stop - start)
            counts = np.clip(told[:, 0] - start, 0, stop - start)
            buffer = np.empty(counts.sum(), np.uint8)
            out = [np.concatenate(pieces), (sent, _starts(sent)), self._MPI.BYTE]
            into = [buffer, (counts, _starts(counts)), self._MPI.BYTE]
            self._wait(self._comm.Ialltoallv(out, into), what)
            _append(received, split(buffer, counts))
        return [join(pieces) for pieces in received]

    def _rounds(self, longest: int) -> list[tuple[int, int]]:
        """Ranges of a part that one call each moves, within MPI's counts; the same on all ranks."""
        step = max(1, min(longest, _MAX_BYTES // self.size))
        return [(start, start + step) for start in range(0, longest, step)]


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts) - counts


def _append(received: list[list[Bytes]], pieces: list[Bytes]) -> None:
    for old, new in zip(received, pieces, strict=True):
        old.append(new)
