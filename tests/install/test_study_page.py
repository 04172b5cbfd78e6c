"""docs/which-method.md shows what the runs of the study found."""

from __future__ import annotations

import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import study_page  # noqa: E402

from dynsample.cli.study import runs  # noqa: E402


def test_the_page_shows_what_was_found() -> None:
    assert study_page.PAGE.read_text() == study_page.page()


def test_the_study_is_of_real_images_with_seeds_and_controls() -> None:
    records, torn = runs.read(study_page.FOLDER)
    kept, others = runs.latest(records)
    assert not torn
    assert not others
    of_methods = [
        each.key for each in kept if each.key.cost is None and each.key.name != "baseline"
    ]
    for variant in ("clean", "noise"):
        names = {key.name for key in of_methods if key.variant == variant}
        assert len(names) >= 10
        for name in names:
            seeds = {key.seed for key in of_methods if (key.variant, key.name) == (variant, name)}
            assert len(seeds) >= 3, name
    assert {each.settings.num_samples for each in kept if each.key.task == "fashion"} == {60000}
