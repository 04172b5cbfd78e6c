"""What a command needs beyond numpy."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Mapping


def check_installed(
    parser: argparse.ArgumentParser, command: str, needs: Mapping[str, str], extra: str
) -> None:
    """End the command when something is missing, and say which extra brings it.

    `needs` has the package to install of every module.
    """
    missing = [package for name, package in needs.items() if not importlib.util.find_spec(name)]
    if missing:
        parser.error(
            f"{command} needs {', '.join(missing)}, not installed here: "
            f'pip install "dynsample[{extra}]"'
        )
