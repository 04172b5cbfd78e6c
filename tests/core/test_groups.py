"""A launched world that one plan cannot serve is refused."""

import pytest

from dynsample import groups


@pytest.mark.parametrize(
    ("variable", "launcher"),
    [
        ("WORLD_SIZE", "torchrun"),
        ("PMI_SIZE", "MPICH"),
        ("OMPI_COMM_WORLD_SIZE", "Open MPI"),
        ("HOROVOD_SIZE", "Horovod"),
        ("SLURM_STEP_NUM_TASKS", "Slurm"),
    ],
)
@pytest.mark.parametrize("group", ["auto", None])
def test_a_launched_world_is_refused(
    variable: str, launcher: str, group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "2")
    with pytest.raises(RuntimeError, match=rf"{launcher} launched 2 processes \({variable}=2\)"):
        groups.as_group(group)
    assert groups.as_group(groups.single()).size == 1


def test_one_process_is_one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert groups.as_group("auto") == groups.Group(rank=0, size=1)


def test_an_unknown_group_is_named() -> None:
    with pytest.raises(ValueError, match=r"group must be \"auto\" or a group .* got 'mpi'"):
        groups.as_group("mpi")
