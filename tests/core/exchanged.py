"""An array of a library that is neither numpy nor torch."""

from __future__ import annotations

from typing import Any


class Exchanged:
    """An array that has DLPack and nothing else."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack__(self, **arguments: Any) -> Any:
        return self._array.__dlpack__(**arguments)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()
