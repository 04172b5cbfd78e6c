"""Plans that a framework hands out: sharded, padded, observed out of order, saved in the middle."""

from __future__ import annotations

import shutil
from functools import cache

import numpy as np
import pytest
import runs
from numpy.typing import NDArray

import dynsample as ds
from dynsample import groups
from dynsample.groups import Group
from dynsample.groups.agreement import DisagreementError
from dynsample.run import handout

EPOCHS = 3
Ended = tuple[list[str], dict[str, bytes]]


def left(sampler: ds.Sampler, *, hidden: bool = False) -> NDArray[np.int64]:
    """What is left of a pass."""
    return np.array(list(handout.iterate(sampler.run, hidden=hidden, start=0)), np.int64)


def observe(
    sampler: ds.Sampler, order: NDArray[np.int64], batch: int, epoch: int | None = None
) -> None:
    """Observe this rank's batches, padded by the beginning; odd ranks the last one first."""
    group, number = sampler.group, sampler.epoch if epoch is None else epoch
    if len(order):
        padding = np.resize(order, -len(order) % (batch * group.size))
        batches = np.concatenate([order, padding]).reshape(-1, batch)[group.rank :: group.size]
        for index in batches[:: -1 if group.rank % 2 else 1]:
            sampler.observe(index, epoch=epoch, **runs.signals(index, number))


def train(group: Group, policy: str, folder: str | None = None) -> Ended:
    """Go through some epochs; with a folder, be killed and go on from there in each."""
    sampler, digests = runs.sampler(group, policy, issue="external"), []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        digests.append(sampler.plan.digest)
        order = left(sampler)
        if folder:
            observe(sampler, order[: len(order) // 2], 5)
            sampler.save(folder)
            observe(sampler, order, 4)
            sampler = runs.sampler(group, policy, issue="external")
            sampler.load(folder)
            sampler.set_epoch(epoch)
            before, order = order, left(sampler)
            np.testing.assert_array_equal(order, before[len(before) // 2 :])
        observe(sampler, order, 7)
        assert len(sampler.outstanding) == 0
        observe(sampler, left(sampler, hidden=True), 3)
    sampler.set_epoch(EPOCHS)
    digests.append(sampler.plan.digest)
    assert sampler.stats["unseen"] == sampler.stats["not_issued"] == 0
    table = sampler.table.state()
    return digests, {name: array.tobytes() for name, array in table.items()}


def train_late(group: Group, policy: str, folder: str | None = None) -> Ended:
    """Observe half of every epoch in the next one; with a folder, be killed with that in flight."""
    sampler, digests = runs.sampler(group, policy, issue="external", late=1), []
    in_flight = np.empty(0, np.int64)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        digests.append(sampler.plan.digest)
        order = left(sampler)
        if folder:
            sampler.save(folder)
            sampler = runs.sampler(group, policy, issue="external", late=1)
            sampler.load(folder)
            epochs = handout.epochs(sampler.run, hidden=False)
            both = left(sampler)
            np.testing.assert_array_equal(both, np.concatenate([in_flight, order]))
            assert (epochs == epoch).sum() == len(order)
        observe(sampler, in_flight, 5, max(epoch - 1, 0))
        observe(sampler, order[: len(order) // 2], 7, epoch)
        in_flight = order[len(order) // 2 :]
        np.testing.assert_array_equal(sampler.outstanding, in_flight)
    sampler.set_epoch(EPOCHS)
    digests.append(sampler.plan.digest)
    assert sampler.stats["not_issued"] == sampler.stats["expired"] == 0
    assert sampler.stats["late"] > 0
    table = sampler.table.state()
    return digests, {name: array.tobytes() for name, array in table.items()}


@cache
def expected(policy: str) -> Ended:
    return train(groups.single(), policy)


def _check(group: Group, policy: str) -> None:
    assert train(group, policy) == expected(policy)
    folder = runs.shared_folder(group)
    assert train(group, policy, str(folder)) == expected(policy)
    group.barrier("the last of them")
    if group.rank == 0:
        shutil.rmtree(folder)


def check_plans_without_repeats(group: Group) -> None:
    for policy in ("uniform", "kakurenbo", "infobatch", "forgetting"):
        _check(group, policy)


def check_late_observations(group: Group) -> None:
    for policy in ("uniform", "infobatch"):
        alone = train_late(groups.single(), policy)
        assert train_late(group, policy) == alone
        folder = runs.shared_folder(group)
        assert train_late(group, policy, str(folder)) == alone
        group.barrier("the last of them")
        if group.rank == 0:
            shutil.rmtree(folder)


def check_draws_with_replacement(group: Group) -> None:
    """Of a sample that was drawn twice all values are the same here: else ties would be decided."""
    sampler = runs.sampler(group, "importance", issue="external")
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        order = left(sampler)
        own = order[group.rank :: group.size]
        if len(own):
            sampler.observe(own, **runs.signals(own, epoch))
        assert len(sampler.outstanding) == 0
    sampler.set_epoch(EPOCHS)
    assert sampler.stats["surplus"] == sampler.stats["not_issued"] == 0
    digests = group.all_gather(np.frombuffer(sampler.plan.digest.encode(), np.uint8), "digests")
    assert len({digest.tobytes() for digest in digests}) == 1


def check_ranks_may_be_anywhere_but_not_in_another_mode(group: Group) -> None:
    if group.size == 1:
        return
    sampler = runs.sampler(group, "kakurenbo", issue="external")
    order = left(sampler)
    if group.rank:
        sampler.observe(order[: 40 * group.rank], **runs.signals(order[: 40 * group.rank], 0))
    sampler.set_epoch(0)
    assert len(left(sampler)) == len(order) - 40 * (group.size - 1)
    issue = "external" if group.rank else "sampler"
    with pytest.raises(DisagreementError, match=r"issue: rank 0 has sampler, rank.* 1.* external"):
        runs.sampler(group, "kakurenbo", issue=issue).set_epoch(0)
