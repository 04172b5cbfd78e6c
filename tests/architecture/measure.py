"""Figures of the house: its size, who imports whom, and what is defined more than once.

`python tests/architecture/measure.py` prints them, and runs an epoch to see which files a loss and
an index go through; the tests use the functions.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import FrameType

import numpy as np

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dynsample"
NATIVE = {".h", ".cpp", ".cc", ".cu", ".cuh"}
Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """List the modules of the package by their dotted names, without `dynsample.`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports() -> dict[str, set[str]]:
    """Find the modules that each module imports, for types and inside functions too."""
    known = modules()
    natives = {"_core", "_cuda"}

    def resolved(names: list[str]) -> str | None:
        """Find the longest prefix of a dotted name that is a module."""
        for length in range(len(names), 0, -1):
            name = ".".join(names[:length])
            if name in known or name in natives:
                return name
        return None

    graph: dict[str, set[str]] = {}
    for module, path in known.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text())):
            dotted = []
            if isinstance(node, ast.Import):
                dotted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                dotted = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in dotted:
                first, *rest = name.split(".")
                if first == "dynsample" and (target := resolved(rest)):
                    found.add(target)
        graph[module] = found - {module}
    return graph


def cycles(graph: Graph) -> list[list[str]]:
    """Find the groups of modules that import each other (strongly connected, by Tarjan)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in sorted(graph.get(node, ())):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            members = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found


def folders(graph: Graph) -> dict[str, set[str]]:
    """Merge the modules of each folder, and those beside the folders with their own names."""
    merged: dict[str, set[str]] = {}
    for module, targets in graph.items():
        here = module.split(".")[0]
        found = {target.split(".")[0] for target in targets if target in graph}
        merged[here] = merged.get(here, set()) | found - {here}
    return merged


def levels(graph: Graph) -> int:
    """Count the modules of the longest way down, where the members of a cycle are one."""
    group = {node: "+".join(cycle) for cycle in cycles(graph) for node in cycle}
    merged: dict[str, set[str]] = {}
    for node, targets in graph.items():
        here = group.get(node, node)
        merged.setdefault(here, set()).update(group.get(t, t) for t in targets if t in graph)
    depth: dict[str, int] = {}

    def of(node: str) -> int:
        if node not in depth:
            below = [of(target) for target in merged.get(node, ()) if target != node]
            depth[node] = 1 + max(below, default=0)
        return depth[node]

    return max(map(of, merged))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a file, methods and inner ones too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the annotations of a function's arguments and of what it returns."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    nodes = [one.annotation for one in every if one] + [function.returns]
    return [ast.unparse(node) for node in nodes if node]


def with_any() -> int:
    """Count the functions whose annotations say `Any`, but for `NDArray[Any]`."""
    return sum(
        any(re.search(r"\bAny\b", text.replace("NDArray[Any]", "")) for text in annotations(one))
        for path in modules().values()
        for one in functions(path)
    )


def taking_the_sampler() -> list[str]:
    """Name the functions outside of sampler.py, and of what loads, that take the whole Sampler."""
    loads = ("sampler", "loading", "torch", "dali", "ffcv", "lightning", "hf", "grain", "cli")
    return [
        f"{module}.{one.name}"
        for module, path in modules().items()
        if module.split(".")[0] not in loads
        for one in functions(path)
        if any(re.search(r"\bSampler\b", text) for text in annotations(one))
    ]


def definitions(name: str) -> list[str]:
    """Name the places that define a function of this name, in Python and in native code."""
    found = [
        f"{module}:{one.lineno}"
        for module, path in modules().items()
        for one in functions(path)
        if one.name == name
    ]
    native = re.compile(rf"^[\w:<>&*, ]*\b(?:\w+::)*{name}\([^;]*$", re.MULTILINE)
    for path in sorted((ROOT / "csrc").rglob("*")):
        if path.suffix in NATIVE - {".h"}:
            found += [str(path.relative_to(ROOT))] * len(native.findall(path.read_text()))
    return found


def entered(call: Callable[[], object], start: Collection[str] = ()) -> list[str]:
    """List the files of the package that a call enters, in their order, after those of `start`."""
    found = list(start)

    def profile(frame: FrameType, event: str, argument: object) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(f"{PACKAGE}/"):
            name = path[len(f"{PACKAGE}/") :]
            if name not in found:
                found.append(name)

    sys.setprofile(profile)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


def way_of_a_loss() -> list[str]:
    """List the files from `Sampler.observe` to the column, on one process.

    But for those of groups/: over these a count goes and no loss.
    """
    import dynsample as ds
    from dynsample.run import boundary

    sampler = ds.Sampler(64, ds.Kakurenbo(fraction=0.3), batch_size=16)
    sampler.set_epoch(0)
    files: list[str] = []
    for ids in sampler:
        given = dict.fromkeys(("loss", "correct", "confidence"), np.zeros(16, np.float32))
        files = entered(functools.partial(sampler.observe, ids, **given), files)
    epoch = sampler.run.epoch
    epoch.ledger.log.close()
    what = epoch.ledger, epoch.plan, sampler.group
    files = entered(functools.partial(boundary.fold, sampler.table, *what), files)
    return [name for name in files if not name.startswith("groups/")]


def way_of_an_index() -> list[str]:
    """List the files from the plan to a batch of DALI, after the first of the epoch."""
    from nvidia.dali import pipeline_def

    import dynsample as ds
    from dynsample import dali

    with tempfile.TemporaryDirectory() as folder:
        for k in range(64):
            place = Path(folder, "class", f"{k:03}.jpg")
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(bytes([k] * 100))
        sampler = ds.Sampler(64, batch_size=8)

        @pipeline_def(batch_size=8, num_threads=1, device_id=None)
        def pipeline() -> tuple[object, ...]:
            return tuple(dali.readers.file(file_root=folder, sampler=sampler))

        batches = iter(dali.DALIGenericIterator(pipeline(), ["data", "label"], sampler=sampler))
        next(batches)
        return entered(functools.partial(next, batches))


def lines(paths: Iterator[Path]) -> tuple[int, int]:
    """Count lines and files."""
    sizes = [len(path.read_text().splitlines()) for path in paths]
    return sum(sizes), len(sizes)


def main() -> None:
    modules_of = {name: targets & imports().keys() for name, targets in imports().items()}
    python, files = lines(iter(modules().values()))
    native, natives = lines(p for p in (ROOT / "csrc").rglob("*") if p.suffix in NATIVE)
    print(f"Python package      {python} lines, {files} files")
    print(f"native              {native} lines, {natives} files")
    for name, graph in (("folders", folders(modules_of)), ("modules", modules_of)):
        print(
            f"imports, {name:10} {levels(graph)} levels, {sum(map(len, graph.values()))} edges, "
            f"{len(cycles(graph))} cycles, {len(graph)} {name}"
        )
    for what, found in (
        ("hide_lowest", definitions("hide_lowest")),
        ("take a Sampler", taking_the_sampler()),
        ("loss to column", way_of_a_loss()),
        ("index to DALI", way_of_an_index()),
    ):
        print(f"{what:19} {len(found)}: {', '.join(found)}")
    print(f"with Any            {with_any()} functions")


if __name__ == "__main__":
    main()
