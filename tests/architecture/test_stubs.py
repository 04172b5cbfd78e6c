"""The stubs of the native modules name what these have, and nothing else."""

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

PACKAGE = Path(__file__).parents[2] / "dynsample"


def named(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Find what a module or a class of a stub defines, but for its private aliases."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found.update({target.id: node for target in targets if isinstance(target, ast.Name)})
    return {name: node for name, node in found.items() if public(name)}


def public(name: str) -> bool:
    return not name.startswith("_") or name in {"__init__", "__len__"}


def members(kind: type) -> set[str]:
    own = {name for name in vars(kind) if public(name)}
    return own if issubclass(kind, int) or "__init__" in own else own - {"__init__"}


def assert_same(stub: dict[str, ast.stmt], module: ModuleType) -> None:
    assert stub.keys() == {name for name in dir(module) if public(name)}


def stub(name: str) -> dict[str, ast.stmt]:
    return named(ast.parse((PACKAGE / name).read_text()).body)


def assert_same_members(kind: ast.stmt, native: type) -> None:
    assert isinstance(kind, ast.ClassDef)
    assert named(kind.body).keys() - {"__init__"} == members(native) - {"__init__"}, kind.name


def test_the_stub_of_core_names_what_the_module_has() -> None:
    core = importlib.import_module("dynsample._core")
    found = stub("_core.pyi")
    assert_same(found, core)
    for name, node in found.items():
        if isinstance(node, ast.ClassDef) and name not in {"Stream", "PackedError"}:
            assert_same_members(node, getattr(core, name))
    assert named(found["Stream"].body).keys() == set(core.Stream.__members__)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("module", "own", "only_there"),
    [("_cuda", "NativeModule", set()), ("_cuda_on_host", "Native", {"waits"})],
)
def test_the_stub_of_cuda_names_what_the_modules_have(
    module: str, own: str, only_there: set[str]
) -> None:
    native = pytest.importorskip(f"dynsample.{module}", exc_type=ImportError)
    found = stub("_cuda.pyi")
    names = named(found["Native"].body).keys()  # type: ignore[attr-defined]
    if own != "Native":
        names |= named(found[own].body).keys()  # type: ignore[attr-defined]
    given = {name for name in dir(native) if public(name)}
    assert names | only_there == given - {"Rows"}
    for kind in ("LogParts", "Rows", "Stream"):
        assert_same_members(found[kind], getattr(native, kind))
