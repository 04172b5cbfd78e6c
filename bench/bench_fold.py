"""The fold of a whole epoch's log, beside numpy scatters of the same log."""

from __future__ import annotations

import numpy as np
from common import Bench

from dynsample import _core
from dynsample.table.columns import Last
from dynsample.table.log import ObservationLog, fold

NAMES = ("loss", "correct", "confidence")


def main() -> None:
    bench = Bench("fold", __doc__)
    n = bench.parse().n
    rng = np.random.default_rng(0)
    order = rng.permutation(n)
    values = {name: rng.random(n, np.float32) for name in NAMES}
    log = ObservationLog(n, NAMES)
    issued = order.astype(np.uint32)

    def refill() -> None:  # a fold drops what it applies
        log.restore(issued, values)

    columns = {name: Last() for name in NAMES}
    parts = {name: column.allocate(n) for name, column in columns.items()}
    seen = np.zeros(n, np.bool_)
    tables = {name: np.full(n, np.nan, np.float32) for name in NAMES}

    def scatters() -> None:
        for name in NAMES:
            tables[name][order] = values[name]

    bench.compare(
        "one epoch, three columns",
        lambda: fold(log, columns, parts, seen, epoch=0),
        "three numpy scatters",
        scatters,
        setup=refill,
    )
    for name in NAMES:
        np.testing.assert_array_equal(parts[name]["value"], tables[name])

    def checked() -> None:
        assert _core.all_issued(issued, log.native, 0, unique=True)
        fold(log, columns, parts, seen, epoch=0)

    bench.compare(
        "the same, compared with what was issued",
        checked,
        "three numpy scatters",
        scatters,
        setup=refill,
    )
    tickets = rng.permutation(n)
    bench.compare(
        "the same with shuffled tickets",
        lambda: fold(log, columns, parts, seen, epoch=0, tickets=tickets),
        "three numpy scatters",
        scatters,
        setup=refill,
    )
    bench.finish()


if __name__ == "__main__":
    main()
