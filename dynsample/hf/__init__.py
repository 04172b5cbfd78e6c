"""The Trainer of transformers, and those built on it, in the order of a sampler."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Mapping, Sized
from contextlib import ExitStack
from functools import partial
from typing import Protocol

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from torch.utils.data import DataLoader

try:
    from transformers import Trainer as _Trainer
    from transformers import TrainerCallback, TrainingArguments
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR
except ImportError as error:
    raise ImportError(
        f"dynsample.hf needs transformers, which cannot be imported ({error}): "
        'pip install "dynsample[hf]"'
    ) from error

from dynsample.hf import checks
from dynsample.hf.losses import Batch, mean_losses, num_items, recorded, weighted
from dynsample.sampler import Sampler
from dynsample.torch import IndexSampler, scaled_lr
from dynsample.torch.batches import IndexedCollate, IndexedDataset

__all__ = ["Trainer"]

INDEX = "dynsample_index"  # key of a batch
FOLDER = "dynsample"  # in a checkpoint
_TRAINING = "Training"  # what the trainer calls the loader in its messages


class _Prepared(Protocol):
    """A loader that Accelerate made its own."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None: ...


class Trainer(_Trainer):
    """The Trainer of transformers in the order of a `Sampler`; also a mixin for those built on it.

    It trains as the trainer does, on the samples of the plan, with its own loss; tells the sampler
    the losses; weighs them as the plan says; looks at hidden samples again at the end of an epoch;
    and saves and loads the sampler with the checkpoints. A trainer of TRL takes it as first base:
    `class MyTrainer(dynsample.hf.Trainer, SFTTrainer)`.

    Parameters
    ----------
    *args, **kwargs
        Of the trainer. `train_dataset` is map-style and has `sampler.num_samples` items.
    sampler : Sampler
        Made with `issue="external"`.

    Raises
    ------
    TypeError, ValueError
        For another sampler or data set; for arguments that the sampler decides
        (`train_sampling_strategy`, `dataloader_drop_last`) or under which ranks would differ; for
        a trainer with a sampler of its own.

    Notes
    -----
    * `num_train_epochs` epochs are made, of the steps that each has. The schedules of transformers
      follow `sampler.progress`, so that they end with the last step; their warm-up is in steps of
      epochs as long as the first. With `max_steps` there are that many, in as many epochs as it
      takes, and schedules count them. A scheduler in `optimizers=` counts steps.
    * A checkpoint goes on with what was not observed, on any number of ranks;
      `ignore_data_skip` has no meaning.
    * Rows by which the last batches are filled up to the same size on all ranks are weighed and
      trained on as any, and counted in `sampler.stats["surplus"]`.
    * `lr_scale` multiplies the rates inside the optimizer's step; logs show them without it.
    """

    def __init__(self, *args: object, sampler: Sampler, **kwargs: object) -> None:
        self.sampler = checks.check_sampler(sampler)
        checks.check_class(type(self), Trainer)
        super().__init__(*args, **kwargs)
        checks.check_version(self)
        checks.check_arguments(self.args)
        checks.check_dataset(self.train_dataset, sampler)
        checks.check_loss(self, Trainer.sample_losses)
        self._order = IndexSampler(sampler)
        self.add_callback(_ScaledSteps(sampler))

    # Batches

    def get_train_dataloader(self) -> DataLoader[object]:
        """Return the loader of the kept samples, and make that of the hidden ones beside it."""
        self._hidden_loader = self._indexed_loader(IndexSampler(self.sampler, hidden=True))
        return self._indexed_loader(self._get_train_sampler())

    def _get_train_sampler(self, train_dataset: object = None) -> IndexSampler:
        return self._order

    def _indexed_loader(self, order: IndexSampler) -> DataLoader[object]:
        dataset = self.train_dataset
        if hasattr(dataset, "remove_columns"):  # a datasets.Dataset, which then need not read them
            dataset = self._remove_unused_columns(dataset, _TRAINING)
        loader: DataLoader[object] = self._get_dataloader(
            IndexedDataset(dataset), _TRAINING, self._train_batch_size, lambda _: order, True
        )
        return loader

    def _get_collator_with_removed_columns(
        self, data_collator: Callable[..., object], description: str | None = None
    ) -> Callable[..., object]:
        collate: Callable[..., object] = super()._get_collator_with_removed_columns(
            data_collator, description
        )
        return IndexedCollate(collate, INDEX) if description == _TRAINING else collate

    # The loss

    def sample_losses(self, outputs: Batch, inputs: Batch) -> torch.Tensor:
        """Return the loss of every sample of a batch, float[B]: to be overridden for other losses.

        What the policy sees, and what weights multiply. The loss of the trainer is taken to be the
        mean of these; where the batch has labels, over all labels that are not -100. By default the
        cross entropy, with the label smoothing of the trainer: of classifiers, and of language
        models over the tokens of a sample.

        Parameters
        ----------
        outputs : mapping
            What the model returned when the trainer made its loss.
        inputs : mapping
            The batch without its index.
        """
        logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
        targets = self._targets(inputs)
        if logits is None or targets is None:
            raise ValueError(
                "a batch without labels, or a model without logits, has no cross entropy: override "
                "sample_losses(outputs, inputs) of dynsample.hf.Trainer"
            )
        if self._loss_shifts_labels and "shift_labels" not in inputs:
            logits = logits[:, :-1]
        return mean_losses(logits, targets, self.args.label_smoothing_factor)

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: Batch,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Batch]:
        """Return the trainer's loss of a batch, with weights; of batches for training, observe."""
        given: dict[str, torch.Tensor] = {**inputs}
        index = given.pop(INDEX, None)
        loss: torch.Tensor
        compute = partial(super().compute_loss, num_items_in_batch=num_items_in_batch)
        if index is None:
            loss = compute(model, inputs, return_outputs)  # of an evaluation: as it is
            return loss
        with recorded(model) as calls:
            loss = compute(model, {**given})
        if not calls:
            raise RuntimeError(f"{type(self).__name__} made a loss without a call of its model")
        losses = self._observe(index, calls[0], given)
        if losses is not None:
            targets = self._targets(given)
            items = torch.ones_like(index) if targets is None else num_items(targets)
            loss = weighted(loss, losses, items, self.sampler.weights(index))
        return (loss, calls[0]) if return_outputs else loss

    def _observe(self, index: torch.Tensor, outputs: Batch, inputs: Batch) -> torch.Tensor | None:
        """Observe a batch; return its losses where they are to be weighed."""
        weighs = torch.is_grad_enabled() and self.sampler.plan.weights is not None
        if not weighs and not self.sampler.run.config.signals:
            self.sampler.observe(index)
            return None
        with torch.set_grad_enabled(weighs):
            losses = self.sample_losses(outputs, inputs)
        if losses.shape != index.shape:
            raise ValueError(
                f"sample_losses must return the losses of {len(index)} samples, got shape "
                f"{list(losses.shape)}: batches of samples joined to one row (padding_free, "
                "packing) have none of their own"
            )
        logits, labels = outputs.get("logits"), inputs.get("labels")
        classes = {}
        if logits is not None and labels is not None and logits.dim() == 2:
            classes = {"logits": logits, "targets": labels}
        self.sampler.observe(index, loss=losses.detach(), **classes)
        return losses if weighs else None

    def _targets(self, inputs: Batch) -> torch.Tensor | None:
        """Return the labels that are predicted, as the trainer counts them."""
        if "shift_labels" in inputs:
            return inputs["shift_labels"]
        labels = inputs.get("labels")
        return labels[:, 1:] if labels is not None and self._loss_shifts_labels else labels

    # Epochs

    def set_initial_training_values(
        self, args: TrainingArguments, dataloader: Sized
    ) -> tuple[int, ...]:
        """Return the trainer's figures, those of steps from an epoch as the first one is."""
        epochs, *others = super().set_initial_training_values(args, dataloader)
        # With max_steps it takes more epochs the more they shrink, and each has a step or more.
        return (args.max_steps if args.max_steps > 0 else epochs, *others)

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> LRScheduler:
        """Return the trainer's scheduler; where epochs count, it goes by `sampler.progress`."""
        given = self.lr_scheduler is not None
        scheduler: LRScheduler = super().create_scheduler(num_training_steps, optimizer)
        if not given and self.args.max_steps <= 0 and isinstance(scheduler, LambdaLR):
            steps = num_training_steps / self.args.num_train_epochs
            scheduler.lr_lambdas = [
                partial(_at_progress, self.sampler, steps, rate)  # type: ignore[arg-type]
                for rate in scheduler.lr_lambdas  # which take a step's fraction as well
            ]
        return scheduler

    def _run_epoch(
        self, *, model: torch.nn.Module, epoch: int, train_dataloader: _Prepared, **loop: object
    ) -> None:
        resumed = loop["resume_from_checkpoint"] is not None and epoch == loop["epochs_trained"]
        if resumed and self.sampler.epoch != epoch:  # the checkpoint is of the end of an epoch
            self._look_at_hidden(model)
        train_dataloader.set_epoch(epoch)
        batches = len(train_dataloader)
        if batches:
            updates = -(-batches // self.args.gradient_accumulation_steps)
            self._set_last_step(updates)
            loop.update(steps_in_epoch=batches, num_update_steps_per_epoch=updates)
            super()._run_epoch(model=model, epoch=epoch, train_dataloader=train_dataloader, **loop)
        stopped = self.control.should_training_stop and self.state.epoch != epoch + 1
        if not batches or not stopped:
            self._look_at_hidden(model)

    def _set_last_step(self, updates: int) -> None:
        """Foresee the last step from the updates that the epoch still has: in the last, exactly."""
        if self.args.max_steps <= 0:
            done = self.sampler.progress
            epochs = (self.args.num_train_epochs - done) / (self.sampler.epoch + 1 - done)
            # Less than a rounding error of a fraction of epochs is no step.
            self.state.max_steps = self.state.global_step + math.ceil(updates * epochs - 1e-6)

    def _look_at_hidden(self, model: torch.nn.Module) -> None:
        """Observe the hidden samples whose refresh is due; nothing else keeps a trace of it."""
        if not len(self._hidden_loader):
            return
        model.eval()  # a training step sets it back
        noted = copy.deepcopy(getattr(self, "_metrics", None))  # where trainers of TRL note figures
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=[]),
            self.compute_loss_context_manager(),
        ):
            for batch in self._hidden_loader:
                self.compute_loss(model, self._prepare_inputs(batch))
        if noted is not None:
            self._metrics = noted

    # Checkpoints

    def _save_checkpoint(self, model: torch.nn.Module, trial: object) -> None:
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        self.sampler.save(os.path.join(self._get_output_dir(trial), name, FOLDER))
        super()._save_checkpoint(model, trial)

    def _init_training_state(
        self, max_steps: int, updates: int, epochs: int, resume: str | None, trial: object
    ) -> tuple[int, int]:
        """Return the epoch to go on in, and that the loader skips nothing: the sampler does."""
        if trial is not None:
            raise ValueError(
                "hyperparameter_search would plan with what the trial before observed: make a "
                "trainer and a sampler for each"
            )
        trained = super()._init_training_state(max_steps, updates, epochs, resume, trial)
        if resume is None:
            first, _ = trained
            return first, 0
        self.sampler.load(os.path.join(resume, FOLDER))
        done = self.state.global_step
        ended = done >= self.args.max_steps > 0
        if self.args.max_steps <= 0 and self.sampler.progress >= self.args.num_train_epochs:
            ended, self.state.max_steps = True, done
        return (epochs if ended else self.sampler.epoch + (not len(self._order))), 0


def _at_progress(
    sampler: Sampler, steps: float, rate: Callable[[float], float], _step: int
) -> float:
    """Return the factor of a schedule at the step that all epochs of full length would be at."""
    return rate(steps * sampler.progress)


class _ScaledSteps(TrainerCallback):
    """Has the optimizer's steps made with the rates of the epoch."""

    def __init__(self, sampler: Sampler) -> None:
        self._sampler, self._step = sampler, ExitStack()

    def on_pre_optimizer_step(
        self, *_: object, optimizer: torch.optim.Optimizer, **__: object
    ) -> None:
        self._step.enter_context(scaled_lr(optimizer, self._sampler.lr_scale))

    def on_optimizer_step(self, *_: object, **__: object) -> None:
        self._step.close()
