"""The DALI iterators over a pack, with the native operator and without it."""

from __future__ import annotations

from typing import Any

from adapters.dali import PREFETCH, open_loader

__all__ = ["FILES", "PREFETCH", "VARIANTS", "open_loader"]

VARIANTS: dict[str, dict[str, Any]] = {
    "operator": {"operator": "on", "packed": True},
    "no operator": {"operator": "off", "packed": True},
}
FILES = False
