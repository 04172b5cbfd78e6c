"""A batch of payloads from a warm store and from a cold one, beside numpy over the same file.

Cold: the file's pages are dropped before every call, of both. The cold peers read the logits alone,
ours also says what the teacher looked at.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import Bench, keep_memory

from dynsample.payload import Facts, Store, Views, Writer
from dynsample.reference.gather import gather_rows

BATCH, CLASSES = 1024, 1000
WRITTEN_AT_ONCE = 10_000
WARM_PAIRS = 40  # for each of a cold case


def write(folder: Path, facts: Facts) -> Store:
    """Write a store of one epoch: random logits, and what else the facts ask for."""
    n, views, random = facts.num_samples, Views(facts), np.random.default_rng(0)
    with Writer(folder, facts).epoch(0) as rows:
        for start in range(0, n, WRITTEN_AT_ONCE):
            ids = np.arange(start, min(start + WRITTEN_AT_ONCE, n))
            logits = random.standard_normal((len(ids), CLASSES), dtype=np.float32)
            rows.add(ids, logits, **views.batch(0, ids))
    return Store(folder)


class Mapped:
    """The columns of a store in numpy's own map, and how both are made cold."""

    def __init__(self, store: Store) -> None:
        self.store, self.file = store, store.path / "epoch-00000.safetensors"
        columns = store.columns(0)
        size, self._place = self.file.stat().st_size, {}
        for name in reversed(columns):  # they end with the file
            size -= columns[name].nbytes
            self._place[name] = size, columns[name].dtype, columns[name].shape
        self.open()

    def open(self) -> None:
        """Map anew: pages that are mapped cannot be dropped."""
        self.columns = {
            name: np.memmap(self.file, dtype, "r", start, shape)
            for name, (start, dtype, shape) in self._place.items()
        }
        self.logits = self.columns["logits"]

    def drop(self) -> None:
        """Forget every page of the file."""
        del self.columns, self.logits
        self.store._open.clear()
        descriptor = os.open(self.file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        self.open()


def warm(bench: Bench, store: Store, mapped: Mapped, batches: np.ndarray) -> None:
    """Compare batches of an epoch: logits, logits and views, and these with the logits alone.

    One batch a call, each side on its own way around the epoch: of two busy cores either may lose
    some calls, and the median does not notice.
    """
    viewed = len(store.facts.view_columns()) > 0
    case = "warm, logits and views" if viewed else "warm, logits"
    mine, theirs = (
        itertools.cycle(batches),
        itertools.cycle(np.roll(batches, 1 + len(batches) // 2, 0)),
    )
    for batch in batches:  # every page is in the maps of both
        store.batch(0, batch)
        np.take(mapped.logits, batch, 0)

    def ours() -> object:
        return store.batch(0, next(mine))

    def take_all() -> object:
        batch = next(theirs)
        return [np.take(column, batch, 0) for column in mapped.columns.values()]

    def take_logits() -> object:
        return np.take(mapped.logits, next(theirs), 0)

    pairs = bench.args.pairs * WARM_PAIRS
    if viewed:
        bench.compare(case, ours, "numpy.take of all columns", take_all, pairs=pairs)
    bench.compare(case, ours, "numpy.take of the logits", take_logits, pairs=pairs,
                  below="it copies one column, and checks no id")  # fmt: skip


def cold(bench: Bench, store: Store, mapped: Mapped, index: np.ndarray) -> None:
    """Compare single batches that nobody read before."""

    def ours() -> None:
        store.batch(0, index)

    def unasked() -> None:
        gather_rows(list(store.columns(0).values()), index)

    case = "cold, logits and views"
    bench.compare(case, ours, "plain mmap", lambda: mapped.logits[index], setup=mapped.drop)
    bench.compare(case, ours, "same map, no read-ahead", unasked, setup=mapped.drop)


def main() -> int:
    bench = Bench("payload", __doc__.splitlines()[0], default_n=100_000)
    n = bench.parse().n
    keep_memory()
    random = np.random.default_rng(1)
    batches = random.permutation(n)[: max(n // BATCH, 1) * BATCH].reshape(-1, min(n, BATCH))
    facts = {
        "bare": Facts(n, CLASSES, crops=False),
        "viewed": Facts(n, CLASSES, mix="cutmix", size=(224, 224)),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in facts.items():
            store = write(Path(folder, name), kind)
            mapped = Mapped(store)
            expected = gather_rows(list(mapped.columns.values()), batches[0])
            for column, values in zip(mapped.columns, expected, strict=True):
                np.testing.assert_array_equal(store.batch(0, batches[0])[column], values)
            print(f"equal to the reference: {batches.shape[1]} x {CLASSES} float16 of {n}")
            warm(bench, store, mapped, batches)
        cold(bench, store, mapped, batches[0])
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
