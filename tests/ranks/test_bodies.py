"""Every body holds on every transport and any number of ranks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import launchers
import pytest
from world import bodies

from dynsample import groups

BODIES = bodies()
# Sizes of every transport's worlds, and those that `make test` is content with: a world of one, an
# odd number, an even one.
SIZES = (1, 2, 3, 4)
EVERY_TIME = {("mpich", 1), ("mpich", 3), ("openmpi", 2), ("gloo", 2)}
LIBRARIES = {"mpich": "MPICH", "openmpi": "Open MPI", "gloo": "gloo"}
WORLDS = [
    pytest.param(
        transport,
        size,
        id=f"{transport}-{size}",
        marks=[pytest.mark.whole] * ((transport, size) not in EVERY_TIME),
    )
    for transport in launchers.TRANSPORTS
    for size in SIZES
]


def launch(transport: str, size: int, folder: Path, *arguments: str) -> tuple[dict[int, Any], str]:
    kind = "torch" if transport == "gloo" else "mpi"
    command = ["-m", "tests.ranks.world", "--transport", kind, "--report", str(folder), *arguments]
    with launchers.world(transport, size, folder, *command) as world:
        try:
            statuses = world.wait(300)
            end = f"exit statuses {statuses}"
        except pytest.fail.Exception:
            end = "the world did not end"
    found = [json.loads(path.read_text()) for path in folder.glob("rank-*.json")]
    return {report["rank"]: report for report in found}, f"{world.output()}\n{end}"


@pytest.mark.parametrize(("transport", "size"), WORLDS)
def test_every_body_holds_on_all_ranks(transport: str, size: int, tmp_path: Path) -> None:
    launchers.require(transport)
    found, output = launch(transport, size, tmp_path)
    assert sorted(found) == list(range(size)), output
    for rank, report in found.items():
        assert report["size"] == size
        assert re.match(LIBRARIES[transport], report["library"])
        failed = {body: what for body, what in report["bodies"].items() if what is not None}
        assert not failed, f"rank {rank}: {failed}"
        assert list(report["bodies"]) == list(BODIES), output
    assert re.search(r"exit statuses \[0(, 0)*\]$", output), output


@pytest.mark.parametrize("transport", ["mpich", launchers.whole("openmpi")])
def test_parts_beyond_the_counts_of_mpi_go_in_rounds(transport: str, tmp_path: Path) -> None:
    launchers.require(transport)
    names = [name for name in BODIES if name.startswith("protocol.") and "megabytes" not in name]
    found, output = launch(transport, 3, tmp_path, "--mpi-bytes", "100", *names)
    assert sorted(found) == [0, 1, 2], output
    for report in found.values():
        assert report["bodies"] == dict.fromkeys(names), output


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", [1, 2, launchers.whole(3), 5, launchers.whole(8)])
def test_body_on_simulated_ranks(size: int, body: str) -> None:
    groups.simulate(size, BODIES[body])


@pytest.mark.parametrize("body", BODIES)
def test_body_on_one_process(body: str) -> None:
    BODIES[body](groups.single())
