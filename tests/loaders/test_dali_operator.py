"""The native operator: where it comes from, and what is said when it cannot be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from dynsample import files
from dynsample.dali import culprits, operator
from dynsample.dali.feed import padded_paths

OPEN = """
import sys, warnings
from nvidia.dali import Pipeline
import dynsample as ds, dynsample.dali as dali
for _ in range(2):
    with Pipeline(batch_size=1, num_threads=1, device_id=None):
        dali.readers.file(sampler=ds.Sampler(1), file_root=sys.argv[1])
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data" / "class").mkdir(parents=True)
    (tmp_path / "data" / "class" / "1.jpg").write_bytes(b"no image")
    return tmp_path / "data"


def in_process(code: str, *arguments: object, **variables: object) -> tuple[int, str]:
    """Run code in a process of its own, as what was loaded or warned of is kept; give errors."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return run.returncode, run.stderr


def failing_compiler(folder: Path) -> Path:
    path = folder / "cxx"
    path.write_text(
        '#!/bin/sh\ntest "$1" = --version && exec echo 1\necho "error: bad" >&2\nexit 1\n'
    )
    path.chmod(0o755)
    return path


def test_without_a_compiler_the_slower_path_is_taken_with_one_warning(
    root: Path, tmp_path: Path
) -> None:
    status, errors = in_process(OPEN, root, CXX="no-such-compiler", DYNSAMPLE_CACHE=tmp_path)
    assert status == 0
    assert errors.count("RuntimeWarning") == 1
    assert "without its native operator, which is slower: no compiler no-such-compiler" in errors


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CXX": "no-such-compiler"}, "no compiler no-such-compiler found; install g++"),
        ({"CXX": "{}/cxx"}, "failed on .*reader.cc: error: bad"),
        ({"DYNSAMPLE_CACHE": "/proc/none"}, "cannot write into /proc/none .*names another folder"),
        ({"DYNSAMPLE_DALI_OPERATOR": "yes"}, "DYNSAMPLE_DALI_OPERATOR must be one of 'auto'"),
    ],
)
def test_an_operator_that_is_insisted_on_and_cannot_be_had_is_an_error(
    root: Path, tmp_path: Path, variables: dict[str, str], message: str
) -> None:
    failing_compiler(tmp_path)
    settings = {"DYNSAMPLE_CACHE": tmp_path / "cache", "DYNSAMPLE_DALI_OPERATOR": "on"}
    settings.update({name: value.format(tmp_path) for name, value in variables.items()})
    status, errors = in_process(OPEN, root, **settings)
    assert status == 1
    assert re.search(message, errors), errors
    assert not list(tmp_path.rglob("*.partial"))


def test_the_operator_is_compiled_once_for_all_processes(root: Path, tmp_path: Path) -> None:
    code = "from dynsample.dali import operator; print(operator.built())"
    environment = {**os.environ, "DYNSAMPLE_CACHE": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", code]
    runs = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    paths = {run.communicate()[0].strip() for run in runs}
    assert all(run.returncode == 0 for run in runs)
    (path,) = paths
    written = Path(path).stat().st_mtime_ns
    assert in_process(OPEN, root, DYNSAMPLE_CACHE=tmp_path, DYNSAMPLE_DALI_OPERATOR="on")[0] == 0
    assert Path(path).stat().st_mtime_ns == written
    assert [file.name for file in tmp_path.glob("*.so")] == [Path(path).name]


def test_another_source_or_compiler_is_another_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DYNSAMPLE_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", str(failing_compiler(tmp_path)))
    with pytest.raises(operator.OperatorUnavailable, match="error: bad"):
        operator.built()


def test_doctor_says_which_feed_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert operator.status().startswith("native operator, ")
    monkeypatch.setenv("DYNSAMPLE_DALI_OPERATOR", "off")
    assert operator.status() == f"{operator.fallback()} (DYNSAMPLE_DALI_OPERATOR=off)"


def test_paths_are_padded_to_the_longest_of_their_batch(tmp_path: Path) -> None:
    samples = files.from_names(tmp_path, [b"a/1.jpg", b"b/longer.jpg", b"c/2.jpg"], [0, 0, 0])
    rows = padded_paths(samples, np.array([2, 1, 2]))
    assert [row.tobytes().rstrip(b"\0").decode() for row in rows] == [
        samples.path(2),
        samples.path(1),
        samples.path(2),
    ]
    assert rows.shape[1] == len(samples.path(1)) + 1


def test_culprits_are_those_that_the_error_names_or_that_do_not_decode(root: Path) -> None:
    (root / "class" / "2.jpg").write_bytes(b"no image either")
    samples = files.from_folders(root)
    ids = np.array([0, 1])
    named = culprits.find_culprits(samples, ids, f"something about {samples.path(1)}: bad")
    assert named == [f"sample 1, {samples.path(1)}"]
    found = culprits.find_culprits(samples, ids, "something")
    assert found == [f"sample {i}, {samples.path(i)}: not a whole image" for i in (0, 1)]
