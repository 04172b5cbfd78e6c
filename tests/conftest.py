"""Settings of all tests."""

import gc
import importlib
import os
import re
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import numpy as np
import pytest

import dynsample

# Tests run beside each other, and beside ranks: nobody's threads may take more than a core.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if sys.prefix != sys.base_prefix:  # the operator is compiled once for a virtual environment
    os.environ.setdefault("DYNSAMPLE_CACHE", os.path.join(sys.prefix, "cache"))

# Time is never a verdict: a loaded machine may take long over an example.
patient = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("default", max_examples=60, **patient)
hypothesis.settings.register_profile("brief", max_examples=25, **patient)  # of `make test`
hypothesis.settings.register_profile("quick", max_examples=15, **patient)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    site = os.environ.get("DYNSAMPLE_SANITIZED")
    if not site:
        return
    # An editable install would give its own module for one that a build lacks.
    for module in (dynsample, importlib.import_module("dynsample._cuda_on_host")):
        if not Path(module.__file__ or "").is_relative_to(site):
            pytest.exit(f"{module.__name__} is not that of the sanitized build in {site}", 3)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out what needs torch where that is not installed, as `make pythons` does."""
    if find_spec("torch") or collection_path.suffix != ".py":
        return None
    return (
        re.search(r"^import torch", collection_path.read_text(), re.MULTILINE) is not None or None
    )


# torch's loader waits this long for a worker that was told nothing, as when an error that somebody
# still holds keeps an iterator alive until the garbage is collected. In seconds; torch's own is 5.
WORKERS_END = 0.5


@pytest.fixture(autouse=True)
def _the_same_numbers_in_every_run() -> None:
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)
        torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = WORKERS_END
    np.random.seed(0)  # noqa: NPY002 - whatever draws from the global state


_pipelines_left = pytest.StashKey[bool]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    # A DALI pipeline that waits for the garbage collector must not meet it in a forked worker of
    # a later test: there it has no threads, and aborts.
    stash = item.session.stash
    if "dali" in item.nodeid:
        stash[_pipelines_left] = True
    elif stash.get(_pipelines_left, False):
        stash[_pipelines_left] = False
        gc.collect()


# Folders of tests that start few processes: they come last, so that at the end of a run no process
# is left alone with a long one.
SHORT = {"architecture", "core", "cuda", "policies"}


@pytest.hookimpl(trylast=True)  # of what was asked for
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes long first; where there is no GPU, one skipped test stands for all of it."""
    items.sort(key=lambda item: item.path.parent.name in SHORT)
    first, *others = [item for item in items if item.get_closest_marker("gpu")] or [None]
    if first is None or pytest.importorskip("torch").cuda.is_available():
        return
    reason = f"no GPU: left out are this test and {len(others)} more"
    first.add_marker(pytest.mark.skip(reason=reason))
    left = set(others)
    items[:] = [item for item in items if item not in left]
    config.hook.pytest_deselected(items=others)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why tests were skipped, in one line for each reason."""
    reports = terminalreporter.getreports("skipped")
    for reason, count in Counter(report.longrepr[2] for report in reports).items():
        terminalreporter.write_line(f"{count} skipped: {reason.removeprefix('Skipped: ')}")
