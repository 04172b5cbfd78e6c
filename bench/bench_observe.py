"""What does one step's observation cost, against scatters of three signals by torch and numpy?"""

from __future__ import annotations

import numpy as np
import torch
from common import Bench

from dynsample.columns import Last
from dynsample.log import ObservationLog, fold

NAMES = ("loss", "correct", "confidence")
BATCH = 256
STEPS = 400


def main() -> None:
    bench = Bench("observe", __doc__)
    n = bench.parse().n
    rng = np.random.default_rng(0)
    torch.set_num_threads(1)
    index = [rng.choice(n, BATCH, replace=False) for _ in range(STEPS)]
    signals = [{name: rng.random(BATCH, np.float32) for name in NAMES} for _ in range(STEPS)]
    arrays = list(zip(index, signals, strict=True))
    tensors = [
        (torch.from_numpy(i), {name: torch.from_numpy(v) for name, v in s.items()})
        for i, s in arrays
    ]
    torch_tables = {name: torch.zeros(n) for name in NAMES}
    numpy_tables = {name: np.zeros(n, np.float32) for name in NAMES}
    columns = {name: Last() for name in NAMES}
    parts = {name: column.allocate(n) for name, column in columns.items()}
    seen = np.zeros(n, np.bool_)
    log = ObservationLog(n, NAMES)
    log.reserve(STEPS * BATCH)

    def torch_scatters() -> None:
        for ids, values in tensors:
            for name in NAMES:
                torch_tables[name].index_put_((ids,), values[name])

    def numpy_scatters() -> None:
        for ids, values in arrays:
            for name in NAMES:
                numpy_tables[name][ids] = values[name]

    def append(batches):
        for ids, values in batches:
            log.append(ids, values)

    def append_and_fold(batches):
        append(batches)
        fold(log, columns, parts, seen, epoch=0)

    peers = {"3 torch index_put_": torch_scatters, "3 numpy t[i] = v": numpy_scatters}
    for kind, batches in {"torch": tensors, "numpy": arrays}.items():
        for what, call in {"append": append, "append + fold": append_and_fold}.items():
            for peer, scatters in peers.items():
                bench.compare(
                    f"{what}, {kind}, B = {BATCH}",
                    lambda call=call, batches=batches: call(batches),
                    peer,
                    scatters,
                    unit="us",
                    per=STEPS,
                    setup=log.clear,
                )
    for name in NAMES:
        np.testing.assert_array_equal(
            np.where(seen, parts[name]["value"], 0), torch_tables[name].numpy()
        )
    bench.finish()


if __name__ == "__main__":
    main()
