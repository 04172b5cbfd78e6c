"""A sampler finds the ranks it was launched with, and never plans alone in a world of several."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import launchers
import pytest

import dynsample as ds
from dynsample import groups

LAUNCHED = {
    "torchrun": {"WORLD_SIZE": "2", "RANK": "0"},
    "MPICH": {"PMI_SIZE": "2", "PMI_RANK": "0"},
    "Open MPI": {"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "0"},
    "Horovod": {"HOROVOD_SIZE": "2"},
    "Slurm": {"SLURM_STEP_NUM_TASKS": "2", "SLURM_NTASKS": "2", "PMIX_RANK": "0"},
    "Slurm without PMI": {"SLURM_STEP_NUM_TASKS": "2"},
}
FIND = """
import sys
import numpy as np
from dynsample import groups
assert not {"torch", "mpi4py"} & set(sys.modules)
group = groups.as_group("auto")
total = group.sum(np.array([1 + group.rank]), "a sum")[0]
print(f"{type(group).__name__} {group.rank} of {group.size}, sum {total}.", flush=True)
"""


@pytest.fixture(autouse=True)
def _launched_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = launchers.environment()
    for name in set(os.environ) - set(kept):
        monkeypatch.delenv(name)


def launch(transport: str, size: int, folder: Path, code: str, **environ: str) -> tuple[bool, str]:
    """Run `code` on every rank; whether all succeeded, and the output."""
    with launchers.world(transport, size, folder, "-c", code, **environ) as world:
        return not any(world.wait()), world.output()


@pytest.mark.parametrize("transport", ["mpich", "openmpi"])
def test_auto_finds_the_ranks_of_mpiexec(transport: str, tmp_path: Path) -> None:
    launchers.require(transport)
    succeeded, output = launch(transport, 2, tmp_path, FIND)
    assert succeeded, output
    for rank in range(2):
        assert f"MPIGroup {rank} of 2, sum 3." in output


@pytest.mark.parametrize("transport", ["mpich", "plain"])
def test_a_world_of_one_is_one_process(transport: str, tmp_path: Path) -> None:
    if transport != "plain":
        launchers.require(transport)
    succeeded, output = launch(transport, 1, tmp_path, FIND)
    assert succeeded, output
    assert "Single 0 of 1, sum 1." in output


def test_auto_finds_the_ranks_of_torchrun(tmp_path: Path) -> None:
    launchers.require("gloo")
    initialise = "import torch.distributed as dist; dist.init_process_group('gloo')\n"
    find = FIND.replace('{"torch", "mpi4py"}', '{"mpi4py"}')
    end = "dist.destroy_process_group()\n"
    succeeded, output = launch("torchrun", 2, tmp_path, initialise + find + end)
    assert succeeded, output
    for rank in range(2):
        assert f"TorchGroup {rank} of 2, sum 3." in output


def test_the_library_of_another_mpi_is_found_out(tmp_path: Path) -> None:
    launchers.require("mpich")
    launchers.require("openmpi")
    library = str(launchers.openmpi_library())
    succeeded, output = launch("mpich", 2, tmp_path, FIND, MPI4PY_LIBMPI=library)
    assert not succeeded
    assert (
        "RuntimeError: MPICH launched 2 processes (PMI_SIZE=2), but mpi4py sees a world" in output
    )
    assert "another MPI (Open MPI" in output
    assert "MPI4PY_LIBMPI=<path of the launcher's libmpi.so>" in output


@pytest.mark.parametrize("code", ["groups.as_group('auto')", "groups.mpi()"])
def test_a_world_that_mpi_does_not_see_is_refused(code: str, tmp_path: Path) -> None:
    launchers.require("mpich")
    code = f"from dynsample import groups; {code}"
    environ = {"OMPI_COMM_WORLD_SIZE": "2"}
    succeeded, output = launch("plain", 1, tmp_path, code, **environ)
    assert not succeeded
    assert "Open MPI launched 2 processes (OMPI_COMM_WORLD_SIZE=2), but mpi4py sees a" in output


@pytest.mark.parametrize(
    ("launcher", "advice"),
    [
        ("torchrun", r"^torchrun launched 2 .*call torch.distributed.init_process_group first"),
        ("Horovod", r"^Horovod launched 2 processes \(HOROVOD_SIZE=2\): pass group=mpi4py.MPI"),
        ("Slurm without PMI", r"^Slurm launched 2 .*srun --mpi=pmix, srun --mpi=pmi2 or torchrun"),
        *(
            (name, r"^mpi4py cannot be used .*pip install dynsample\[mpi\]")
            for name in ("MPICH", "Open MPI", "Slurm")
        ),
    ],
)
def test_auto_says_what_is_missing(
    launcher: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    for name, value in LAUNCHED[launcher].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=advice):
        groups.as_group("auto")
    with pytest.raises(RuntimeError, match=advice):
        ds.Sampler(10)


@pytest.mark.parametrize("launcher", LAUNCHED)
def test_none_refuses_a_launched_world(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LAUNCHED[launcher].items():
        monkeypatch.setenv(name, value)
    expected = rf'{launcher.split(" w")[0]} launched 2 processes .*group="auto".*groups\.single\(\)'
    with pytest.raises(RuntimeError, match=expected):
        groups.as_group(None)
    assert groups.as_group(groups.single()).size == 1


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"WORLD_SIZE": "8"},  # a setting of something else: no rank
        {"PMI_SIZE": "1", "SLURM_NTASKS": "4"},  # mpiexec -n 1 in an allocation of four
        {"SLURM_NTASKS": "1", "PMIX_RANK": "0"},
        {"OMPI_COMM_WORLD_SIZE": ""},
    ],
)
@pytest.mark.parametrize("group", ["auto", None])
def test_one_process_is_one_rank(
    environ: dict[str, str], group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    found = groups.as_group(group)
    assert (found.rank, found.size) == (0, 1)


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(ValueError, match=r"group must be \"auto\" or a group .* got 'mpi'"):
        groups.as_group("mpi")


@pytest.mark.parametrize("launcher", ["torchrun", "Horovod", "Slurm without PMI"])
def test_a_world_that_is_launched_later_is_noticed(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = groups.as_group("auto")
    assert groups.found_again(group) is group
    for name, value in LAUNCHED[launcher].items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RuntimeError, match=rf"^{launcher.split(' w')[0]} launched 2 processes"):
        groups.found_again(group)


SPAWN = """
import sys
import numpy as np
import torch.distributed as dist
import torch.multiprocessing as mp
from dynsample import groups

def work(rank, store):
    early = groups.as_group("auto")
    assert early.size == 1 and groups.found_again(early) is early
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    group = groups.found_again(early)
    assert groups.found_again(group) is group
    total = group.sum(np.array([1 + group.rank]), "a sum")[0]
    print(f"{type(group).__name__} {group.rank} of {group.size}, sum {total}.", flush=True)
    group.barrier("the end")
    dist.destroy_process_group()

if __name__ == "__main__":
    mp.spawn(work, (sys.argv[1],), nprocs=2)
"""


@pytest.mark.whole  # test_joined_later.py trains on such ranks
def test_ranks_that_are_joined_later_are_found(tmp_path: Path) -> None:
    launchers.require("gloo")
    script = tmp_path / "spawn.py"  # spawned processes import it
    script.write_text(SPAWN)
    command = [str(script), (tmp_path / "store").as_uri()]
    with launchers.world("plain", 1, tmp_path, *command) as world:
        assert world.wait() == [0], world.output()
    for rank in range(2):
        assert f"TorchGroup {rank} of 2, sum 3." in world.output()


UNSAID = """
import os
import numpy as np
from mpi4py import MPI
from dynsample import groups
for name in list(os.environ):
    if name.startswith(("PMI", "OMPI")):
        del os.environ[name]
group = groups.as_group("auto")
total = group.sum(np.array([1 + group.rank]), "a sum")[0]
print(f"{type(group).__name__} {group.rank} of {group.size}, sum {total}.", flush=True)
try:
    groups.as_group(None)
except RuntimeError as error:
    assert "MPI has a world of 2 processes, and group is None" in str(error)
else:
    raise AssertionError
"""


@pytest.mark.parametrize("transport", ["mpich", "openmpi"])
def test_a_world_of_mpi_is_found_without_a_word_of_its_launcher(
    transport: str, tmp_path: Path
) -> None:
    launchers.require(transport)
    succeeded, output = launch(transport, 2, tmp_path, UNSAID)
    assert succeeded, output
    for rank in range(2):
        assert f"MPIGroup {rank} of 2, sum 3." in output


MPI_PARTS = """
import numpy as np
from mpi4py import MPI
from dynsample import groups
world = groups.as_group(MPI.COMM_WORLD)
for _ in range(2100):  # more than MPI has contexts
    groups.mpi()
part = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank % 2)
group = groups.as_group(part)
total = group.sum(np.array([MPI.COMM_WORLD.rank]), "a sum")[0]
print(f"{world.rank}: {group.rank} of {group.size}, sum {total}.", flush=True)
for _ in range(2100):
    part.Free()
    part = MPI.COMM_WORLD.Split(MPI.COMM_WORLD.rank % 2)
    assert groups.mpi(part).size == group.size
"""
TORCH_PARTS = """
import os
import numpy as np
import torch.distributed as dist
from dynsample import groups
rank = int(os.environ["RANK"])
dist.init_process_group("gloo", init_method=os.environ["WORLD_STORE"], rank=rank, world_size=3)
world = groups.as_group(dist.group.WORLD)
even, odd = dist.new_group([0, 2]), dist.new_group([1])
group = groups.as_group(odd if rank % 2 else even)
assert groups.as_group(odd if rank % 2 else even)._group is group._group
total = group.sum(np.array([rank]), "a sum")[0]
large = group.all_gather(np.full((1 - group.rank) * 2**21, rank, np.uint8), "uneven arrays")
assert [len(part) for part in large] == [2**21, 0][:group.size]
print(f"{world.rank}: {group.rank} of {group.size}, sum {total}.", flush=True)
try:
    groups.as_group(even if rank % 2 else odd)
except ValueError as error:
    assert "must" in str(error), error
dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    ("transport", "code"),
    [("mpich", MPI_PARTS), launchers.whole("openmpi", MPI_PARTS), ("gloo", TORCH_PARTS)],
)
def test_parts_of_a_world_are_groups(transport: str, code: str, tmp_path: Path) -> None:
    launchers.require(transport)
    succeeded, output = launch(transport, 3, tmp_path, code)
    assert succeeded, output
    for expected in ("0: 0 of 2, sum 2.", "1: 0 of 1, sum 1.", "2: 1 of 2, sum 2."):
        assert expected in output
