"""The native operator: where it comes from, and what is said when it cannot be had."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from dynsample import files
from dynsample.dali import culprits, operator
from dynsample.dali.feed import padded_paths
from dynsample.files import pack

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


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is compiled, without waiting for a compiler: each is a file of a few bytes."""
    found: list[Path] = []

    def write(_: list[str], path: Path) -> None:
        path.write_bytes(b"compiled")
        path.chmod(0o700)
        found.append(path)

    monkeypatch.setattr(operator, "_compile", write)
    return found


def test_the_cache_is_of_this_user_alone_whatever_the_umask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Path]
) -> None:
    before = os.umask(0)
    try:
        for name, variable in (("explicit", "DYNSAMPLE_CACHE"), ("home", "HOME")):
            for other in ("DYNSAMPLE_CACHE", "XDG_CACHE_HOME"):
                monkeypatch.delenv(other, raising=False)
            monkeypatch.setenv(variable, str(tmp_path / name))
            folder = operator.built().parent
            assert folder.is_relative_to(tmp_path / name)
            assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


def test_a_folder_that_others_may_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Path]
) -> None:
    (tmp_path / "open").mkdir(mode=0o700)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("open", "link"):
        monkeypatch.setenv("DYNSAMPLE_CACHE", str(tmp_path / name))
        with pytest.raises(operator.OperatorUnavailable, match="must be a folder of this user"):
            operator.built()
    assert not compiled


@pytest.mark.parametrize("planted", ["writable", "link"])
def test_a_library_that_another_may_have_written_is_compiled_anew(
    planted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Path]
) -> None:
    monkeypatch.setenv("DYNSAMPLE_CACHE", str(tmp_path))
    path = operator.built()
    assert operator.built() == path
    assert compiled == [path]
    if planted == "writable":
        path.chmod(0o777)
    else:
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    operator.built()
    assert compiled == [path, path]


def test_a_lock_that_is_a_link_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Path]
) -> None:
    monkeypatch.setenv("DYNSAMPLE_CACHE", str(tmp_path))
    path = operator.built()
    lock, victim = path.with_suffix(".lock"), tmp_path / "victim"
    victim.write_text("precious")
    path.unlink()
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(operator.OperatorUnavailable, match="symbolic links"):
        operator.built()
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("home", [None, "/proc/none"])
def test_without_a_home_the_cache_is_beside_other_temporary_files(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: list[Path]
) -> None:
    for name in ("DYNSAMPLE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert operator.built().parent == tmp_path / f"dynsample-{os.getuid()}"
    assert compiled


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


PACKED = """
import os, sys
import numpy as np
from nvidia.dali import fn, pipeline_def
import dynsample as ds, dynsample.dali as dali
from dynsample import files
from dynsample.files import pack
from dynsample.dali import operator
from dynsample.dali.held import hold

samples = pack.open_pack(sys.argv[1])
if sys.argv[2] == "offsets":
    offsets = samples.pack.offsets.copy()
    offsets[1] = int(sys.argv[3])
    object.__setattr__(samples.pack, "offsets", offsets)
    try:
        hold(operator.load(), samples)
    except OSError as error:
        sys.exit(f"refused: {error}")
sampler = ds.Sampler(len(samples), batch_size=2, order="sequential", group=ds.groups.single())

@pipeline_def(batch_size=2, num_threads=1, device_id=None)
def pipe():
    return dali.readers.packed(sampler=sampler, path=sys.argv[1])

iterator = iter(dali.DALIGenericIterator(pipe(), ["data", "label", "index"], sampler=sampler,
                                         dynamic_shape=True))
os.truncate(sys.argv[1], 100)
try:
    for _ in range(4):
        next(iterator)
except files.SampleError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    (tmp_path / "c").mkdir()
    for i in range(8):
        (tmp_path / "c" / f"{i}.png").write_bytes(bytes([i]) * 9000)
    pack.write(files.from_folders(tmp_path), tmp_path / "pack")
    return tmp_path / "pack"


@pytest.mark.parametrize(
    "value",
    [-5, *(pytest.param(value, marks=pytest.mark.whole) for value in (0, 10**12)), 2**62],
)
def test_the_operator_refuses_offsets_that_lead_out_of_the_pack(packed: Path, value: int) -> None:
    status, errors = in_process(PACKED, packed, "offsets", value, DYNSAMPLE_DALI_OPERATOR="on")
    assert status == 1, errors
    assert "refused: cannot map" in errors


def test_a_pack_that_is_cut_while_the_operator_has_it_is_an_error(packed: Path) -> None:
    status, errors = in_process(PACKED, packed, "cut", DYNSAMPLE_DALI_OPERATOR="on")
    assert status == 1, errors
    assert "the pack was cut short since it was opened" in errors
