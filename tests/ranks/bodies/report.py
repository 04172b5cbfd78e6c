"""Reports over any transport: what ranks write together is what one process writes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from runs import shared_folder

import dynsample as ds
from dynsample import groups, report
from dynsample.groups import Group

N, EPOCHS = 500, 3


def check_a_report_of_ranks_is_that_of_one_process(group: Group) -> None:
    folder = shared_folder(group)
    for placement in ("replicated", "sharded"):
        _train(group, folder / placement, placement)
    if group.rank == 0:
        _train(groups.single(), folder / "one", "replicated")
        alone = _counted(report.read(folder / "one"))
        for placement in ("replicated", "sharded"):
            assert _counted(report.read(folder / placement)) == alone
    group.barrier("the comparison of the reports")


def _train(group: Group, folder: Any, placement: str) -> None:
    settings = report.Report(folder, labels=np.arange(N) % 3)
    sampler = ds.Sampler(
        N, ds.Kakurenbo(fraction=0.5), 40, group=group, placement=placement, report=settings
    )
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for samples in (sampler, sampler.hidden):
            for index in samples:
                loss = ((index * 31 + epoch * 7) % 97).astype(np.float32)
                right = (loss < 90).astype(np.float32)
                sampler.observe(index, loss=loss, correct=right, confidence=1 - loss / 200)


def _counted(run: report.Run) -> str:
    names = ("columns", "easiest", "hardest", "came_back", "classes")
    return json.dumps([{name: line[name] for name in names} for line in run.epochs])
