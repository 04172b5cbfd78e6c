"""Which samples an error of a pipeline is about, as not every decoder says so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn

from dynsample.files import SampleError, Samples


def find_culprits(samples: Samples, ids: NDArray[np.int64], error: str) -> list[str]:
    """Name the samples of `ids` that `error` names, else those that cannot be read or decoded."""
    paths = {int(i): samples.path(int(i)) for i in ids}
    named = [f"sample {i}, {path}" for i, path in paths.items() if path in error]
    return named or [found for i in paths if (found := _problem(samples, i))]


def _problem(samples: Samples, i: int) -> str | None:
    try:
        encoded = samples.read(i)
    except SampleError as error:
        return str(error)
    return None if _decodes(encoded) else f"sample {i}, {samples.path(i)}: not a whole image"


def _decodes(encoded: NDArray[np.uint8]) -> bool:
    """Whether DALI's decoder takes these bytes; in a pipeline of its own, which an error ends."""

    def source() -> Any:
        return [encoded]

    pipeline = Pipeline(batch_size=1, num_threads=1, device_id=None, prefetch_queue_depth=1)
    with pipeline:
        pipeline.set_outputs(fn.decoders.image(fn.external_source(source=source, batch=True)))
    try:
        pipeline.build()
        pipeline.run()
    except RuntimeError:
        return False
    return True
