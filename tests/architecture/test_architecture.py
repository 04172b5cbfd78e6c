"""Who may import whom, and how large a file may grow."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dynsample"
SOURCES = sorted(
    path
    for folder in ("dynsample", "csrc", "bench", "tests", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".pyi", ".h", ".cpp", ".cc", ".cu", ".cuh"}
)

# A module may import those named here, and helpers that anything may use.
LAYERS = {
    "torch": {"loading", "payload", "replay", "sampler", "state"},
    "replay": {"payload"},
    "distill": set(),
    "payload": {"_core", "payload"},
    "dali": {"dali", "files", "loading", "pack", "payload", "sampler", "state", "views"},
    "loading": {"passes", "sampler", "views"},  # passes and sampler for their types only
    "pack": {"files"},
    "files": {"_core", "file_list", "payload"},
    "file_list": {"_core"},
    "ffcv": {
        "_ffcv_stream", "_ffcv_tables", "groups", "loading", "orders", "policies", "sampler",
        "state",
    },
    "_ffcv_tables": {"payload"},
    "_ffcv_stream": set(),
    "sampler": {
        "boundary", "columns", "epoch", "groups", "life", "log", "orders", "passes", "plan",
        "planning", "policies", "report", "resume", "signals", "staging", "state", "step", "table",
        "turn", "views",
    },
    # The sampler for its type only, from here on.
    "turn": {"sampler"},
    "views": {"passes", "sampler", "shards"},
    "step": {"epoch", "plan", "sampler", "signals"},
    "life": {"agreement", "boundary", "checkpoint", "epoch", "passes", "planning", "sampler"},
    "report": {  # passes, plan, sampler for their types only
        "_core", "groups", "passes", "plan", "report", "sampler", "table",
    },
    "resume": {
        "agreement", "checkpoint", "epoch", "exchange", "ledger", "log", "passes", "plan",
        "planning", "policies", "sampler", "saved_run", "staging", "state", "table", "turn",
        "views",
    },
    "state": {"checkpoint", "plan", "sampler"},
    "saved_run": {"checkpoint", "ledger"},
    "boundary": {
        "device", "epoch", "exchange", "groups", "ledger", "passes", "plan", "planning",
        "sampler", "table",
    },
    "planning": {
        "agreement", "arrays", "columns", "device", "epoch", "groups", "ledger", "log", "passes",
        "plan", "policies", "sampler", "sharded_plan", "staging", "step", "table",
        "views",
    },
    "epoch": {"ledger", "passes", "plan", "table"},
    "device": {  # groups, ledger, table mostly for their types
        "_core", "_ops_draw", "_ops_permute", "_ops_select", "arrays", "columns", "cuda", "device",
        "groups", "ledger", "log", "orders", "plan", "policies", "shards", "signals", "staging",
        "table",
    },
    "passes": {"ledger", "plan", "sampler", "shards"},  # plan, sampler for their types only
    "ledger": {"_core", "groups", "log", "plan"},  # groups, plan for their types only
    "exchange": {"_core", "groups", "log", "shards", "table"},
    "agreement": {"groups", "sampler", "state"},  # groups and sampler for their types only
    "sharded_plan": {"_core", "groups", "members", "orders", "plan", "policies", "shards"},
    "members": {"shards"},
    "plan": {"_core", "arrays", "orders", "policies", "shards"},
    "shards": set(),
    "orders": {"_core", "policies"},
    "table": {"_core", "arrays", "columns", "groups", "log", "reductions", "shards"},
    "reductions": {"_core", "arrays", "groups", "policies"},
    "arrays": {"_core", "columns", "log"},
    "policies": {  # arrays, table for their types only
        "_core", "arrays", "columns", "table", "policies", "schedules",
    },
    "staging": {"log"},
    "log": {"_core", "columns"},
    "columns": set(),
    "signals": set(),
    "batch": {"_core", "gram", "ops"},
    "gram": {"signals"},
    "score": {"columns", "loading", "signals"},
    "coreset": {"_core"},
    "coreset_files": {"file_list"},
    "history": {"_core"},
    "score_files": {
        "checkpoint", "columns", "csv_file", "log", "policies", "saved_run", "score_rows", "table",
    },
    "score_rows": set(),
    "csv_file": set(),
    "schedules": set(),
    "groups": {"groups"},
    "checkpoint": {"_generations", "_state_files", "groups"},  # groups for its type only
    "_generations": {"_state_files"},
    "_state_files": set(),
}  # fmt: skip
ANYONE = {"_arrays", "_checks", "_disk", "_fields", "_locks", "_tensors", "ops"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def part(module: str) -> str | None:
    """Part of the package that a dotted name belongs to: dynsample.<part>..."""
    names = module.split(".")
    return names[1] if names[0] == "dynsample" and len(names) > 1 else None


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_those_below_it(layer: str) -> None:
    file = PACKAGE / f"{layer}.py"
    files = [file] if file.exists() else sorted((PACKAGE / layer).glob("*.py"))
    assert files, f"the layer {layer} is gone: mend LAYERS"
    for path in files:
        used = {part(module) for module in imports(path)} - {None}
        assert used <= LAYERS[layer] | ANYONE, f"{path.relative_to(ROOT)} imports {used}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "policies").glob("*.py")), ids=lambda p: p.name)
def test_policies_reduce_only_through_the_table(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called = ast.unparse(node.func)
            reduces = node.func.attr in {"sum", "mean", "sort", "argsort", "min", "max", "cumsum"}
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


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


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
