"""Every command in a block of README, CONTRIBUTING and docs runs, or is listed with the reason."""

from __future__ import annotations

import argparse
import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")

from dynsample.cli import COMMANDS
from tests import pages
from tests.docs import given

LANGUAGES = {"python", "diff", "sh", "text"}
# Pages whose commands run in a test of their own, and where it is.
ELSEWHERE = {
    "docs/migrate/data-diet.md": "docs/test_coreset_pages.py",
    "docs/migrate/dyn-unc.md": "docs/test_coreset_pages.py",
    "docs/scores-in-parquet.md": "docs/test_blocks.py",
}
# What has to be there before the first command of a page.
GIVEN: dict[str, Callable[[], None]] = {
    "docs/chaos.md": lambda: None,
    "docs/coresets.md": given.scores,
    "docs/dali.md": given.images,
    "docs/inspect.md": given.report,
    "docs/study.md": given.study,
}

INSTALLS = "pip installs into another environment, from an index; tests/install installs"
ITSELF = "is what runs this test, or a part of it"
NOT_RUN = {
    'pip install ".[torch]"': INSTALLS,
    "pip install .": INSTALLS,
    'pip install ".[dali]"': INSTALLS,
    'pip install ".[hf]"': INSTALLS,
    'pip install ".[arrow]"': INSTALLS,
    'pip install ".[mpi]"': INSTALLS,
    'pip install ".[demo]"': INSTALLS,
    'pip install ".[ffcv]" && pip install --no-deps --no-binary ffcv ffcv==1.0.2': INSTALLS,
    "apt-get install libopencv-dev libturbojpeg0-dev pkg-config": "needs root, and an index",
    "make setup": ITSELF,
    "make lint": ITSELF,
    "make test": ITSELF,
    "make test-all": ITSELF,
    "make pythons": "runs tests once more, with other Pythons",
    "make demo": "trains for minutes; tests/cli/test_demo.py runs the demo",
    "make study": "trains for hours; tests/cli/test_study.py runs studies",
    "dynsample study --task fashion glyphs --variant clean noise tail --seeds 5 --jobs 2 "
    "--out study": "trains for days",
}
# Commands that take longer than the others together: `make test-all` has them.
LONG = {
    "dynsample chaos --kills 200 --ranks 1..4",
    "dynsample chaos --kills 50 --ranks 1..4 --group torch",
    "dynsample chaos --kills 50 --issue external",
    "dynsample chaos --kills 60 --issue external --late 3",
    "python examples/imagenet_dali.py",
    "dynsample study --quick",
}
# With less of the same, where what is said takes more than half a minute.
LESS = {
    "--kills 200": "--kills 5 --policy kakurenbo",
    "--kills 50": "--kills 5 --policy kakurenbo",
    "--kills 60": "--kills 5 --policy kakurenbo",
    "--ranks 1..4 --group torch": "--ranks 1..2 --group torch",
    "imagenet_dali.py": "imagenet_dali.py --samples 64 --epochs 1 --batch-size 16 --size 32"
    " --model imagenet_dali:small_cnn",
}
# The modules that a command needs beside what all tests do.
NEEDS = {
    "--tensorboard": "tensorboard",
    "dynsample chaos": "mpi4py",
    "imagenet_dali.py": "nvidia.dali",
}

PROGRAM = re.compile(r"(?:mpiexec .* )?(dynsample|python|make|pip) (.+)")


def with_commands() -> list[str]:
    return [page for page in pages.names() if pages.commands(page)]


def outputs(command: str) -> Iterator[Path]:
    """Yield the files that a command is told to write."""
    words = shlex.split(command)
    for option, value in itertools.pairwise(words):
        if option in {"-o", "--output", "--html", "--out", "--tensorboard"}:
            yield Path(value)


def run(command: str) -> None:
    """Run a command of a page in the current folder, with the Python that tests run with."""
    for part, module in NEEDS.items():
        if part in command:
            pytest.importorskip(module)
    for said, less in LESS.items():
        command = command.replace(said, less)
    if "examples/" in command and not Path("examples").exists():
        Path("examples").symlink_to(pages.ROOT / "examples")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert all(path.exists() for path in outputs(command)), command


def test_every_block_says_its_language() -> None:
    for page in pages.names():
        fences = re.findall(r"^ *(?:```|~~~).*$", (pages.ROOT / page).read_text(), re.MULTILINE)
        assert set(fences[::2]) <= {f"```{language}" for language in LANGUAGES}, page
        assert set(fences[1::2]) <= {"```"}, page


def test_every_command_is_run_or_listed() -> None:
    listed, of_pages = 0, 0
    found = set()
    for page in with_commands():
        commands = pages.commands(page)
        found |= set(commands)
        run = [command for command in commands if command not in NOT_RUN]
        assert not run or page in GIVEN.keys() | ELSEWHERE.keys(), f"{page}: {run[0]}"
        listed, of_pages = listed + len(commands) - len(run), of_pages + len(run)
    print(f"{of_pages} commands run, {listed} are listed")
    assert NOT_RUN.keys() | LONG <= found, "of no page"
    assert GIVEN.keys() | ELSEWHERE.keys() <= set(with_commands())
    assert all(pages.is_named_in(page, test) for page, test in ELSEWHERE.items())


@pytest.mark.parametrize("page", GIVEN)
def test_commands_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    GIVEN[page]()
    for command in pages.commands(page):
        if command not in NOT_RUN.keys() | LONG:
            run(command)


@pytest.mark.whole
@pytest.mark.parametrize("command", sorted(LONG))
def test_long_commands(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(command)


def spoken_of(page: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the program and the words of every command of a page, also of those in its text."""
    text = re.sub(r"^```.*?^```", "", (pages.ROOT / page).read_text(), flags=re.M | re.S)
    for said in (*pages.commands(page), *re.findall(r"`([^`\n]+)`", text)):
        for match in map(PROGRAM.fullmatch, said.split(" && ")):
            if match and "..." not in said:  # which is a message of ours
                program, words = match[1], shlex.split(match[2])
                of_module = program == "python" and words[:2] == ["-m", "dynsample"]
                yield ("dynsample", words[2:]) if of_module else (program, words)


def options(script: Path) -> set[str]:
    """Return the options that a script, or a module beside it, takes."""
    text = "".join(path.read_text() for path in script.parent.glob("*.py"))
    return set(re.findall(r'"(--?[a-z][\w-]*)"', text))


def of_command(name: str) -> set[str]:
    """Return the options of a command of ours."""
    parser = argparse.ArgumentParser()
    importlib.import_module(f"dynsample.cli.{name}").add_arguments(parser)
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", parser.format_help()))


def test_what_a_page_tells_to_call_is_there() -> None:
    makefile, project = ((pages.ROOT / name).read_text() for name in ("Makefile", "pyproject.toml"))
    targets = re.findall(r"^\.PHONY:(.*)$", makefile, re.M)[0].split()
    extras = re.findall(r"^([a-z][\w-]*) = \[", project, re.M)
    calls = [(page, *call) for page in pages.names() for call in spoken_of(page)]
    assert {program for _, program, _ in calls} == {"dynsample", "python", "make", "pip"}
    for page, program, words in calls:
        where, first = f"{page}: {program} {' '.join(words)}", words[0]
        flags = {word.partition("=")[0] for word in words if re.match("--?[a-z]", word)}
        if program == "make":
            assert first in targets, where
        elif program == "pip":
            assert set(re.findall(r"\[([\w-]+)\]", " ".join(words))) <= set(extras), where
        elif program == "dynsample":
            assert first in COMMANDS or words == ["--version"], where
            assert flags <= (of_command(first) if first in COMMANDS else flags), where
        elif first.endswith(".py"):
            assert (pages.ROOT / first).exists(), where
            assert flags <= options(pages.ROOT / first), where
