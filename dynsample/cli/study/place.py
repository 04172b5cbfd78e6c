"""When, with what and on what kind of machine runs were made."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path

from dynsample import _core
from dynsample.cli.doctor import version

ROOT = Path(__file__).parents[3]
PACKAGES = ("dynsample", "numpy", "torch")


def here() -> dict[str, object]:
    """Describe this place, without names of machines, users and folders."""
    return {
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "versions": {
            "python": platform.python_version(), **{name: version(name) for name in PACKAGES}
        },
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_core.isa()}",
    }  # fmt: skip


def _commit() -> str | None:
    """Return the commit of the checkout that this package is in; None for an installed one."""
    if not (ROOT / ".git").exists():
        return None
    git = ("git", "-C", str(ROOT))
    try:
        name = subprocess.run(
            [*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        )
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "dynsample"])
    except OSError:
        return None
    return name.stdout.strip() + ("+" if changed.returncode else "") or None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()
