"""The loader that a Trainer has for a sampler, and one like it for hidden samples."""

from __future__ import annotations

import copy
from collections.abc import Iterable

from lightning.pytorch import Trainer
from torch.utils._pytree import tree_leaves
from torch.utils.data import BatchSampler, DataLoader
from torch.utils.data.distributed import DistributedSampler

from dynsample.sampler import Sampler
from dynsample.torch import IndexSampler


def _found(trainer: Trainer, sampler: Sampler) -> tuple[DataLoader[object], object]:
    """Return the loader that is in the order of a sampler, and who deals the order to ranks."""
    for loader in tree_leaves(trainer.train_dataloader):
        dealt = getattr(getattr(loader, "batch_sampler", None), "sampler", None)
        order = dealt
        if isinstance(dealt, DistributedSampler):  # Lightning's, around the one of the user
            order = getattr(dealt.dataset, "_sampler", None)
        if isinstance(order, IndexSampler) and order.sampler is sampler:
            return loader, dealt
    raise ValueError(
        "train_dataloader must give a DataLoader(..., sampler=IndexSampler(sampler)) of the "
        "sampler that SamplerCallback has, and overfit_batches must be left out"
    )


def check(trainer: Trainer, sampler: Sampler) -> None:
    """Raise a ValueError unless the ranks share the order of a sampler."""
    _, dealt = _found(trainer, sampler)
    if trainer.world_size > 1 and isinstance(dealt, IndexSampler):
        raise ValueError(
            "use_distributed_sampler must be True, got False: every device would train on the "
            "whole order"
        )


def shard(trainer: Trainer, sampler: Sampler, order: IndexSampler) -> Iterable[object]:
    """Return batches of this rank's share of an order, made as those for training are.

    Ranks have as many each: the last ones are filled up with samples of the first.
    """
    loader, _ = _found(trainer, sampler)
    ids, group = list(order), sampler.group
    places = range(group.rank, -(-len(ids) // group.size) * group.size, group.size)
    share = [ids[place % len(ids)] for place in places]
    size: int = vars(loader.batch_sampler)["batch_size"]
    batches = BatchSampler(share, size, drop_last=False)
    alike = copy.copy(loader)
    # What torch lets nobody set: workers of the loader for training are left alone.
    alike.__dict__.update(batch_sampler=batches, persistent_workers=False, _iterator=None)
    return alike
