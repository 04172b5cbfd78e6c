"""DALI's PyTorch iterators, in the order of a sampler and with the index of every sample."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import nvidia.dali
from nvidia.dali.plugin import pytorch as stock

from dynsample.dali import options
from dynsample.dali.feed import Feed, feed_of
from dynsample.dali.stream import Batch, Stream
from dynsample.loading import Following, checked_sampler
from dynsample.run.views import HiddenView, PassIterator
from dynsample.sampler import Sampler

if TYPE_CHECKING:
    from typing_extensions import Self


class _OfEpoch:
    """A number that goes with the epoch, beside one that an instance can have under its name."""

    def __init__(self, count: Callable[[_Following], int]) -> None:
        self._count = count
        self.__doc__ = count.__doc__

    def __get__(self, iterator: _Following | None, owner: type) -> _OfEpoch | int:
        return self if iterator is None else self._count(iterator)


class _Following(Following):
    """What our iterators add to those of DALI."""

    def _follow(
        self,
        pipelines: Any,
        output_map: list[str],
        sampler: Sampler,
        index_name: str,
        hidden_pipeline: Any,
        given: options.Given,
    ) -> None:
        checked_sampler(sampler)
        pipeline = _only(pipelines)
        feed = feed_of(pipeline, "pipelines")
        if feed.sampler is not sampler:
            raise ValueError("sampler must be the one that the pipeline's reader was given")
        if pipeline.max_batch_size != sampler.batch_size:
            raise ValueError(
                f"the pipeline has batch_size {pipeline.max_batch_size}, the sampler "
                f"{sampler.batch_size}: they must agree"
            )
        for pipe in (pipeline, hidden_pipeline):
            _check_queues(pipe)
        self._reusable = options.check(given, sampler, feed.name)
        if index_name not in output_map:
            output_map = [*output_map, index_name]
        self.sampler = sampler
        self._current: PassIterator[Batch] | None = None
        self._used_up = False
        # Of ourselves only what others read off an iterator is used; a stream has one of its own,
        # so that no pass holds us, and a loader that is dropped is gone.
        stock.DALIGenericIterator.__init__(self, pipeline, output_map, prepare_first_batch=False)
        del self._size  # with it gone, the class has that of the epoch
        _check_outputs(pipeline, output_map)
        self._kept = self._hidden = _stream(pipeline, output_map, feed, index_name)
        self._streams = {"kept": self._kept}
        if hidden_pipeline is not None:
            hidden_feed = feed_of(hidden_pipeline, "hidden_pipeline")
            if hidden_feed.sampler is not sampler:
                raise ValueError("sampler must be the one that the hidden_pipeline's reader has")
            self._hidden = _stream(hidden_pipeline, output_map, hidden_feed, index_name)
            self._streams["hidden"] = self._hidden

    def __iter__(self) -> Self:
        """Go on at the sampler's cursor; plans the next epoch when this one is used up."""
        if self._current is not None:
            self._current.close()
        self._current, self._used_up = self._loop(self.sampler), False
        return self

    def __next__(self) -> Batch:
        if self._current is None:
            iter(self)
        assert self._current is not None
        try:
            return next(self._current)
        except StopIteration:
            self._used_up = True
            if self._reusable:
                self._current = None
            raise
        except BaseException:
            self._current = None  # the next call goes on at the cursor
            raise

    next = __next__

    def _followed(self, what: str) -> Sampler:
        return self.sampler

    @property
    def _most(self) -> int:  # type: ignore[override]
        return int(self._hidden.pipeline.max_batch_size)

    def _loop(self, source: Any) -> PassIterator[Batch]:
        """Iterate through the pipeline; the hidden samples through theirs, if there is one.

        Without one, a pass over the kept samples that is not finished is left at its cursor.
        """
        stream = self._hidden if isinstance(source, HiddenView) else self._kept
        return PassIterator(stream.batches(source), source)

    def reset(self) -> None:
        """Do nothing, as the next epoch begins when the sampler has planned it.

        For scripts that call this after every epoch.
        """
        if self._used_up:
            self._current = None

    def __len__(self) -> int:
        """Batches of the epoch."""
        return len(self.sampler)

    @_OfEpoch
    def _size(self) -> int:
        """Rows of all batches of the epoch, full ones: what scripts divide by the batch size."""
        return len(self) * self.sampler.batch_size

    @property
    def _size_no_pad(self) -> int:
        """Samples of the epoch, over all ranks."""
        return self.sampler.plan.num_positions

    def checkpoints(self) -> Any:
        """Return DALI's checkpoints of the pipeline; `state_dict` has them with the position."""
        return self._kept.iterator.checkpoints()

    def state_dict(self) -> dict[str, Any]:
        """Position of the sampler, and the randomness of pipelines that have checkpoints.

        These are pipelines made with `enable_checkpointing=True`. The state is JSON-able.
        """
        return {
            "sampler": self.sampler.state_dict(),
            "dali": {
                name: base64.b64encode(stream.pipeline.checkpoint()).decode()
                for name, stream in self._streams.items()
                if stream.has_checkpoints
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where `state_dict` was; the sampler's table must be that of then."""
        for name in state["dali"]:
            if name not in self._streams or not self._streams[name].has_checkpoints:
                raise ValueError(
                    "the state holds the randomness of a pipeline: make the pipeline with "
                    "enable_checkpointing=True"
                )
        self._current = None
        for stream in self._streams.values():
            stream.stop()
        self.sampler.load_state_dict(state["sampler"])
        for name, checkpoint in state["dali"].items():
            self._streams[name].rebuild(base64.b64decode(checkpoint))


def _stream(pipeline: Any, output_map: list[str], feed: Feed, index_name: str) -> Stream:
    plain = stock.DALIGenericIterator(pipeline, output_map, prepare_first_batch=False)
    return Stream(plain, feed, index_name)


def _only(pipelines: Any) -> Any:
    listed = pipelines if isinstance(pipelines, (list, tuple)) else [pipelines]
    if len(listed) != 1:
        raise ValueError(
            f"pipelines must be one pipeline, got {len(listed)}: each rank has its own iterator"
        )
    return listed[0]


def _check_queues(pipeline: Any) -> None:
    # Such a DALI prefetches for the second queue what it never runs when the source ends.
    if hasattr(pipeline, "_prefetch_inputs") and pipeline.exec_separated:
        raise ValueError(
            f"prefetch_queue_depth must be an integer, as with separate queues DALI "
            f"{nvidia.dali.__version__} waits for ever at the end of an epoch"
        )


def _check_outputs(pipeline: Any, output_map: list[str]) -> None:
    found = len(pipeline._names_and_devices)
    if found != len(output_map):
        raise ValueError(
            f"the pipeline returns {found} outputs, and {len(output_map)} are expected: "
            f"{', '.join(output_map)}; return the index of the reader last"
        )


class DALIGenericIterator(_Following, stock.DALIGenericIterator):
    """DALI's generic iterator in the order of a sampler, with the index of every sample.

    Every batch is a list of one dict, as DALI has it, with `index_name`: int64[B] on the CPU, and
    on pipelines with a device `index_name` + "_gpu" on that.

    Parameters
    ----------
    pipelines : Pipeline
        With a reader of `dynsample.dali.readers`, whose index it returns last.
    output_map : list of str
        Names of the outputs; the index may be left out.
    sampler : Sampler
        The one that the reader has. Its batch size must be that of the pipeline.
    index_name : str
    hidden_pipeline : Pipeline, optional
        For `hidden()`, when it is to be interleaved with the kept samples, or to differ from them;
        its batch size is its own. By default the same pipeline serves after the epoch.
    *given, **named
        Those of DALI's iterator, in its order. Each is accepted where it means what the sampler has
        decided, as do the defaults: `size` a rank's share of the data set or of the epoch,
        `last_batch_policy` PARTIAL, or DROP with `drop_last`; FILL only where it has no effect in
        DALI either. `auto_reset` says whether `next` goes on after the end of an epoch. No batch is
        prepared before its epoch is planned, whatever `prepare_first_batch` is.
    """

    def __init__(
        self,
        pipelines: Any,
        output_map: list[str],
        *given: Any,
        sampler: Sampler,
        index_name: str = "index",
        hidden_pipeline: Any = None,
        **named: Any,
    ) -> None:
        theirs = options.bound(stock.DALIGenericIterator, (pipelines, output_map, *given), named)
        self._follow(pipelines, list(output_map), sampler, index_name, hidden_pipeline, theirs)


class DALIClassificationIterator(_Following, stock.DALIClassificationIterator):
    """`DALIGenericIterator` with the outputs "data", "label" and the index."""

    def __init__(
        self,
        pipelines: Any,
        *given: Any,
        sampler: Sampler,
        index_name: str = "index",
        hidden_pipeline: Any = None,
        **named: Any,
    ) -> None:
        theirs = options.bound(stock.DALIClassificationIterator, (pipelines, *given), named)
        names = ["data", "label"]
        self._follow(pipelines, names, sampler, index_name, hidden_pipeline, theirs)
