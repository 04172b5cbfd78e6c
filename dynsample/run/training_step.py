"""What a training step calls of a sampler: observe, and weights."""

from __future__ import annotations

from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels import A, Given, TensorT
from dynsample.kernels.keys import Names
from dynsample.run import life, step
from dynsample.run.attributes import RunAttributes


class TrainingStep(RunAttributes):
    """A sampler as its training step sees it."""

    def observe(
        self,
        index: Given | None = None,
        *,
        logits: Given | None = None,
        targets: Given | None = None,
        epoch: SupportsIndex | None = None,
        keys: Names | None = None,
        **signals: Given,
    ) -> None:
        """Report what the training step saw; only appends to the log.

        Parameters
        ----------
        index : int[B]
            Ids of the batch, as the loader gave them, of any integer dtype. Like all arguments of
            numpy, torch, or a library with DLPack, such as JAX, which is then waited for.
        logits, targets : [B, C] and int[B], optional
            The signals that the columns need are computed from these.
        epoch : int, optional
            The epoch whose plan issued the batch, with `late`: the current one or one before it
            that is still open. Without it each observation is of the oldest open plan that issued
            its id and has it unobserved.
        keys : B names, in place of `index`
            As in `Keys`. Ids are much faster: see the page "Scores in Parquet".
        **signals : float[B] or [B, 1]
            `loss`, `correct`, `confidence`, ... by name. Known ones that no column
            needs are ignored.

        Raises
        ------
        ValueError, TypeError, IndexError
            For what is missing, misshapen, or not of this epoch; nothing is then appended.

        Examples
        --------
        >>> import dynsample as ds
        >>> sampler = ds.Sampler(8, ds.Uniform(), issue="external", late=1)
        >>> order = sampler.plan.order
        >>> sampler.set_epoch(1)  # the plan of epoch 0 stays open for what is on its way
        >>> sampler.observe(order[:6], epoch=0)
        >>> len(sampler.outstanding)
        2
        """
        if keys is not None or index is None:
            index = step.ids_of(self._run, index, keys)
        step.observe(self._run, index, logits, targets, signals, epoch)

    @overload
    def weights(self, index: TensorT, epoch: SupportsIndex | None = ...) -> TensorT: ...

    @overload
    def weights(
        self,
        index: Given | None = ...,
        epoch: SupportsIndex | None = ...,
        *,
        keys: Names | None = ...,
    ) -> NDArray[np.float32]: ...

    def weights(  # type: ignore[misc]
        self,
        index: A | None = None,
        epoch: SupportsIndex | None = None,
        *,
        keys: Names | None = None,
    ) -> A:
        """Loss weights of a batch: float32[B]; a tensor on the device of `index`, or numpy.

        A padded row, which a rank gets when fewer rows than ranks are left, has weight 0.

        Parameters
        ----------
        index : int[B]
            Ids that this epoch issued; any array that `observe` takes.
        epoch : int, optional
            The epoch whose plan issued the batch, with `late`. Without it the weights are those of
            the current plan and, for ids that it does not issue, of the newest open one that waits
            for them, or else that issued them: pass it where a batch may be late.
        keys : B names, in place of `index`

        Raises
        ------
        ValueError, TypeError, IndexError
            As `observe`, for ids that are not of this epoch.
        """
        ids = step.ids_of(self._run, index, keys)
        given: Any = step.weights(self._run, life.planned(self._run), ids, epoch)
        values: A = given  # of the kind that the index is
        return values
