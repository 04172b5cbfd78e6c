"""Ranks of an MPI communicator."""

from __future__ import annotations

import atexit
import os
import sys
import time
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dynsample.groups.base import TIME_LIMIT, Group, GroupError
from dynsample.groups.environment import mpi_world
from dynsample.groups.flat import Bytes, join, split
from dynsample.groups.interrupts import GRACE
from dynsample.groups.standing import Standing

if TYPE_CHECKING:
    from mpi4py.MPI import Intracomm, Request

    Private: TypeAlias = tuple[Intracomm, Standing]  # the communicator of all groups of one

_MAX_BYTES = 2**31 - 1  # of one call: before MPI 4, counts and displacements are C's int
_LARGE = 2**18  # bytes that one rank sends, from which on a gather goes pair by pair
_EAGER = 1.0  # seconds of polling before the processor is left idle in part
_keyval: list[int] = []  # MPI's key of the private communicator, made with the first group

_left: list[tuple[Request, str]] = []  # requests that an exception left, which MPI still writes for


def mpi(comm: Intracomm | None = None, time_limit: float = TIME_LIMIT) -> Group:
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

    def __init__(self, MPI: ModuleType, comm: Intracomm, time_limit: float) -> None:
        super().__init__(comm.Get_rank(), comm.Get_size(), time_limit)
        self._MPI, self._comm = MPI, comm  # the user's, until the private one is there
        self._comm, self._standing = self._private(comm)

    def _private(self, comm: Intracomm) -> Private:
        MPI = self._MPI
        if not _keyval:

            def free(comm: Intracomm, keyval: int, private: Private) -> None:
                if comm != MPI.COMM_WORLD:  # which ends inside Finalize, where no call is allowed
                    private[0].Free()

            _keyval.append(MPI.Comm.Create_keyval(delete_fn=free))
            atexit.register(_finish_what_was_left, MPI)
        kept: Any = comm.Get_attr(_keyval[0])
        private: Private | None = kept
        if private is None:
            duplicate, request = comm.Idup()
            self._wait(request, "the other ranks to make the same group")
            private = duplicate, self._standing
            comm.Set_attr(_keyval[0], private)
        return private

    def _wait(self, request: Request, what: str) -> None:
        """Poll until a request is done; one that is left is kept, as MPI still writes for it."""
        try:
            self._poll(request, what)
        except self._MPI.Exception as error:
            raise GroupError(f"rank {self.rank} of {self.size}, {what}: {error}") from error
        except BaseException:
            _left.append((request, f"rank {self.rank} of {self.size} left {what}"))
            raise

    def _poll(self, request: Request, what: str) -> None:
        start = time.monotonic()
        while not request.Test():
            now = time.monotonic()
            if now - start > self._patience:
                self._give_up(what)
            self._standing.signals.deliver_overdue(now)
            # Messages move only while they are polled, so sleep costs bandwidth: 50 us after
            # each poll made MPICH 20 times slower. All ranks of a machine share this clock,
            # and after a while all sleep in every second millisecond.
            if now - start > _EAGER and now % 2e-3 > 1e-3:
                time.sleep(1e-3)
            else:
                os.sched_yield()

    def _give_up(self, what: str) -> NoReturn:
        message = self._waited(what)
        if not self._standing.leaving:
            _abort(self._MPI, message)
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

    def _gather_rows(self, row: NDArray[Any], what: str) -> NDArray[Any]:
        rows = np.empty((self.size, len(row)), row.dtype)
        self._wait(self._comm.Iallgather(row, rows), what)
        return rows

    def _all_gather(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        longest = max(lengths)
        if longest > _LARGE:
            return self._all_gather_in_turn(sent, lengths, what)
        received: list[list[Bytes]] = [[] for _ in range(self.size)]
        for start, stop in self._rounds(longest):
            counts = np.clip(np.array(lengths) - start, 0, stop - start)
            buffer = np.empty(counts.sum(), np.uint8)
            into = [buffer, (counts, _starts(counts)), self._MPI.BYTE]
            piece = [sent[start:stop], self._MPI.BYTE]
            self._wait(self._comm.Iallgatherv(piece, into), what)
            _append(received, split(buffer, counts))
        return [join(pieces) for pieces in received]

    def _all_gather_in_turn(self, sent: Bytes, lengths: list[int], what: str) -> list[Bytes]:
        """Gather what is large pair by pair: without the copies through MPI's own buffers."""
        received = [
            sent if rank == self.rank else np.empty(length, np.uint8)
            for rank, length in enumerate(lengths)
        ]
        for turn in range(1, self.size):
            to, source = (self.rank + turn) % self.size, (self.rank - turn) % self.size
            for start in range(0, max(lengths), _MAX_BYTES):
                piece = slice(start, start + _MAX_BYTES)
                into = [received[source][piece], self._MPI.BYTE]
                requests = [
                    self._comm.Irecv(into, source),
                    self._comm.Isend([sent[piece], self._MPI.BYTE], to),
                ]
                for request in requests:
                    self._wait(request, what)
        return received

    def _turn(self, values: NDArray[np.int64], what: str) -> NDArray[np.int64]:
        came = np.empty_like(values)
        self._wait(self._comm.Ialltoall(values, came), what)
        return came

    def _exchange(
        self,
        sent: Bytes,
        lengths: NDArray[np.int64],
        counts: NDArray[np.int64],
        longest: int,
        what: str,
    ) -> Bytes:
        rounds = self._rounds(longest)
        if len(rounds) == 1:
            return self._exchange_at_once(sent, lengths, counts, what)
        parts = split(sent, lengths)
        received: list[list[Bytes]] = [[] for _ in range(self.size)]
        for start, stop in rounds:
            out, come = (np.clip(each - start, 0, stop - start) for each in (lengths, counts))
            piece = np.concatenate([part[start:stop] for part in parts])
            _append(received, split(self._exchange_at_once(piece, out, come, what), come))
        return join([join(pieces) for pieces in received])

    def _exchange_at_once(
        self, sent: Bytes, lengths: NDArray[np.int64], counts: NDArray[np.int64], what: str
    ) -> Bytes:
        received = np.empty(counts.sum(), np.uint8)
        out = [sent, (lengths, _starts(lengths)), self._MPI.BYTE]
        into = [received, (counts, _starts(counts)), self._MPI.BYTE]
        self._wait(self._comm.Ialltoallv(out, into), what)
        return received

    def _rounds(self, longest: int) -> list[tuple[int, int]]:
        """Ranges of a part that one call each moves, within MPI's counts; the same on all ranks."""
        step = max(1, min(longest, _MAX_BYTES // self.size))
        return [(start, start + step) for start in range(0, longest, step)]


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(counts) - counts


def _append(received: list[list[Bytes]], pieces: list[Bytes]) -> None:
    for old, new in zip(received, pieces, strict=True):
        old.append(new)


def _abort(MPI: ModuleType, message: str) -> None:
    print(f"dynsample: {message}", file=sys.stderr, flush=True)
    time.sleep(0.5)  # a launcher that ends a job may drop what it has not passed on yet
    MPI.COMM_WORLD.Abort(1)


def _finish_what_was_left(MPI: ModuleType) -> None:
    """Finish requests before MPI is finalised; where others do not come, end the job."""
    end = time.monotonic() + GRACE
    for request, text in _left:
        while not MPI.Is_finalized() and not request.Test():
            if time.monotonic() > end:
                _abort(MPI, f"{text} in the middle, and the other ranks did not come")
                return  # killed before long
            time.sleep(1e-3)
