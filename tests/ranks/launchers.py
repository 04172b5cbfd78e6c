"""Starting worlds of ranks on this machine, and ending them whatever happens."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dynsample.cli.chaos.launch import kill_marked

ROOT = Path(__file__).parents[2]
TRANSPORTS = ("mpich", "openmpi", "gloo")
_MARK = "DYNSAMPLE_TEST_WORLD"  # in the environment of every process of a world
# With more ranks than cores nobody may spin.
_POLITE = {
    "OMP_NUM_THREADS": "1",
    "DYNSAMPLE_THREADS": "1",
    "MPIR_CVAR_POLLS_BEFORE_YIELD": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}
_LAUNCHED = ("PMI_", "PMIX_", "OMPI_", "SLURM_", "HOROVOD_", "TORCHELASTIC_", "MPI4PY_")


def missing(transport: str) -> str | None:
    """Say why a transport cannot be tested here."""
    if transport == "gloo":
        return None if importlib.util.find_spec("torch") else "needs torch"
    if not importlib.util.find_spec("mpi4py"):
        return "needs mpi4py: pip install -r requirements/mpi.txt"
    if transport == "openmpi" and not openmpi_library():
        return "needs Open MPI: apt-get install openmpi-bin"
    if transport == "mpich" and not mpich_launcher().exists():
        return "needs MPICH: pip install -r requirements/mpi.txt"
    return None


def whole(*values: object) -> object:
    """Parameters of a test that `make test` leaves out: others are on another transport there."""
    return pytest.param(*values, marks=pytest.mark.whole)


def require(transport: str) -> None:
    """Skip the test where the transport is missing."""
    if reason := missing(transport):
        pytest.skip(reason)


def openmpi_library() -> str | None:
    """Path of the libmpi of the system's Open MPI, where its launcher is installed too."""
    if not shutil.which("mpiexec.openmpi"):
        return None
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    paths = [line.split("=> ")[1] for line in listing.stdout.splitlines() if "libmpi.so.40" in line]
    return paths[0] if paths else None


def environment(**more: str) -> dict[str, str]:
    """Environment of a process that nothing launched, to which a launcher adds."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_LAUNCHED) and name not in ("RANK", "WORLD_SIZE")
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**kept, **_POLITE, "PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo"} | more


def free_port() -> int:
    """Find a port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass
class World:
    """A world that runs, with what it printed so far in a file."""

    processes: list[subprocess.Popen[bytes]]
    log: Path

    def wait(self, seconds: float = 120) -> list[int]:
        """Exit statuses of the launched processes; the test fails when that takes longer."""
        end = time.monotonic() + seconds
        return [self._wait(process, end) for process in self.processes]

    def wait_first(self, seconds: float = 120) -> int:
        """Exit status of the first launched process alone."""
        return self._wait(self.processes[0], time.monotonic() + seconds)

    def _wait(self, process: subprocess.Popen[bytes], end: float) -> int:
        try:
            return process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            pytest.fail(f"the world did not end:\n{self.output()}")

    def output(self) -> str:
        return self.log.read_text(errors="replace")


Launch = tuple[list[str], dict[str, str]]  # a command line, and what its environment has more


def python(*command: str) -> list[str]:
    """Command line of this Python."""
    return [sys.executable, *command]


def mpich_launcher() -> Path:
    """Path of MPICH's launcher; beside it Open MPI's could be called mpiexec."""
    return _scripts() / "mpiexec.hydra"


def of_mpich() -> dict[str, str]:
    """What makes mpi4py load the MPICH of this Python."""
    library = _scripts().parent / "lib" / "libmpi.so.12"
    return {"MPI4PY_LIBMPI": os.environ.get("MPI4PY_LIBMPI", str(library))}


@contextlib.contextmanager
def world(transport: str, size: int, folder: Path, *command: str, **more: str) -> Iterator[World]:
    """Run `python command...` on every rank, and leave no process of it behind.

    `transport` is one of TRANSPORTS, "torchrun" for gloo under that launcher, or "plain" for
    processes that are on their own.
    """
    line = python(*command)
    launches: list[Launch]
    if transport == "mpich":
        launches = [([str(mpich_launcher()), "-n", str(size), *line], {**of_mpich(), **more})]
    elif transport == "openmpi":
        launcher = [str(shutil.which("mpiexec.openmpi")), "--allow-run-as-root", "--oversubscribe"]
        own = {"MPI4PY_LIBMPI": str(openmpi_library()), **more}
        launches = [([*launcher, "-n", str(size), *line], own)]
    elif transport == "torchrun":
        run = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size)]
        launches = [([sys.executable, *run, "--no-python", *line], more)]
    elif transport == "gloo":
        store = (folder / f"store-{uuid.uuid4().hex}").as_uri()
        of_gloo = {"WORLD_SIZE": str(size), "WORLD_STORE": store, **more}
        launches = [(line, {**of_gloo, "RANK": str(rank)}) for rank in range(size)]
    else:
        launches = [(line, more)] * size
    with running(launches, folder) as started:
        yield started


@contextlib.contextmanager
def running(launches: list[Launch], folder: Path) -> Iterator[World]:
    """Start processes, and leave none of them, nor of theirs, behind."""
    mark = uuid.uuid4().hex
    log = folder / f"output-{mark}.txt"
    with log.open("wb") as output:
        processes = [
            subprocess.Popen(
                line,
                env=environment(**{_MARK: mark}, **own),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            for line, own in launches
        ]
    try:
        yield World(processes, log)
    finally:
        kill_marked(_MARK, mark)
        for process in processes:
            process.wait()


def _scripts() -> Path:
    return Path(sysconfig.get_path("scripts"))
