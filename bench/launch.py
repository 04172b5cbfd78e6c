"""Ranks on this machine: a script that starts itself again under MPICH's launcher."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

_SCRIPTS = Path(sysconfig.get_path("scripts"))
_LIBRARY = _SCRIPTS.parent / "lib" / "libmpi.so.12"
# A network of its own, in which nobody else's traffic counts. UCX asks the main routing table
# whether a link reaches an address, and that knows nothing of the loopback link by itself.
_NETWORK = 'ip link set lo up && ip route add default dev lo && exec "$@"'
_ALONE = ("unshare", "-n", "sh", "-c", _NETWORK, "sh")
# MPICH's own shared memory, and that of UCX below it.
_NO_SHARED_MEMORY = {"MPIR_CVAR_NOLOCAL": "1", "UCX_TLS": "tcp,self"}


def missing() -> str | None:
    """Say what ranks would need that is not here."""
    if not importlib.util.find_spec("mpi4py") or not _launcher():
        return "mpi4py and MPICH: pip install -r requirements/mpi.txt"
    return None


def _launcher() -> str | None:
    own = _SCRIPTS / "mpiexec.hydra"
    return str(own) if own.exists() else shutil.which("mpiexec.hydra")


def on_ranks(size: int, script: str, *arguments: str, over_loopback: bool = False) -> int:
    """Run `python script arguments` on `size` ranks; give the exit status.

    The cores are shared out among the ranks. `over_loopback` has all messages go through the
    kernel's loopback link, and not through shared memory.
    """
    threads = str(max(1, (os.cpu_count() or 1) // size))
    environ = {**os.environ, "DYNSAMPLE_THREADS": threads, "OMP_NUM_THREADS": threads}
    if _LIBRARY.exists():
        environ.setdefault("MPI4PY_LIBMPI", str(_LIBRARY))
    command = [str(_launcher()), "-n", str(size), sys.executable, script, *arguments]
    if over_loopback:
        environ |= _NO_SHARED_MEMORY
        if subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode == 0:
            command = [*_ALONE, *command]
        else:
            print("no network of its own here: the traffic of others is counted too", flush=True)
    return subprocess.run(command, env=environ, check=False).returncode


def sent_bytes() -> int:
    """Bytes that have gone through the loopback link of this network so far."""
    for line in Path("/proc/self/net/dev").read_text().splitlines():
        name, _, counters = line.partition(":")
        if name.strip() == "lo":
            return int(counters.split()[8])
    raise RuntimeError("no loopback link in /proc/self/net/dev")
