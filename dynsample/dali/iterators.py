"""DALI's PyTorch iterators, in the order of a sampler and with the index of every sample."""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping
from typing import Any

import nvidia.dali
from nvidia.dali.plugin import pytorch as stock
from nvidia.dali.plugin.base_iterator import LastBatchPolicy

from dynsample.dali.feed import Feed, feed_of
from dynsample.dali.stream import Batch, Stream
from dynsample.loading import Following
from dynsample.run.views import HiddenView
from dynsample.sampler import Sampler

_UNUSED = {"auto_reset", "dynamic_shape"}  # nothing is reset before the next epoch is planned
_REFUSED = {
    "size": "the sampler decides how long an epoch is",
    "fill_last_batch": "Sampler(drop_last=) decides how an epoch ends",
    "last_batch_padded": "Sampler(drop_last=) decides how an epoch ends",
}


class _Following(Following):
    """What our iterators add to those of DALI."""

    def _follow(
        self,
        pipelines: Any,
        output_map: list[str],
        sampler: Sampler,
        index_name: str,
        hidden_pipeline: Any,
        options: dict[str, Any],
    ) -> None:
        if not isinstance(sampler, Sampler):
            kind = type(sampler).__name__
            raise TypeError(f"sampler must be a dynsample.Sampler, got {kind}")
        pipeline = _only(pipelines)
        _check_options(options, sampler)
        feed = feed_of(pipeline, "pipelines")
        name = options.get("reader_name")
        if name is not None and name != feed.name:
            raise ValueError(f"reader_name is {name!r}, the reader's name is {feed.name!r}")
        if feed.sampler is not sampler:
            raise ValueError("sampler must be the one that the pipeline's reader was given")
        if pipeline.max_batch_size != sampler.batch_size:
            raise ValueError(
                f"the pipeline has batch_size {pipeline.max_batch_size}, the sampler "
                f"{sampler.batch_size}: they must agree"
            )
        for pipe in (pipeline, hidden_pipeline):
            _check_queues(pipe)
        if index_name not in output_map:
            output_map = [*output_map, index_name]
        self.sampler = sampler
        self._reusable = options.get("auto_reset") in (True, "yes")
        self._current: Generator[Batch, None, None] | None = None
        self._used_up = False
        # Of ourselves only what others read off an iterator is used; a stream has one of its own,
        # so that no pass holds us, and a loader that is dropped is gone.
        stock.DALIGenericIterator.__init__(self, pipeline, output_map, prepare_first_batch=False)
        _check_outputs(pipeline, output_map)
        self._kept = self._hidden = _stream(pipeline, output_map, feed, index_name)
        self._streams = {"kept": self._kept}
        if hidden_pipeline is not None:
            hidden_feed = feed_of(hidden_pipeline, "hidden_pipeline")
            if hidden_feed.sampler is not sampler:
                raise ValueError("sampler must be the one that the hidden_pipeline's reader has")
            self._hidden = _stream(hidden_pipeline, output_map, hidden_feed, index_name)
            self._streams["hidden"] = self._hidden

    def __iter__(self) -> Any:
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

    def _loop(self, source: Any) -> Generator[Batch, None, None]:
        """Iterate through the pipeline; the hidden samples through theirs, if there is one.

        Without one, a pass over the kept samples that is not finished is left at its cursor.
        """
        return (self._hidden if isinstance(source, HiddenView) else self._kept).batches(source)

    def reset(self) -> None:
        """Do nothing, as the next epoch begins when the sampler has planned it.

        For scripts that call this after every epoch.
        """
        if self._used_up:
            self._current = None

    def __len__(self) -> int:
        """Batches of the epoch."""
        return len(self.sampler)

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


def _check_options(options: dict[str, Any], sampler: Sampler) -> None:
    for name, value in options.items():
        if name in _REFUSED:
            raise TypeError(f"delete {name}={value!r} from the iterator: {_REFUSED[name]}")
        if name == "last_batch_policy":
            allowed = LastBatchPolicy.DROP if sampler.drop_last else LastBatchPolicy.PARTIAL
            if value is not allowed:
                raise ValueError(
                    f"last_batch_policy must be {allowed} as the sampler has "
                    f"drop_last={sampler.drop_last}, got {value}"
                )
        elif name == "prepare_first_batch":
            if value:
                raise ValueError(
                    "delete prepare_first_batch=True from the iterator: a batch cannot be "
                    "prepared before its epoch is planned"
                )
        elif name not in {*_UNUSED, "reader_name"}:
            raise TypeError(f"the iterator got an unexpected argument {name}={value!r}")


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
    **options
        Those of DALI's iterator. `reader_name` is compared; `auto_reset` only says whether `next`
        goes on after the end of an epoch; what the sampler decides is refused.
    """

    def __init__(
        self,
        pipelines: Any,
        output_map: list[str],
        *,
        sampler: Sampler,
        index_name: str = "index",
        hidden_pipeline: Any = None,
        **options: Any,
    ) -> None:
        self._follow(pipelines, list(output_map), sampler, index_name, hidden_pipeline, options)


class DALIClassificationIterator(_Following, stock.DALIClassificationIterator):
    """`DALIGenericIterator` with the outputs "data", "label" and the index."""

    def __init__(
        self,
        pipelines: Any,
        *,
        sampler: Sampler,
        index_name: str = "index",
        hidden_pipeline: Any = None,
        **options: Any,
    ) -> None:
        names = ["data", "label"]
        self._follow(pipelines, names, sampler, index_name, hidden_pipeline, options)
