"""A page in a browser without a window."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed"
)


def shown(page: Path, profile: Path, width: int = 800) -> tuple[str, list[str]]:
    """Open a page; give the document as it then is, and what its console says."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
        "--enable-logging=stderr", "--virtual-time-budget=10000", f"--user-data-dir={profile}",
        f"--window-size={width},600", page.as_uri(),
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    return run.stdout, [line for line in run.stderr.splitlines() if ":CONSOLE" in line]
