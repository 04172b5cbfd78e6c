"""Lightning's Trainer in the order of a sampler: a callback."""

from __future__ import annotations

from collections.abc import Callable

import torch

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise ImportError(
        f"dynsample.lightning needs Lightning, which cannot be imported ({error}): "
        'pip install "dynsample[lightning]"'
    ) from error

from dynsample.disk.checkpoint import StateError
from dynsample.lightning import checkpoints, loaders
from dynsample.loading import checked_sampler
from dynsample.run.handout import check_external
from dynsample.sampler import Sampler
from dynsample.torch import IndexSampler

__all__ = ["SamplerCallback"]

KEY = "dynsample"  # in a checkpoint


class SamplerCallback(Callback):
    """Has a Trainer go through the epochs of a `Sampler`, on any number of devices.

    For a `train_dataloader` whose DataLoader has an `IndexSampler` of this sampler. It plans every
    epoch before Lightning reads its length; looks at hidden samples again after it; and puts the
    sampler's state into checkpoints, from which a run goes on with what was not observed. The
    training step calls `sampler.observe`.

    Parameters
    ----------
    sampler : Sampler
        Made with `issue="external"`. `group="auto"` finds the ranks that Lightning starts later.
    hidden_step : callable, optional
        `hidden_step(batch, batch_idx)` observes a batch of hidden samples; it is called in eval
        mode, without gradients, on all ranks as often. By default the method of that name of the
        module, if it has one.

    Raises
    ------
    TypeError, ValueError
        For another sampler; in `fit`, for a train_dataloader without it, and for arguments of the
        Trainer that the callback decides (`reload_dataloaders_every_n_epochs`), or under which
        every device would train on everything (`use_distributed_sampler=False`).
    StateError
        For a checkpoint that was saved without this callback, or of another run.

    Notes
    -----
    * An epoch ends where Lightning ends it, by `limit_train_batches` and `max_steps` too.
    * After a checkpoint in mid-epoch, what is left is an epoch to Lightning: `batch_idx` begins at
      0, and `on_train_epoch_start` is called.
    * Loaders are made anew for every epoch, those for validation too.
    * Saving and loading take a folder in `trainer.default_root_dir` for the time of the call, which
      all ranks must see.
    """

    def __init__(
        self, sampler: Sampler, hidden_step: Callable[[object, int], object] | None = None
    ) -> None:
        check_external(checked_sampler(sampler).run)
        if hidden_step is not None and not callable(hidden_step):
            raise TypeError(f"hidden_step must be callable, got {type(hidden_step).__name__}")
        self.sampler, self._hidden_step = sampler, hidden_step
        self._order = IndexSampler(sampler)
        self._loaded = False

    # Epochs

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have lengths read in every epoch."""
        if stage != TrainerFn.FITTING.value:
            return
        given = trainer.reload_dataloaders_every_n_epochs
        if given not in (0, 1):
            raise ValueError(
                f"reload_dataloaders_every_n_epochs must be 1 or left out, got {given}: epochs "
                "differ in length, and Lightning reads it when it makes the loader"
            )
        trainer.reload_dataloaders_every_n_epochs = 1
        self._loaded = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Plan the first epoch, before its length is read."""
        if self._loaded:
            self._go_on(trainer, pl_module)
        else:
            self.sampler.set_epoch(trainer.current_epoch)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the order begin once more: Lightning makes two iterators of a loader."""
        loaders.check(trainer, self.sampler)
        self.sampler.set_epoch(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the hidden samples and plan the next epoch, before its length is read."""
        self._end_epoch(trainer, pl_module)

    def _go_on(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End the epoch of a checkpoint that was saved between its last step and its end."""
        if not len(self._order):
            trainer.fit_loop.setup_data()
            self._end_epoch(trainer, pl_module)

    def _end_epoch(self, trainer: Trainer, pl_module: LightningModule) -> None:
        step = self._hidden_step or getattr(pl_module, "hidden_step", None)
        if step is not None:
            self._look_at_hidden(trainer, pl_module, step)
        self.sampler.set_epoch(self.sampler.epoch + 1)

    def _look_at_hidden(
        self, trainer: Trainer, pl_module: LightningModule, step: Callable[[object, int], object]
    ) -> None:
        """Show the step all hidden samples whose refresh is due; else nothing keeps a trace."""
        hidden = IndexSampler(self.sampler, hidden=True)
        if not len(hidden):
            return
        modes = [(module, module.training) for module in pl_module.modules()]
        pl_module.eval()
        try:
            with (
                torch.no_grad(),
                torch.random.fork_rng(devices=[]),
                trainer.precision_plugin.val_step_context(),
            ):
                for number, batch in enumerate(loaders.shard(trainer, self.sampler, hidden)):
                    step(trainer.strategy.batch_to_device(batch), number)
        finally:
            for module, training in modes:
                module.training = training

    # Checkpoints

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Put what the sampler saves into the checkpoint; Lightning calls this on all ranks."""
        with checkpoints.shared_folder(trainer) as folder:
            self.sampler.save(folder)
            if trainer.is_global_zero:  # which writes the checkpoint
                checkpoint[KEY] = checkpoints.packed(folder)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, object]
    ) -> None:
        """Load the sampler, and let Lightning go on in its epoch; for evaluation do nothing."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        state = checkpoint.get(KEY)
        if not isinstance(state, torch.Tensor):
            raise StateError(
                "the checkpoint holds no state of a sampler: it was saved without SamplerCallback"
            )
        with checkpoints.shared_folder(trainer) as folder:
            if trainer.is_global_zero:
                checkpoints.unpack(state, folder)
            trainer.strategy.barrier()
            self.sampler.load(folder)
        used_up = not len(self._order)
        checkpoints.begin_epoch(checkpoint, self.sampler.epoch + used_up)
        self._loaded = True
        if trainer.strategy.restore_checkpoint_after_setup:  # and after on_fit_start
            self._go_on(trainer, pl_module)
