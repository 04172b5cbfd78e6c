"""Figures of the house: its size, who imports whom, and what is defined more than once.

`python tests/architecture/measure.py` prints them; `imports` and `cycles` are what the tests use.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

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
    loads = ("sampler", "loading", "torch", "dali", "ffcv", "cli")
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


def lines(paths: Iterator[Path]) -> tuple[int, int]:
    """Count lines and files."""
    sizes = [len(path.read_text().splitlines()) for path in paths]
    return sum(sizes), len(sizes)


def main() -> None:
    graph = imports()
    package = {name: targets & graph.keys() for name, targets in graph.items()}
    python, files = lines(iter(modules().values()))
    native, natives = lines(p for p in (ROOT / "csrc").rglob("*") if p.suffix in NATIVE)
    print(f"Python package      {python} lines, {files} files")
    print(f"native              {native} lines, {natives} files")
    print(f"import levels       {levels(package)}")
    print(f"import edges        {sum(map(len, package.values()))}")
    print(f"import cycles       {len(found := cycles(package))}")
    for cycle in found:
        print(f"                    {', '.join(cycle)}")
    print(f"hide_lowest         {len(where := definitions('hide_lowest'))} definitions")
    print(f"                    {', '.join(where)}")
    print(f"taking a Sampler    {len(taking := taking_the_sampler())} functions")
    print(f"                    {', '.join(taking)}")
    print(f"with Any            {with_any()} functions")


if __name__ == "__main__":
    main()
