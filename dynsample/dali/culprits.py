"""Which samples an error of a pipeline is about, as not every decoder says so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from nvidia.dali import Pipeline, fn

from dynsample.files import SampleError, Samples


def find_culprits(samples: Samples, ids: NDArray[np.int64], error: str) -> list[str]:
    """Name the samples of `ids` that `error` names, else those that cannot be read or decoded."""
    paths = {int(i): samples.path(int(i)) for i in ids}
    named = [f"sample {i}, {path}" for i, path in paths.items() if path in error]
    if named:
        return named
    decoder = _Decoder()
    return [found for i in paths if (found := _problem(samples, i, decoder))]


def _problem(samples: Samples, i: int, decoder: _Decoder) -> str | None:
    try:
        encoded = samples.read(i)
    except SampleError as error:
        return str(error)
    return None if decoder.takes(encoded) else f"sample {i}, {samples.path(i)}: not a whole image"


class _Decoder:
    """Decodes one image at a time in a pipeline of its own, which an error ends."""

    def __init__(self) -> None:
        self._pipeline: Pipeline | None = None
        self._encoded: NDArray[np.uint8] = np.empty(0, np.uint8)

    def takes(self, encoded: NDArray[np.uint8]) -> bool:
        """Whether DALI's decoder takes these bytes."""
        self._encoded = encoded
        try:
            if self._pipeline is None:
                self._pipeline = self._build()
            self._pipeline.run()
        except RuntimeError:
            self._pipeline = None
            return False
        return True

    def _build(self) -> Pipeline:
        pipeline = Pipeline(1, 1, device_id=None, exec_pipelined=False, exec_async=False)
        with pipeline:
            encoded = fn.external_source(source=lambda: [self._encoded], batch=True)
            pipeline.set_outputs(fn.decoders.image(encoded))
        pipeline.build()
        return pipeline
