"""Starting the ranks of a life, killing one from outside, and ending all whatever happens."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dynsample
from dynsample.cli.chaos.page import Page
from dynsample.cli.chaos.scenario import Orders
from dynsample.cli.chaos.strikes import strike
from dynsample.cli.chaos.worker import CANNOT_LOAD, LOST_A_RANK

LIFE_LIMIT = 180.0  # seconds; a life takes one or a few
_GRACE = 15.0  # seconds beyond the group's limit in which a rank without its peers must end
_MARK = "DYNSAMPLE_CHAOS_LIFE"  # in the environment of every process of a life
# With more ranks than cores nobody may spin.
_POLITE = {"OMP_NUM_THREADS": "1", "DYNSAMPLE_THREADS": "1", "MPIR_CVAR_POLLS_BEFORE_YIELD": "1"}
_LAUNCHED = ("PMI_", "PMIX_", "OMPI_", "SLURM_", "HOROVOD_", "TORCHELASTIC_")


@dataclass(frozen=True)
class Outcome:
    """How a life ended: it finished, was ended in a phase, or what went wrong."""

    killed: str | None = None
    problem: str | None = None

    @property
    def finished(self) -> bool:
        """Whether every rank came to its end."""
        return self.killed is None and self.problem is None


def missing(group: str) -> str | None:
    """Say why ranks cannot be joined by `group` here."""
    if group == "torch":
        if importlib.util.find_spec("torch"):
            return None
        return 'needs torch, not installed here: pip install "dynsample[torch]"'
    if not importlib.util.find_spec("mpi4py"):
        return 'needs mpi4py, not installed here: pip install "dynsample[mpi-local]"'
    launcher = _mpiexec()
    if launcher is None:
        return 'needs mpiexec of MPICH, not found here: pip install "dynsample[mpi-local]"'
    version = subprocess.run([launcher, "--version"], capture_output=True, text=True, check=False)
    if "HYDRA" not in version.stdout:
        return f"needs mpiexec of MPICH, and {launcher} is of another MPI"
    return None


def _mpiexec() -> str | None:
    own = sysconfig.get_path("scripts")
    for name in ("mpiexec.hydra", "mpiexec"):
        if found := shutil.which(name, path=own) or shutil.which(name):
            return found
    return None


def run(orders: Orders) -> Outcome:
    """Run one life to its end, with the kill that it was told, and leave no process behind."""
    file = Path(orders.folder) / f"orders-{orders.life:04d}.json"
    orders.write(file)
    with _world(orders, file) as (processes, output):
        end = time.monotonic() + LIFE_LIMIT
        struck = False
        if orders.kill and orders.kill.outside:
            struck = _kill_from_outside(orders, processes, end)
        try:
            statuses = _statuses(processes, orders, end)
        except subprocess.TimeoutExpired:
            return Outcome(problem=f"hung in {_whereabouts(orders)}")
        return _judge(orders, statuses, struck, output.read_text(errors="replace"))


def _commands(orders: Orders, file: Path) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Command lines to start, and what each has in its environment."""
    python = [sys.executable, "-m", "dynsample.cli.chaos.worker", str(file)]
    if orders.group == "mpi":
        library = Path(sysconfig.get_path("scripts")).parent / "lib" / "libmpi.so.12"
        own = {"MPI4PY_LIBMPI": str(library)} if library.exists() else {}
        yield [str(_mpiexec()), "-n", str(orders.size), *python], {**own, **os.environ}
    elif orders.group == "torch":
        for rank in range(orders.size):
            yield python, {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(orders.size)}
    else:
        yield python, {**os.environ}


@contextlib.contextmanager
def _world(orders: Orders, file: Path) -> Iterator[tuple[list[subprocess.Popen[bytes]], Path]]:
    mark = uuid.uuid4().hex
    paths = [str(Path(dynsample.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    more = {**_POLITE, _MARK: mark, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    log = Path(orders.folder) / f"output-{orders.life:04d}.txt"
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with log.open("wb") as output:
            for line, environ in _commands(orders, file):
                kept = {k: v for k, v in environ.items() if not k.startswith(_LAUNCHED)}
                started = subprocess.Popen(
                    line, env={"GLOO_SOCKET_IFNAME": "lo", **kept, **more}, stdout=output,
                    stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
                processes.append(started)
        yield processes, log
    finally:
        if any(process.poll() is None for process in processes) or orders.group == "mpi":
            kill_marked(_MARK, mark)
        for process in processes:
            process.wait()


def kill_marked(variable: str, mark: str) -> None:
    """Kill all with a mark in their environment: launchers put ranks in sessions of their own."""
    entry = f"{variable}={mark}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if entry in path.read_bytes().split(b"\0"):
                os.kill(int(path.parent.name), signal.SIGKILL)


def _kill_from_outside(
    orders: Orders, processes: list[subprocess.Popen[bytes]], end: float
) -> bool:
    """Strike some time after the victim passed the point; False when the life ended before."""
    kill = orders.kill
    assert kill is not None
    while time.monotonic() < end and all(process.poll() is None for process in processes):
        page = Page.look(orders.page(kill.rank))
        if page and page.passed[kill.phase] >= kill.entry:
            time.sleep(kill.delay)
            return strike(orders)
        time.sleep(2e-4)
    return False


def _statuses(processes: list[subprocess.Popen[bytes]], orders: Orders, end: float) -> list[int]:
    """Exit statuses; once a process has died, the others have a shorter time to end."""
    while True:
        statuses = [process.poll() for process in processes]
        if None not in statuses:
            return [process.wait() for process in processes]
        if any(statuses):
            end = min(end, time.monotonic() + orders.time_limit + _GRACE)
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired("a rank", orders.time_limit)
        time.sleep(5e-3)


def _judge(orders: Orders, statuses: list[int], struck: bool, output: str) -> Outcome:
    pages = [Page.look(orders.page(rank)) for rank in range(orders.size)]
    stopped = [rank for rank, page in enumerate(pages) if page and page.stopped]
    kill = orders.kill
    victim = pages[kill.rank] if kill else None
    if not any(statuses) and not stopped:
        return Outcome()
    if not any(statuses) and kill and kill.caught and victim and len(stopped) == orders.size:
        return Outcome(killed=victim.caught)
    tail = "\n".join(output.strip().splitlines()[-12:])
    if CANNOT_LOAD in statuses:
        return Outcome(problem=f"the checkpoint cannot be loaded:\n{tail}")
    if kill and kill.caught:
        ranks = ", ".join(map(str, stopped)) or "none"
        return Outcome(
            problem=f"{kill.kind} was sent to rank {kill.rank}, the ranks that saved and ended "
            f"are {ranks} of {orders.size}, the statuses {statuses}:\n{tail}"
        )
    if kill is None or victim is None or not (struck or victim.dying):
        return Outcome(problem=f"ended with status {statuses}, and no rank was killed:\n{tail}")
    if orders.group == "mpi":
        # The launcher ends the others too, and gives the status of one that was killed first.
        died = statuses == [signal.SIGKILL]
    else:
        died = statuses[kill.rank] == -signal.SIGKILL
    if not died:
        return Outcome(problem=f"rank {kill.rank} was killed, and ended {statuses}:\n{tail}")
    lost = -signal.SIGKILL if kill.kind == "all" else LOST_A_RANK
    for rank, status in enumerate(statuses):
        if orders.group == "torch" and rank != kill.rank and status not in (0, lost):
            return Outcome(
                problem=f"rank {kill.rank} was killed, and rank {rank} ended with status "
                f"{status} and not {lost}:\n{tail}"
            )
    return Outcome(killed=victim.phase)


def _whereabouts(orders: Orders) -> str:
    pages = [Page.look(orders.page(rank)) for rank in range(orders.size)]
    return ", ".join(
        f"rank {rank}: {page.phase if page else 'start'}" for rank, page in enumerate(pages)
    )
