"""What the kernels take of a GPU, by ptxas: registers, shared memory, spills, local memory.

Compiles every kernel as the wheels do, without a GPU, and prints a Markdown table per architecture.
Registers times threads, and shared memory, limit how many blocks a multiprocessor holds at a time.
A spill, or a stack frame, which lies in local memory, is traffic that no algorithm asked for:
the script fails when a kernel of ours has one. CUB's are in one line: their largest figures.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "csrc/cuda").glob("*.cu"))
CUB = "CUB"
_ENTRY = re.compile(r"Compiling entry function '(\w+)'")
_FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Kernel:
    """A kernel, or CUB's of a file together; sizes in bytes."""

    file: str
    name: str
    registers: int = 0
    shared: int = 0
    spills: int = 0
    local: int = 0
    count: int = 1


def short(name: str) -> str:
    """Shorten a demangled kernel: the struct that it runs, or `CUB`."""
    if not name.startswith("void dynsample::cuda::run<"):
        return CUB
    return struct_name(name.removeprefix("void dynsample::cuda::run<").rsplit(">(", 1)[0])


def struct_name(name: str) -> str:
    """Shorten the demangled name of the struct that a kernel runs."""
    inside = re.sub(r"dynsample::(cuda::)?|\(anonymous namespace\)::", "", name)
    inside = re.sub(r"\((?:bool|int|unsigned int)\)", "", inside).replace("> >", ">>").strip()
    if inside.startswith("ForEach<"):
        inside = inside.removeprefix("ForEach<").removesuffix(">")
    return inside.strip()


def demangled(names: list[str]) -> list[str]:
    """Demangle C++ names."""
    tool = shutil.which("cu++filt") or shutil.which("c++filt")
    if tool is None:
        sys.exit("ptxas_report: cu++filt or c++filt must be on the PATH")
    text = subprocess.run([tool, *names], check=True, capture_output=True, text=True).stdout
    return text.splitlines()


def report(source: Path, arch: str) -> list[Kernel]:
    """Compile a file and read what ptxas says."""
    with tempfile.TemporaryDirectory() as folder:
        # Of cmake/cuda.cmake: what changes the code.
        command = ["nvcc", "-std=c++17", "-O3", "--fmad=false", f"-I{ROOT / 'csrc'}", "-cubin",
                   f"-arch=sm_{arch}", "-Xptxas", "-v", str(source),
                   "-o", str(Path(folder) / "kernels.cubin")]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"ptxas_report: {source.name} does not compile for sm_{arch}:\n{done.stderr}")
    found: list[Kernel] = []
    for line in done.stderr.splitlines():
        if entry := _ENTRY.search(line):
            found.append(Kernel(source.name, entry[1]))
        elif found and (frame := _FRAME.search(line)):
            local, *spills = map(int, frame.groups())
            found[-1] = replace(found[-1], local=local, spills=sum(spills))
        elif found and (used := _USED.search(line)):
            shared = _SHARED.search(line)
            size = int(shared[1]) if shared else 0
            found[-1] = replace(found[-1], registers=int(used[1]), shared=size)
    if not found:
        return []
    names = demangled([kernel.name for kernel in found])
    return [replace(k, name=short(name)) for k, name in zip(found, names, strict=True)]


def summed(kernels: list[Kernel]) -> list[Kernel]:
    """Put all of CUB's kernels into one."""
    ours = sorted((k for k in kernels if k.name != CUB), key=lambda k: (k.file, k.name))
    theirs = [k for k in kernels if k.name == CUB]
    if theirs:
        most = {what: max(getattr(k, what) for k in theirs)
                for what in ("registers", "shared", "spills", "local")}  # fmt: skip
        ours.append(Kernel(theirs[0].file, CUB, **most, count=len(theirs)))
    return ours


def table(arch: str, kernels: list[Kernel]) -> str:
    """Return the Markdown table of an architecture."""
    lines = [
        f"## sm_{arch}\n",
        "| file | kernel | registers | shared, bytes | spills, bytes | local, bytes |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for k in kernels:
        name = f"`{k.name}`" if k.name != CUB else f"CUB, {k.count} kernels"
        lines.append(f"| {k.file} | {name} | {k.registers} | {k.shared} | {k.spills} | {k.local} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archs", nargs="*", default=["90"], help="90, 100, ... (default: 90)")
    args = parser.parse_args()
    if shutil.which("nvcc") is None:
        sys.exit("ptxas_report: nvcc must be on the PATH")
    jobs = [(source, arch) for arch in args.archs for source in SOURCES]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reports = list(pool.map(lambda job: report(*job), jobs))
    tables, wrong = [], []
    for arch in args.archs:
        mine = zip(jobs, reports, strict=True)
        kernels = summed([k for job, found in mine if job[1] == arch for k in found])
        tables.append(table(arch, kernels))
        wrong += [
            f"{k.name} of {k.file} on sm_{arch}: {k.spills} bytes of spills, {k.local} local"
            for k in kernels
            if k.name != CUB and (k.spills or k.local)
        ]
    print("\n".join(tables))
    for line in wrong:
        print(line, file=sys.stderr)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
