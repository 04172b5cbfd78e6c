"""The native operator: compiled at first use for the DALI that is installed, and kept."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from dynsample.disk.locks import LockError, locked
from dynsample.kernels.checks import choice

# "auto" uses the operator where it can be built, "on" insists on it, "off" does without.
SWITCH = "DYNSAMPLE_DALI_OPERATOR"
CACHE = "DYNSAMPLE_CACHE"
LOCK_SECONDS, COMPILE_SECONDS = 600, 300


class OperatorUnavailable(RuntimeError):
    """The operator cannot be built or loaded; the message says why."""


def source() -> Path:
    """Return the operator's source: inside this package when installed, in `csrc` in a checkout."""
    here = Path(__file__).resolve()
    installed = here.with_name("csrc")
    folder = installed if installed.exists() else here.parents[2] / "csrc" / "dali"
    return folder / "reader.cc"


def cache_folder() -> Path:
    """Where compiled operators are kept: a folder of this user alone, made when it is not there.

    The environment variable DYNSAMPLE_CACHE goes first; without a home that can be used it is a
    folder beside other temporary files.

    Raises
    ------
    OperatorUnavailable
        When others could put a library there, or it cannot be made.
    """
    if folder := os.environ.get(CACHE):
        return private_folder(Path(folder))
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME")
    if base:
        inside = "dynsample" if os.environ.get("XDG_CACHE_HOME") else ".cache/dynsample"
        with contextlib.suppress(OperatorUnavailable):
            return private_folder(Path(base, inside), owned=True)
    return private_folder(Path(tempfile.gettempdir(), f"dynsample-{os.getuid()}"), owned=True)


def private_folder(folder: Path, *, owned: bool = False) -> Path:
    """Return a folder that only this user can write to, as an absolute path.

    One that is `owned`, as its name is ours, is closed to others when they could write to it.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
    except OSError as error:
        raise OperatorUnavailable(
            f"cannot write into {folder} ({error.strerror}); {CACHE} names another folder"
        ) from error
    found = folder.lstat()
    if owned and stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
        folder.chmod(0o700)  # which nobody can have made a link since: its parent is sticky or ours
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or not _is_ours(found):
        raise OperatorUnavailable(
            f"{folder} must be a folder of this user that no other may write to, and no link; "
            f"{CACHE} names another folder"
        )
    return folder


def _is_ours(found: os.stat_result) -> bool:
    """Whether nobody but this user could have written a file, or into a folder."""
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def switch() -> str:
    """Return the setting of DYNSAMPLE_DALI_OPERATOR: "auto", "on" or "off"."""
    return choice(os.environ.get(SWITCH, "auto").lower(), SWITCH, ("auto", "on", "off"))


def library() -> ctypes.CDLL | None:
    """Load the operator, or say once that the slower path is taken.

    Returns
    -------
    library or None
        None when the operator is switched off, or cannot be had.

    Raises
    ------
    OperatorUnavailable
        When the switch is "on" and the operator cannot be had.
    """
    chosen = switch()
    if chosen == "off":
        return None
    try:
        return load()
    except OperatorUnavailable as error:
        if chosen == "on":
            raise
        _warn_once(str(error))
        return None


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"the DALI reader runs without its native operator, which is slower: {reason} "
        f"({SWITCH}=off accepts this silently)",
        RuntimeWarning,
        stacklevel=6,
    )


@functools.cache
def load() -> ctypes.CDLL:
    """Load the operator into DALI and this process, compiling it if that was not yet done."""
    from nvidia.dali import plugin_manager

    path = built()
    try:
        plugin_manager.load_library(str(path))
        native = ctypes.CDLL(str(path))
    except (OSError, RuntimeError) as error:
        raise OperatorUnavailable(f"{path} does not load: {error}") from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    # Paths, starts, labels, size; pack, begin, offsets; kept.
    native.dynsample_add_table.argtypes = [
        pointer, pointer, pointer, integer, ctypes.c_char_p, integer, pointer, pointer,
    ]  # fmt: skip
    native.dynsample_add_table.restype = integer
    native.dynsample_remove_table.argtypes = [integer]
    native.dynsample_remove_table.restype = None
    return native


def built() -> Path:
    """Path of the compiled operator; compiles it when the cache does not hold it."""
    from nvidia import dali

    command = compile_command()
    versions = [dali.__version__, str(dali.__cuda_version__), compiler_version(command[0])]
    name = hashlib.sha256("\0".join([*command, *versions]).encode())
    for path in sorted(source().parent.glob("*.*")):
        name.update(path.read_bytes())
    path = cache_folder() / f"dali-reader-{name.hexdigest()[:20]}.so"
    if _is_trusted(path):
        return path
    with _locked(path.with_suffix(".lock")):
        if not _is_trusted(path):
            _compile(command, path)
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Let one process of the machine compile; what it cannot write is an error that says where."""
    try:
        with locked(path, LOCK_SECONDS, f"the compilation of {path.stem}"):
            yield
    except LockError as error:
        raise OperatorUnavailable(str(error)) from error
    except OSError as error:
        raise OperatorUnavailable(
            f"cannot write into {path.parent} ({error.strerror}); {CACHE} names another folder"
        ) from error


def _is_trusted(path: Path) -> bool:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and _is_ours(found)


def _compile(command: list[str], path: Path) -> None:
    for abandoned in path.parent.glob(
        f"{path.stem}.*.partial"
    ):  # the lock says that nobody is at it
        abandoned.unlink()
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        run = subprocess.run(
            [*command, "-o", str(partial)],
            capture_output=True,
            text=True,
            timeout=COMPILE_SECONDS,
            check=False,
        )
        if run.returncode:
            errors = [line for line in run.stderr.splitlines() if "error" in line]
            raise OperatorUnavailable(
                f"{command[0]} failed on {source()}: {(errors or ['no message'])[0].strip()}"
            )
        partial.chmod(0o700)
        os.replace(partial, path)
    except subprocess.TimeoutExpired as error:
        raise OperatorUnavailable(f"{command[0]} took over {COMPILE_SECONDS} s") from error
    finally:
        partial.unlink(missing_ok=True)


def compile_command() -> list[str]:
    """Return the command that compiles the operator, but for the output."""
    from nvidia.dali import sysconfig as dali_config

    compiler = os.environ.get("CXX", "g++")
    if not shutil.which(compiler):
        raise OperatorUnavailable(f"no compiler {compiler} found; install g++, or set CXX")
    system = [flag.replace("-I", "-isystem", 1) for flag in dali_config.get_compile_flags()]
    system += [f"-isystem{folder}" for folder in cuda_headers()]
    link = dali_config.get_link_flags()
    return [compiler, "-O2", "-std=c++17", "-shared", "-fPIC", *system, str(source()), *link]


@functools.cache
def compiler_version(compiler: str) -> str:
    """First line of `compiler --version`."""
    run = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, timeout=60, check=False
    )
    return (run.stdout.splitlines() or ["unknown"])[0]


def cuda_headers() -> list[Path]:
    """Folders with the headers of the CUDA runtime: of a toolkit, else of Python packages.

    Raises
    ------
    OperatorUnavailable
        When there are none.
    """
    from nvidia import dali

    homes = [os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"]
    toolkits = [Path(home) / "include" for home in homes if home]
    packages = sorted(Path(dali.__file__).parents[1].glob("*/include"))
    for folders in (*([folder] for folder in toolkits), packages):
        folders = [*folders, *(folder / "cccl" for folder in folders)]
        found = [
            next((folder for folder in folders if (folder / name).exists()), None)
            for name in ("cuda_runtime.h", "crt/host_config.h", "nv/target")
        ]
        if all(found):
            return list(dict.fromkeys(folder for folder in found if folder))
    raise OperatorUnavailable(
        "no headers of the CUDA runtime found; install a CUDA toolkit, or what the extra of this "
        "DALI brings: dynsample[dali], dynsample[dali-cuda120] or dynsample[dali-cuda110]"
    )


def status() -> str:
    """Say which feed a pipeline will use here, and why."""
    if switch() == "off":
        return f"{fallback()} ({SWITCH}=off)"
    try:
        load()
        return f"native operator, {built()}"
    except OperatorUnavailable as error:
        return f"{fallback()}: {error}"


def fallback() -> str:
    """Name the slower path of this DALI."""
    from nvidia.dali import fn

    return "io.file.read" if hasattr(fn, "io") else "reads in Python"
