"""One pipeline with DALI's own iterator around it, through which passes go one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import torch
from nvidia.dali import Pipeline, types

from dynsample.dali.culprits import find_culprits
from dynsample.dali.feed import Feed
from dynsample.files import SampleError
from dynsample.loading import Loops

Batch = list[dict[str, torch.Tensor]]


class Stream:
    """Runs passes over a sampler through one pipeline.

    Parameters
    ----------
    iterator : DALIGenericIterator of DALI
        Around one pipeline, with size=-1 and nothing prefetched.
    feed : Feed
        Source of the pipeline.
    index_name : str
        Name of the index among the iterator's outputs.
    """

    def __init__(self, iterator: Any, feed: Feed, index_name: str) -> None:
        self.iterator, self.pipeline = iterator, iterator._pipes[0]
        self._feed, self._index_name = feed, index_name
        self._loops = Loops("the same pipeline, or give the iterator a hidden_pipeline")
        self._busy = False  # the pipeline was given batches

    @property
    def has_checkpoints(self) -> bool:
        """Whether the randomness of the pipeline can be saved."""
        return getattr(self.pipeline, "_enable_checkpointing", False)

    def batches(self, source: Any) -> Generator[Batch, None, None]:
        """Iterate what a sampler or one of its views gives, counting what the user receives."""
        return self._loops.run(source, self._begin)

    def _begin(self, source: Any) -> Any:
        ids = source.batches(prefetching=True)
        self.stop()
        self.pipeline.reset()
        self.iterator._ever_scheduled = False  # DALI then fills its queue anew
        self._feed.open(ids)
        self._busy = True
        return ids, self._batches(self._feed.sampler.epoch), self.stop

    def _batches(self, epoch: int) -> Iterator[Batch]:
        while (batch := self._next(epoch)) is not None:
            yield batch

    def _next(self, epoch: int) -> Batch | None:
        try:
            batch: Batch = next(self.iterator)
        except StopIteration:
            self._busy = False
            if self._feed.error is not None:
                raise self._feed.error from None
            return None
        except Exception as error:
            message = self._explain(error, epoch)
            self.rebuild()
            raise SampleError(message) from error
        self._attach_index(batch[0])
        return batch

    def _attach_index(self, batch: dict[str, torch.Tensor]) -> None:
        index, fed = batch[self._index_name], self._feed.in_flight.popleft()
        flat = index.reshape(-1)
        if index.is_cuda or not np.array_equal(flat.numpy(), fed):
            raise RuntimeError(
                f"output {self._index_name!r} of the pipeline is not the index of its reader: "
                "return it from the pipeline last, on the CPU and unchanged"
            )
        batch[self._index_name] = flat
        if self.pipeline.device_id is not None:
            device = torch.device("cuda", self.pipeline.device_id)
            batch[f"{self._index_name}_gpu"] = flat.to(device, non_blocking=True)

    def _explain(self, error: Exception, epoch: int) -> str:
        """Name the files that an error of the pipeline is about."""
        ids = self._feed.read_ids()
        found = find_culprits(self._feed.samples, ids, str(error))
        where = "; ".join(found) or f"{len(ids)} samples, of which each can be read on its own"
        return f"the pipeline failed in epoch {epoch} on {where}: {error}"

    def stop(self) -> None:
        """Leave the pass: let the pipeline finish what it was given, and throw that away."""
        if not self._busy:
            return
        self._busy = False
        self._feed.close()
        if not self.pipeline._pipe:
            return  # DALI has shut it down already
        try:
            drain(self.pipeline)
        except RuntimeError:  # it will come again when the sample is asked for
            self.rebuild()

    def rebuild(self, checkpoint: bytes | None = None) -> None:
        """Build the pipeline again from its graph: after an error DALI's own is unusable."""
        self._busy = False
        self._feed.close()
        self._feed.in_flight.clear()
        rebuild(self.pipeline, checkpoint)
        self.iterator._ever_scheduled = False


def drain(pipeline: Pipeline) -> None:
    """Take what a pipeline was given, until it has noticed the end of its source."""
    with pipeline._check_api_type_scope(types.PipelineAPIType.ITERATOR):
        while True:
            try:
                pipeline.share_outputs()
            except StopIteration:
                return
            pipeline.release_outputs()
            pipeline.schedule_run()


def rebuild(pipeline: Pipeline, checkpoint: bytes | None) -> None:
    """Give `pipeline` a new executor for the same graph.

    DALI has no public way to do this. These attributes are what its `build` and its scheduling
    look at, the same from 1.26 to 2.4; a test of every supported version holds them to it.
    """
    pipeline._pipe = None
    pipeline._built = pipeline._backend_prepared = False
    pipeline._first_iter, pipeline._last_iter = True, False
    pipeline._batches_to_consume = pipeline._gpu_batches_to_consume = 0
    pipeline._consumer_iter = 0
    pipeline._checkpoint = checkpoint
    pipeline.build()
