"""Examples in docstrings run, and give what they show; every public name has one."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import dynsample as ds
from tests import pages

PACKAGE = Path(ds.__file__).parent
WITH_EXAMPLES = [path for path in sorted(PACKAGE.rglob("*.py")) if ">>>" in path.read_text()]
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in WITH_EXAMPLES
]

DALI = "needs DALI and a folder of images: tests/loaders/test_dali_page.py runs docs/dali.md"
WITHOUT = {
    "dynsample.dali.iterators.DALIClassificationIterator": DALI,
    "dynsample.dali.iterators.DALIGenericIterator": DALI,
    "dynsample.dali.readers.file": DALI,
    "dynsample.dali.readers.packed": DALI,
    "dynsample.ffcv.Loader": "needs FFCV and its file: tests/loaders/test_ffcv.py",
    "dynsample.grain.Source": "needs Grain: tests/docs/test_frameworks_page.py",
    "dynsample.grain.dataset": "needs Grain: tests/docs/test_frameworks_page.py",
    "dynsample.groups.mpi.mpi": "needs a launched MPI: tests/ranks",
    "dynsample.groups.torch.torch": "needs a process group: tests/ranks",
    "dynsample.hf.Trainer": "needs transformers: tests/docs/test_transformers_page.py",
    "dynsample.lightning.SamplerCallback": "needs Lightning: tests/docs/test_frameworks_page.py",
    "dynsample.payload.original.import_original": "needs published files: tests/docs/"
    "test_fkd_page.py",
    "dynsample.plan.plan.Plan": "is abstract: EpochPlan has one",
    "dynsample.replay.ReplayedCollate": "is made by the loader, as in ReplayedDataset's",
    "dynsample.report.tensorboard.to_tensorboard": "needs tensorboard: tests/docs/test_commands.py",
    "dynsample.signals.checked_output": "is shared by what computes signals, and not for users",
    "dynsample.table.reductions.Reductions": "is abstract: ScoreTable has one",
}


def members(module: ModuleType) -> Iterator[Any]:
    """Yield what a module shows as its own: what it names, or else what it defines."""
    for name, value in vars(module).items():
        here = getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
        if name in getattr(module, "__all__", [name] if here else []):
            yield value


def named() -> Iterator[tuple[str, str]]:
    """Yield what the package names, and what its modules do, with the docstrings."""
    for value in (getattr(ds, name) for name in ds.__all__):
        for each in members(value) if inspect.ismodule(value) else [value]:
            if inspect.isclass(each) or inspect.isfunction(each):
                yield f"{each.__module__}.{each.__qualname__}", each.__doc__ or ""


def of_pages() -> Iterator[tuple[str, str]]:
    """Yield what the pages of the API show, which may need packages that are not installed."""
    text = "".join(page.read_text() for page in (pages.ROOT / "docs" / "api").glob("*.md"))
    for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE):
        if name.removeprefix("dynsample.") in ds.__all__:
            continue  # a module that names what it has
        path, only = PACKAGE.parent.joinpath(*name.split(".")), ""
        if not path.is_dir() and not path.with_suffix(".py").exists():
            path, only = path.parent, path.name
        source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for node in ast.parse(source.read_text()).body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
                continue
            if node.name == (only or node.name):
                yield f"{name.removesuffix(f'.{only}')}.{node.name}", ast.get_docstring(node) or ""


def test_every_public_name_has_an_example() -> None:
    names = {**dict(of_pages()), **dict(named())}
    with_one = {name for name, docstring in names.items() if ">>>" in docstring}
    print(f"{len(names)} public names, {len(with_one)} with an example, {len(WITHOUT)} excepted")
    assert len(names) > 130
    assert sorted(names.keys() - with_one) == sorted(WITHOUT)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        pytest.skip(f"{error.name} is not installed")
    names = {"np": np, "ds": ds, **vars(module)}
    failed, tried = doctest.testmod(module, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert tried
    assert not failed
