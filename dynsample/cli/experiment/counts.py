"""Numbers of command lines."""

from __future__ import annotations

import argparse
import contextlib


def count(text: str) -> int:
    """Read a whole number of at least 1."""
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text}")
