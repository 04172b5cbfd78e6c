"""Everything, once, unweighted."""

from policy_cases import check

import dynsample as ds


def test_uniform_selects_every_sample_once() -> None:
    for n in (0, 1, 5):
        selection = check(ds.Uniform(), ds.ScoreTable(n, {}), epoch=3, seed=1)
        assert selection == ds.Selection()
