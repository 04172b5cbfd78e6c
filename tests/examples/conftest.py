"""The examples import each other by name, as they do when they are run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.insert(0, str(EXAMPLES))


@pytest.fixture
def run_example(tmp_path: Path) -> Callable[..., str]:
    """Run a script in an empty folder, and give what it printed."""

    def run(script: str, *options: object) -> str:
        command = [sys.executable, "-W", "ignore", str(EXAMPLES / script), *map(str, options)]
        path = os.pathsep.join([str(tmp_path), str(EXAMPLES.parent)])
        environ = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160", "PYTHONPATH": path}
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
