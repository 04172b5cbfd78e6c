"""A report as events for TensorBoard."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

from dynsample.report.cost import costs
from dynsample.report.histogram import QUANTILES, Histogram
from dynsample.report.reader import read
from dynsample.report.record import Record


def to_tensorboard(folder: str | os.PathLike[str], logdir: str | os.PathLike[str]) -> int:
    """Write the figures and histograms of a report as one file of events; steps are epochs.

    Needs the package tensorboard, and neither torch nor TensorFlow.

    Returns
    -------
    int
        Number of epochs.

    Raises
    ------
    ReportError
        When `folder` holds no report.
    ImportError
        Without tensorboard.
    """
    run = read(folder)
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ImportError(
            f"to_tensorboard needs tensorboard ({error}): pip install tensorboard"
        ) from error
    balance = {cost.epoch: cost for cost in costs(run)}
    writer = EventFileWriter(os.fspath(logdir))
    try:
        for record in run.epochs:
            epoch = record["epoch"]
            scalars = scalars_of(record) | {"seconds/spent": balance[epoch].spent}
            if (saved := balance[epoch].saved) is not None:
                scalars["seconds/saved"] = saved
            values = [Summary.Value(tag=tag, simple_value=x) for tag, x in scalars.items()]
            values += [
                Summary.Value(tag=f"scores/{name}", histo=_histogram(column))
                for name, column in record["columns"].items()
                if column["quantiles"]
            ]
            writer.add_event(Event(step=epoch, summary=Summary(value=values)))
    finally:
        writer.close()
    return len(run.epochs)


def scalars_of(record: Record) -> dict[str, float]:
    """Figures of one epoch by tag."""
    stats = {n: value for n, value in record["stats"].items() if isinstance(value, (int, float))}
    scalars = {f"sampler/{name}": value for name, value in stats.items() if name != "epoch"}
    if record["came_back"]:
        scalars["sampler/came_back"] = record["came_back"]["count"]
    for name, column in record["columns"].items():
        for share, value in zip(QUANTILES, column["quantiles"] or (), strict=False):
            scalars[f"quantiles_{name}/{round(100 * share):02d}"] = value
    return scalars


def _histogram(column: Histogram) -> Any:
    from tensorboard.compat.proto.summary_pb2 import HistogramProto

    edges, counts = column["edges"], column["counts"]
    filled = [place for place, count in enumerate(counts) if count]
    first, last = filled[0], filled[-1]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    total = sum(count * middle for count, middle in zip(counts, middles, strict=True))
    squares = sum(count * middle**2 for count, middle in zip(counts, middles, strict=True))
    return HistogramProto(
        min=column["min"], max=column["max"], num=sum(counts), sum=total, sum_squares=squares,
        bucket_limit=edges[first + 1 : last + 2], bucket=counts[first : last + 1],
    )  # fmt: skip
