"""The page for users of the published KAKURENBO scripts, against the published rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ranks import launchers


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_page_hides_scales_and_draws_as_published(ranks: int, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("tqdm")
    launchers.require("mpich")
    with launchers.world(
        "mpich", ranks, tmp_path, "-m", "mpi4py", "-m", "tests.docs.kakurenbo_ranks"
    ) as world:
        assert not any(world.wait(600)), world.output()
    for rank in range(ranks):
        assert f"rank {rank} of {ranks} is right" in world.output()
