"""Which nvcc builds the CUDA module, and for what; whatever fails about it, `_core` is built."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pybind11
import pytest

ROOT = Path(__file__).parents[2]
# What `nvcc --list-gpu-arch` prints: the releases that know fewer GPUs than we build for, or all.
KNOWN = {
    "11.8": "35 37 50 52 53 60 61 62 70 72 75 80 86 87 89 90",
    "12.4": "50 52 53 60 61 62 70 72 75 80 86 87 89 90",
    "12.8": "50 52 53 60 61 62 70 72 75 80 86 87 89 90 100 101 120",
}
# nvcc as a release has it: it refuses the GPUs that this does not know.
OLDER = """#!/bin/sh
known="{known}"
case "$1" in
  --version) echo "nvcc: NVIDIA (R) Cuda compiler driver"
    echo "Cuda compilation tools, release {release}, V{release}.89"; exit ;;
  --list-gpu-arch) printf 'compute_%s\\n' $known; exit ;;
esac
for gpu in $(echo "$*" | grep -oE '(compute|sm)_[0-9]+' | sed 's/.*_//'); do
  case " $known " in *" $gpu "*) ;; *)
    echo "nvcc fatal   : Unsupported gpu architecture 'compute_$gpu'" >&2; exit 1 ;;
  esac
done
exec {nvcc} "$@"
"""
BROKEN = {
    "does not run": (
        "#!/bin/sh\necho 'nvcc: error while loading shared libraries: libm' >&2; exit 127\n",
        "--list-gpu-arch fails: nvcc: error while loading shared libraries: libm",
    ),
    "too old to say": (
        "#!/bin/sh\necho \"nvcc fatal   : Unknown option '$1'\" >&2; exit 1\n",
        "--list-gpu-arch fails: nvcc fatal : Unknown option '--list-gpu-arch'",
    ),
    "knows none": (
        '#!/bin/sh\ntest "$1" = --list-gpu-arch && echo compute_35\n',
        "knows none of the GPUs 75, 80, 86, 89, 90, 100, 120",
    ),
    "takes no compiler": (
        '#!/bin/sh\ncase "$1" in --list-gpu-arch|--version|-v) exec {nvcc} "$@"; esac\n'
        "echo 'host_config.h:143:2: error: #error -- unsupported GNU version!' >&2; exit 1\n",
        "does not build cmake/cuda_probe: host_config.h:143:2: error: #error -- unsupported GNU",
    ),
    "is something else": (
        '#!/bin/sh\ntest "$1" = --list-gpu-arch && echo compute_90\n',
        "does not build cmake/cuda_probe: The compiler could not be identified",
    ),
    "not there": (None, "--list-gpu-arch fails: no such file or directory"),
}
SCRIPTS = sysconfig.get_path("scripts")


def program(folder: Path, text: str | None) -> Path:
    path = folder / "nvcc"
    if text is not None:
        path.write_text(text)
        path.chmod(0o755)
    return path


def real_nvcc() -> str:
    return shutil.which("nvcc") or pytest.skip("nvcc is not on the PATH")


def older(folder: Path, release: str) -> Path:
    text = OLDER.format(known=KNOWN[release], release=release, nvcc=real_nvcc())
    return program(folder, text)


def broken(folder: Path, kind: str) -> tuple[Path, str]:
    """An nvcc that does not work, and what is said of it."""
    text, reason = BROKEN[kind]
    if text and "{nvcc}" in text:
        text = text.replace("{nvcc}", real_nvcc())
    return program(folder, text), reason


def configure(
    tree: Path, choice: str, nvcc: Path | None = None, *options: str
) -> subprocess.CompletedProcess[str]:
    left_out = {"CUDACXX", "CUDA_PATH", "CUDAARCHS"}
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    environment["PATH"] = os.pathsep.join([SCRIPTS, "/usr/bin", "/bin"])
    if nvcc:
        environment["CUDACXX"] = str(nvcc)
    elif shutil.which("nvcc", path=environment["PATH"]):
        pytest.skip("nvcc is beside the system's compiler")
    # fmt: off
    return subprocess.run(
        ["cmake", "-S", str(ROOT), "-B", str(tree), "-G", "Ninja",
         f"-DDYNSAMPLE_CUDA={choice}", f"-DPython_EXECUTABLE={sys.executable}",
         f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", *options],
        env=environment, capture_output=True, text=True, check=False,
    )
    # fmt: on


def words(run: subprocess.CompletedProcess[str]) -> str:
    """What was said, in one line: CMake breaks lines."""
    return " ".join((run.stdout + run.stderr).split())


def warnings(run: subprocess.CompletedProcess[str]) -> int:
    return len(re.findall("CMake (?:Deprecation )?Warning", run.stdout + run.stderr))


@pytest.mark.parametrize(
    ("release", "architectures", "left_out"),
    [
        ("11.8", "75-real 80-real 86-real 89-real 90", "sm_100, sm_120"),
        pytest.param("12.4", "75-real 80-real 86-real 89-real 90", "sm_100, sm_120",
                     marks=pytest.mark.whole),
        pytest.param("12.8", "75-real 80-real 86-real 89-real 90-real 100-real 120", None,
                     marks=pytest.mark.whole),
    ],
)  # fmt: skip
def test_an_older_nvcc_builds_for_the_gpus_that_it_knows(
    release: str, architectures: str, left_out: str | None, tmp_path: Path
) -> None:
    run = configure(tmp_path / "tree", "AUTO", older(tmp_path, release))
    assert run.returncode == 0, run.stderr
    assert warnings(run) == 0
    assert "dynsample: CUDA module ON" in run.stdout
    said = re.findall("does not know it: (.*); PTX of compute_(.*) is there", run.stdout)
    assert said == ([(left_out, "90")] if left_out else [])
    commands = json.loads((tmp_path / "tree/compile_commands.json").read_text())
    words = [word for command in commands for word in shlex.split(command["command"])]
    built_for = {word for word in words if word.startswith("-DDYNSAMPLE_CUDA_ARCHITECTURES=")}
    assert built_for == {f'-DDYNSAMPLE_CUDA_ARCHITECTURES="{architectures}"'}


@pytest.mark.parametrize("kind", BROKEN)
def test_auto_leaves_the_module_out_and_warns_once_of_what_is_wrong_with_nvcc(
    kind: str, tmp_path: Path
) -> None:
    nvcc, reason = broken(tmp_path, kind)
    run = configure(tmp_path / "tree", "AUTO", nvcc)
    assert run.returncode == 0, run.stderr
    assert warnings(run) == 1
    assert f"dynsample: the CUDA module is left out: {nvcc} {reason}" in words(run)
    assert "dynsample: CUDA module OFF" in run.stdout


@pytest.mark.parametrize("kind", ["too old to say", "takes no compiler"])
def test_insisting_on_cuda_ends_with_what_is_wrong_with_nvcc(kind: str, tmp_path: Path) -> None:
    nvcc, reason = broken(tmp_path, kind)
    run = configure(tmp_path / "tree", "ON", nvcc)
    assert run.returncode != 0
    assert f"DYNSAMPLE_CUDA=ON, but {nvcc} {reason}" in words(run)


def test_a_gpu_that_was_asked_for_and_is_not_known_is_not_left_out_in_silence(
    tmp_path: Path,
) -> None:
    nvcc = older(tmp_path, "12.4")
    asked = "-DCMAKE_CUDA_ARCHITECTURES=90-real;120"
    run = configure(tmp_path / "tree", "AUTO", nvcc, asked)
    assert run.returncode == 0, run.stderr
    assert warnings(run) == 1
    assert "Unsupported gpu architecture 'compute_120'" in words(run)
    run = configure(tmp_path / "again", "ON", nvcc, asked)
    assert run.returncode != 0
    assert "Unsupported gpu architecture 'compute_120'" in words(run)


@pytest.mark.whole
@pytest.mark.parametrize("kind", ["11.8", "takes no compiler"])
def test_core_is_built_whatever_nvcc_is(kind: str, tmp_path: Path) -> None:
    nvcc = older(tmp_path, kind) if kind in KNOWN else broken(tmp_path, kind)[0]
    tree = tmp_path / "tree"
    assert configure(tree, "AUTO", nvcc).returncode == 0
    build = [str(Path(SCRIPTS, "cmake")), "--build", str(tree), "-j2", "--target", "_core"]
    run = subprocess.run(build, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout
    check = [sys.executable, "-c", "import _core; print(_core.Stream.WALK)"]
    run = subprocess.run(check, cwd=tree, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_insisting_on_cuda_without_a_compiler_says_what_to_do(tmp_path: Path) -> None:
    run = configure(tmp_path, "ON")
    assert run.returncode != 0
    assert "DYNSAMPLE_CUDA=ON, but no CUDA compiler was found" in words(run)


def test_an_unknown_choice_is_refused(tmp_path: Path) -> None:
    run = configure(tmp_path, "MAYBE")
    assert run.returncode != 0
    assert "must be AUTO, ON or OFF, got 'MAYBE'" in words(run)


def test_without_a_compiler_auto_leaves_the_module_out_without_a_warning(tmp_path: Path) -> None:
    run = configure(tmp_path, "AUTO")
    assert run.returncode == 0, run.stderr
    assert warnings(run) == 0
    assert "dynsample: CUDA module OFF" in run.stdout
