"""Running whole scripts, and applying the changes of pages to stock ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests import pages

ROOT = pages.ROOT

# Appended to a changed script: KAKURENBO did hide samples.
HIDES = """
assert epoch == sampler.epoch == 3
assert sampler.plan.num_hidden > 0
assert sampler.lr_scale > 1
"""


def run(*command: str | Path) -> str:
    """Run a script; give what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def stock_script(name: str) -> str:
    """Text of a script in this folder."""
    return Path(__file__).with_name(name).read_text().replace("  # noqa: B007", "")


def changed(script: str, page: str) -> str:
    """Apply the diff of a page, whose hunks are separated by @@."""
    (diff,) = pages.blocks(page, "diff")
    for hunk in re.split(r"^@@\n", diff, flags=re.MULTILINE):
        lines = hunk.splitlines(keepends=True)
        before = "".join(line[1:] for line in lines if line[0] != "+")
        after = "".join(line[1:] for line in lines if line[0] != "-")
        assert script.count(before) == 1, before
        script = script.replace(before, after)
    return script
