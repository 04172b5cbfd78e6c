"""What a trainer is asked for that a sampler decides, or that would lose its place."""

from __future__ import annotations

from collections.abc import Callable, Sized

import transformers
from torch.utils.data import IterableDataset
from transformers import Trainer, TrainingArguments

from dynsample.loading import checked_sampler
from dynsample.run.handout import check_external
from dynsample.sampler import Sampler

# Argument, its only value, and why; those of Accelerate's configuration by a dot.
_ARGUMENTS = (
    ("train_sampling_strategy", "random", "the sampler decides the order"),
    ("dataloader_drop_last", False, "what is planned is trained on"),
    ("auto_find_batch_size", False, "a run that begins again has used a part of its epoch"),
    ("accelerator_config.even_batches", True, "ranks make the same steps of the same size"),
    ("accelerator_config.dispatch_batches", False, "every rank iterates the plan"),
)
_SEAMS = ("_get_train_sampler", "get_train_dataloader")


def check_sampler(given: object) -> Sampler:
    """Return a sampler whose plan a trainer may hand out."""
    cure = ': sampler=ds.Sampler(len(train_dataset), policy, issue="external")'
    sampler = checked_sampler(given, cure)
    check_external(sampler.run)
    return sampler


def check_class(trainer: type, ours: type) -> None:
    """Raise a TypeError when another class of a trainer has a sampler or loader of its own."""
    later = trainer.__mro__[trainer.__mro__.index(ours) + 1 :]
    for name in _SEAMS:
        owner = next(one for one in later if name in vars(one))
        if owner is not Trainer:
            raise TypeError(f"{owner.__name__} has a {name} of its own, which needs its own order")


def check_version(trainer: Trainer) -> None:
    """Raise a TypeError for a trainer that lacks what its steps and labels are counted by."""
    if not hasattr(trainer, "_run_epoch") or not hasattr(trainer, "_loss_shifts_labels"):
        raise TypeError(f"dynsample.hf needs transformers >= 5.23, got {transformers.__version__}")


def check_arguments(args: TrainingArguments) -> None:
    """Raise a ValueError for arguments that the sampler decides, or under which ranks differ."""
    for path, wanted, why in _ARGUMENTS:
        found = args
        for name in path.split("."):
            found = getattr(found, name)
        if found not in (wanted, None):
            raise ValueError(f"{path} must be {wanted!r}, got {found!r}: {why}")
    if args.n_gpu > 1:
        raise ValueError(
            f"{args.n_gpu} GPUs in one process would split a batch from its index: start one "
            "process for each, as in torchrun --nproc-per-node, or set CUDA_VISIBLE_DEVICES"
        )


def check_dataset(dataset: object, sampler: Sampler) -> None:
    """Raise a ValueError when a data set is not what the sampler was made for."""
    if isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized):
        raise ValueError(
            f"train_dataset must be map-style, got {type(dataset).__name__}: it cannot be asked "
            "for the samples that a sampler chooses"
        )
    if len(dataset) != sampler.num_samples:
        raise ValueError(
            f"train_dataset has {len(dataset)} items, the sampler was made for "
            f"{sampler.num_samples}"
        )


def check_loss(trainer: Trainer, default: Callable[..., object]) -> None:
    """Raise a ValueError when a loss is given of which no sample's part is known."""
    if trainer.compute_loss_func is not None and type(trainer).sample_losses is default:
        raise ValueError(
            "compute_loss_func gives the loss of a batch: override sample_losses(outputs, inputs) "
            "of dynsample.hf.Trainer, which gives that of every sample, as well"
        )
