"""The search for data races sees what it is for: mutants of the kernels are each reported."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import instrumented
import pytest
import races

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.skipif(
    shutil.which(instrumented.COMPILER) is None, reason="needs a C++ compiler"
)
SOURCE = instrumented.ROOT / "csrc"
NEXT = "    });\n    block.each([&](unsigned thread) {\n"  # a barrier between two steps


@dataclass(frozen=True)
class Mutant:
    """Edits of a file of csrc/cuda, the unit that it is compiled in, and a test that runs it.

    `seen` is the file of the accesses that are no longer ordered, where it is another one.
    """

    file: str
    edits: tuple[tuple[str, str], ...]
    unit: str
    test: str
    seen: str = ""

    def text(self) -> str:
        text = (SOURCE / "cuda" / self.file).read_text()
        for old, new in self.edits:
            assert text.count(old) == 1, f"{self.file} has {text.count(old)} times: {old}"
            text = text.replace(old, new)
        return text


SELECT = "select.py::test_many_rows[host-16385-levels]"
MISLEADS = "select.py::test_a_sample_that_misleads_changes_nothing[host--1-0.9]"
MUTANTS = {
    "no fence before a block has arrived": Mutant(
        "launch.h",
        (("    fence();\n    shared_flag", "    shared_flag"),),
        "select",
        SELECT,
        seen="select.cu",
    ),
    "no fence after the last block has arrived": Mutant(
        "launch.h",
        (("block.count() - 1;\n    fence();", "block.count() - 1;"),),
        "select",
        SELECT,
        seen="select.cu",
    ),
    "arrivals are cleared by a store": Mutant(
        "launch.h",
        (
            ("atomic_wrap(arrived, block.count() - 1)", "atomic_add(arrived, 1u)"),
            ("count() - 1;\n    fence();", "count() - 1;\n    if (shared_flag) *arrived = 0;"),
        ),
        "select",
        SELECT,
    ),
    "digits are counted by ++": Mutant(
        "search.h",
        (
            (
                "          if (range.has(c)) atomic_add(&shared.counts[range.digit(c)], 1u);\n"
                "        });\n      }\n    });",
                "          if (range.has(c)) ++shared.counts[range.digit(c)];\n"
                "        });\n      }\n    });",
            ),
        ),
        "select",
        MISLEADS,
    ),
    "digits are given before all are counted": Mutant(
        "search.h",
        ((f"{NEXT}      for (unsigned d = thread; d < kDigits; d += kThreads) {{\n        if (",
          "      for (unsigned d = thread; d < kDigits; d += kThreads) {\n        if ("),),
        "select",
        MISLEADS,
    ),
    "sums of groups are added up in place": Mutant(
        "narrow.h",
        (
            ("step *= 2, from ^= 1", "step *= 2"),
            ("shared.sums[from ^ 1][thread]", "shared.sums[from][thread]"),
        ),
        "select",
        SELECT,
    ),
    "halves of keys are counted by ++": Mutant(
        "radix.cu",
        (("atomic_add(&shared.count[place], 1u)", "++shared.count[place]"),),
        "radix",
        "select.py::test_parts_of_ready_keys[host]",
    ),
    "halves of keys are counted before the counts are clear": Mutant(
        "radix.cu",
        ((f"shared.count[p] = 0;\n{NEXT}", "shared.count[p] = 0;\n"),),
        "radix",
        "select.py::test_parts_of_ready_keys[host]",
    ),
    "draws are counted by ++": Mutant(
        "draw.cu",
        (
            (
                "atomic_add(&counts[row_of(whole.until, whole.num_rows, point)], 1u)",
                "++counts[row_of(whole.until, whole.num_rows, point)]",
            ),
        ),
        "draw",
        "draw.py::test_counts_are_those_of_the_cpu",
    ),
    "refused ids are counted before the counts are clear": Mutant(
        "log.cu",
        ((f"not_allowed = {{0, kNone}};\n{NEXT}", "not_allowed = {0, kNone};\n"),),
        "log",
        "log.py::test_refused_ids_are_counted_and_the_first_is_named[host]",
    ),
    "every block counts what it refused in the header": Mutant(
        "log.cu",
        (("if (block.count() == 1) return finish", "if (block.count()) return finish"),),
        "log",
        "log.py::test_of_a_large_batch_the_first_refused_id_is_named_too[host-4097]",
    ),
    "every observation marks its row": Mutant(
        "fold.cu",
        (
            (
                "    if (!begins_row(sorted, i)) return;\n    const std::uint32_t row = "
                "sorted.rows[i];\n    for (std::size_t j = i; j < sorted.size && "
                "sorted.rows[j] == row; ++j) {\n      if (accepted &&",
                "    const std::uint32_t row = sorted.rows[i];\n    for (std::size_t j = i; "
                "j < sorted.size && sorted.rows[j] == row; ++j) {\n      if (accepted &&",
            ),
        ),
        "fold",
        "sampler.py::test_a_run_on_a_device_is_that_of_the_cpu[host-importance-all]",
    ),
}  # fmt: skip
BRIEF = {"no fence before a block has arrived"}  # `make test-all` has the others too


@pytest.fixture(scope="module")
def site() -> Path:
    return races.build()


def mutated(site: Path, mutant: Mutant, folder: Path) -> Path:
    """Return a package like that of `site` with one unit of the kernels compiled from a mutant."""
    (folder / "cuda").mkdir()
    (folder / "cuda" / mutant.file).write_text(mutant.text())
    tree = site.parent / "cmake"
    units = [
        each
        for each in json.loads((tree / "compile_commands.json").read_text())
        if f"{races.MODULE}.dir" in each["output"]
    ]
    changed = next(
        each for each in units if each["file"].endswith(f"/cuda_on_host/{mutant.unit}.cpp")
    )
    compiler, *options = shlex.split(changed["command"])
    options[options.index("-o") + 1] = str(folder / "unit.o")
    subprocess.run([compiler, f"-I{folder}", *options], check=True, cwd=tree)
    objects = [folder / "unit.o" if each is changed else tree / each["output"] for each in units]
    there = folder / "site"
    shutil.copytree(site, there)
    [module] = (there / "dynsample").glob(f"{races.MODULE}.*.so")
    subprocess.run(
        [compiler, "-shared", "-fsanitize=thread", *objects, "-o", module], check=True, cwd=tree
    )
    return there


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in BRIEF else pytest.mark.whole, id=n) for n in MUTANTS],
)
def test_a_mutant_is_reported_where_it_races(site: Path, tmp_path: Path, name: str) -> None:
    mutant = MUTANTS[name]
    test = f"tests/cuda/test_device_{mutant.test}"
    # Its results may be wrong too; a race is reported whatever they are.
    _, reports = races.search(mutated(site, mutant, tmp_path), "-k", "host", test)
    assert "WARNING: ThreadSanitizer: data race" in reports
    assert f"cuda/{mutant.seen or mutant.file}:" in reports


@pytest.mark.whole  # as `make races` shows it of more tests
def test_without_a_change_nothing_is_reported(site: Path) -> None:
    assert races.search(site, f"tests/cuda/test_device_{SELECT}") == (0, "")
