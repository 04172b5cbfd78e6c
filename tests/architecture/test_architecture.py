"""Who may import whom, and how large a file may grow."""

import ast
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from measure import (
    cycles,
    folders,
    imports,
    levels,
    taking_the_sampler,
    way_of_a_loss,
    way_of_an_index,
    with_any,
)

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dynsample"
SOURCES = sorted(
    path
    for folder in ("dynsample", "csrc", "bench", "tests", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".h", ".cpp", ".cc", ".cu", ".cuh"}
)

# A floor is a folder, or a file beside the folders; each imports from those before it alone.
FLOORS = [
    {"_core", "_cuda"},
    {"kernels"},
    {"cuda", "signals", "weights"},
    {"groups", "ops"},
    {"disk"},
    {"plan"},
    {"table"},
    {"policies"},
    {"payload"},
    {"files"},
    {"batch", "distill", "priority", "reference", "replay", "report"},
    {"run"},
    {"sampler"},
    {"loading"},
    {"coreset"},
    {"torch", "dali", "ffcv", "grain"},
    {"lightning", "hf"},
    {"cli"},
    {"", "__main__"},
]


def floor_of(module: str) -> int:
    first = module.split(".")[0]
    return next(number for number, floor in enumerate(FLOORS) if first in floor)


def test_a_floor_imports_only_those_below_it() -> None:
    assert not [
        f"{module} imports {used}"
        for module in imports()
        for used in imports()[module]
        if module.split(".")[0] != used.split(".")[0] and floor_of(used) >= floor_of(module)
    ]


def test_no_modules_import_each_other() -> None:
    assert cycles(imports()) == []


def test_the_house_is_flat() -> None:
    graph = folders(imports())
    assert levels(graph) <= 12
    assert sum(map(len, graph.values())) <= 130


def test_the_ways_are_short() -> None:
    assert len(way_of_a_loss()) <= 10
    assert len(way_of_an_index()) <= 11


def test_functions_are_given_values_and_not_the_sampler() -> None:
    assert taking_the_sampler() == []


def test_what_passes_between_modules_has_a_type() -> None:
    # Left are users' callables, what torch asks for, and DALI, FFCV and TensorBoard, without types.
    assert with_any() <= 97


@pytest.mark.parametrize("path", sorted((PACKAGE / "policies").glob("*.py")), ids=lambda p: p.name)
def test_policies_reduce_only_through_the_table(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            reduces = node.func.attr in {"sum", "mean", "sort", "argsort", "min", "max", "cumsum"}
            reduces &= not called.startswith("table.by_group.")
            assert not reduces, f"{path.name}:{node.lineno} calls {called}"
            assert not called.startswith(("np.", "torch.")), f"{path.name}:{node.lineno}: {called}"


ALLOWED_INCLUDES = {
    "core": r'"core/|<[a-z_]+>|<c[a-z]+>|<immintrin.h>',
    "cuda": r'"cuda/|"core/(bits|cdf|columns|isa/sum|order_key|permute|power|race_key)\.h"|'
    r'"core/(random|rate|rows|sample)\.h"|<[a-z_/]+(\.h|\.cuh)?>',
    "dali": r'"(dali/|(files|jpeg|table)\.h)|<(fcntl|unistd|sys/[a-z]+)\.h>|<[a-z_]+>|<c[a-z]+>',
    "bind": r'"bind/|"core/|"cuda/|"dali/jpeg\.h"|<pybind11/[a-z0-9_]+\.h>|<[a-z_]+>',
}


@pytest.mark.parametrize("folder", ALLOWED_INCLUDES)
def test_native_code_includes_only_what_its_layer_may(folder: str) -> None:
    for path in sorted((ROOT / "csrc" / folder).rglob("*.*")):
        more = "|<(sched|unistd|sys/mman)\\.h>" if path.name == "system.cpp" else ""
        allowed = re.compile(ALLOWED_INCLUDES[folder] + more)
        for line in path.read_text().splitlines():
            if match := re.match(r"#include (.+)", line):
                assert allowed.match(match[1]), f"{path.relative_to(ROOT)}: {line}"


def test_no_file_is_longer_than_400_lines() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: size for name, size in sizes.items() if size > 400} == {}


# The folder of a script comes first on the path, and pytest puts the folders of tests there too.
def test_no_script_has_the_name_of_a_package() -> None:
    scripts = [path for path in SOURCES if path.suffix == ".py"]
    names = {path.stem for path in scripts if not (path.parent / "__init__.py").exists()}
    assert not names & (packages_distributions().keys() | sys.stdlib_module_names)


def test_import_loads_numpy_and_the_core_only() -> None:
    code = (
        "import sys, dynsample\n"
        "heavy = {'torch', 'mpi4py', 'nvidia', 'ffcv', 'matplotlib', 'rich', 'sklearn', 'PIL', "
        "'dynsample._cuda', 'dynsample.torch', 'dynsample.reference', 'dynsample.cli'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_kernels_leave_no_symbol_that_another_instruction_set_could_pick_up() -> None:
    objects = sorted((ROOT / "build").glob("linux*/CMakeFiles/dynsample_isa_*.dir/**/*.o"))
    if not objects:
        pytest.skip("no build tree beside the sources: installed from a wheel")
    listing = subprocess.run(
        ["nm", "--demangle", "--defined-only", "--print-file-name", *map(str, objects)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shared = [line for line in listing.splitlines() if re.search(r" [WVu] ", line)]
    assert not shared
