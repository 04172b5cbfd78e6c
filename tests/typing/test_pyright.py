"""What Pyright, in strict mode, makes of the programs of users beside this file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import sources
import typing_extensions

pytest.importorskip("basedpyright", reason="type checks of users need basedpyright")

HERE = Path(__file__).parent


def check(folder: Path, python: str | Path, *programs: str, **environ: str) -> None:
    """Let Pyright check programs with what an interpreter can import."""
    settings = {"typeCheckingMode": "strict", "include": [str(HERE / name) for name in programs]}
    config = folder / "pyrightconfig.json"
    config.write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "-p", config, "--pythonpath", python]
    done = subprocess.run(
        [*map(str, command), "--outputjson"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
    )
    found = json.loads(done.stdout)
    said = [
        f"{Path(one['file']).name}:{one['range']['start']['line'] + 1} {one['message']}"
        for one in found["generalDiagnostics"]
    ]
    assert not said, "\n".join(said)
    assert found["summary"]["filesAnalyzed"] == len(programs)


def test_programs_of_users_are_typed(tmp_path: Path) -> None:
    there = find_spec("nvidia") and find_spec("nvidia.dali")
    check(tmp_path, sys.executable, "user.py", "user_torch.py", *["user_dali.py"][: bool(there)])


def test_an_editable_install_without_torch_is_typed_as_well(tmp_path: Path) -> None:
    checkout = sources.without_extension(sources.copy_to(tmp_path / "checkout"))
    venv.create(tmp_path / "user")
    python = tmp_path / "user/bin/python"
    sources.run(
        *(python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "-e", "."),
        cwd=checkout,
        PYTHONPATH=sysconfig.get_path("purelib"),
        PATH=sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"],
    )
    (site,) = tmp_path.glob("user/lib/python*/site-packages")
    (site / "numpy").symlink_to(Path(np.__file__).parent)
    (site / "typing_extensions.py").symlink_to(typing_extensions.__file__)
    check(tmp_path, python, "user.py", PYTHONPATH="")
