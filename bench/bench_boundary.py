"""From the last batch of an epoch to the first of the next, everything observed and folded.

On pipelines that give index and label without decoding, so that what is timed is the boundary.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

from common import Bench
from loaders import LOADERS


def main() -> int:
    bench = Bench("boundary", __doc__.splitlines()[0])
    args = bench.parse()
    for name in LOADERS:
        try:
            module = importlib.import_module(f"loaders.{name}")
        except ImportError as error:
            print(f"{name} is left out: {error}")
            continue
        if not hasattr(module, "boundary"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            case = module.boundary(Path(folder), args.n)
            bench.compare(case.name, case.ours, case.peer_name, case.peer, setup=case.prepare)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
