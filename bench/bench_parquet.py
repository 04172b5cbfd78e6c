"""Scores of a saved sampler to Parquet and back, a selection by DuckDB, and keys; needs duckdb.

What is shown is checked: that every value comes back to the bit, that what DuckDB selects is what a
sampler trains on, that keys whose hashes collide and states of other keys are refused. The peer of
the export holds the whole table and writes it with pyarrow; memory is that of a process of its own
for each side, less what its imports take.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
from common import Bench

import dynsample as ds
from dynsample.cli import main as command
from dynsample.cli.coreset import peak_bytes
from dynsample.kernels import keys as names
from dynsample.run import saved_table

BATCH, STEP = 1 << 16, 256
SCORES = ("loss", "correct", "confidence")


def trained(n: int, folder: Path) -> ds.Sampler:
    """Save a sampler whose whole second epoch waits in its log; return it with that folded."""
    sampler = ds.Sampler(n, ds.Kakurenbo(), BATCH)
    random = np.random.default_rng(0)
    for name in SCORES:
        values = random.random(n, np.float32)
        values[::1009] = (np.nan, np.inf)[name == "loss"]
        sampler.table.set_column(name, values)
    sampler.set_epoch(1)
    for index in sampler:
        loss = (index % 1013).astype(np.float32)
        sampler.observe(index, loss=loss, correct=loss > 9, confidence=np.sqrt(loss))
    sampler.save(folder)
    return sampler


def export(folder: Path, out: Path) -> None:
    with contextlib.redirect_stdout(None):
        assert command(["export", str(folder), "-o", str(out), "--force"]) == 0


def by_pyarrow(folder: Path, out: Path) -> None:
    saved = saved_table.read(folder, planned=True)
    pq.write_table(saved.table.to_arrow(plan=saved.plan), out)


SIDES: dict[str, Callable[[Path, Path], None]] = {"ours": export, "peer": by_pyarrow}


def peak(side: str, folder: Path, out: Path) -> int:
    """Return the bytes that a side adds to what a process with its imports has."""
    given = [sys.executable, __file__, "--peak", side, str(folder), str(out)]
    done = subprocess.run(given, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def measure_peak(side: str, folder: str, out: str) -> int:
    """Run one side once in this process."""
    before = peak_bytes()
    SIDES[side](Path(folder), Path(out))
    print(peak_bytes() - before)
    return 0


def check_values(sampler: ds.Sampler, out: Path) -> None:
    """Compare all columns of the file with what the run itself has when the epoch is over."""
    plan = sampler.plan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the hidden samples, which are not looked at here
        sampler.set_epoch(2)
    table, n = sampler.table, sampler.num_samples
    expected = {name: table[name].view(np.uint32) for name in SCORES}
    expected |= {"seen": table.seen, "known": table.known, "hidden": np.zeros(n, np.bool_)}
    expected["hidden"][plan.hidden] = True
    for name, values in expected.items():
        found = pq.read_table(out, columns=[name])[name].to_numpy()
        assert np.array_equal(found.view(np.uint32) if name in SCORES else found, values), name
    assert np.array_equal(pq.read_table(out, columns=["index"])["index"].to_numpy(), np.arange(n))
    print(f"{n} samples: every value comes back to the bit")


def check_selection(sampler: ds.Sampler, out: Path) -> None:
    """Train on what DuckDB selects."""
    query = f"select index from '{out}' where loss > 500 and not isnan(loss)"
    kept = duckdb.sql(query).fetchnumpy()["index"]
    table = sampler.table
    assert np.array_equal(np.sort(kept), np.flatnonzero(table["loss"] > 500))
    coreset = ds.Sampler(sampler.num_samples, ds.Kakurenbo(), BATCH, subset=kept)
    coreset.set_epoch(0)
    seen = np.concatenate([*coreset])
    assert np.array_equal(np.sort(seen), np.sort(kept))
    print(f"DuckDB selects {len(kept)} of them, and a sampler trains on these")


def refused(call: Callable[[], object], says: str) -> None:
    found = ""
    try:
        call()
    except ValueError as error:
        found = str(error)
    assert says in found, f"{says}: {found or 'not refused'}"


def check_keys(uids: list[str], folder: Path) -> ds.Keys:
    """Save and load with keys; keys that collide, and other data, are refused."""
    keys = ds.Keys(uids)
    made = {"batch_size": BATCH, "seed": 1}
    ds.Sampler(len(uids), ds.Kakurenbo(), **made, keys=keys).save(folder)
    ds.Sampler(len(uids), ds.Kakurenbo(), **made, keys=ds.Keys(uids)).load(folder)
    other = ds.Keys([*uids[:-1], "another"])
    refused(lambda: ds.Sampler(len(uids), ds.Kakurenbo(), **made, keys=other).load(folder), "keys:")
    true = names._hash
    names._hash = lambda name: true(uids[3].encode() if name == uids[-1].encode() else name)
    refused(lambda: ds.Keys(uids), f"the same of {uids[3]!r} at 3 and of {uids[-1]!r} at")
    names._hash = true
    print(f"{len(uids)} keys: a collision is refused, a state loads, one of other keys does not")
    return keys


def time_keys(bench: Bench, keys: ds.Keys, uids: list[str]) -> None:
    sampler = ds.Sampler(len(uids), ds.Kakurenbo(), STEP, keys=keys)
    index = [batch.copy() for batch in itertools.islice(sampler, 500)]
    batches = [(ids, [uids[i] for i in ids]) for ids in index]
    signals = dict.fromkeys(SCORES, np.ones(STEP, np.float32))
    row_of = {uid: row for row, uid in enumerate(uids)}
    calls = {
        "by ids": lambda: [sampler.observe(ids, **signals) for ids, _ in batches],
        "by a dict of the names, and ids": lambda: [
            sampler.observe(np.array([row_of[uid] for uid in given]), **signals)
            for _, given in batches
        ],
    }
    for peer, call in calls.items():
        bench.compare(
            f"observe by keys, B = {STEP}",
            lambda: [sampler.observe(keys=given, **signals) for _, given in batches],
            peer,
            call,
            unit="us",
            per=len(batches),
            setup=lambda: sampler.set_epoch(0, restart=True),
            below="it takes several times the memory, where it looks up at all",
        )
    bench.compare(
        "keys", lambda: ds.Keys(uids), "a dict", lambda: {uid: j for j, uid in enumerate(uids)}
    )


def main() -> int:
    if sys.argv[1:2] == ["--peak"]:
        return measure_peak(*sys.argv[2:5])
    bench = Bench("parquet", __doc__.splitlines()[0], 10_000_000)
    bench.parser.add_argument("--keys", type=int, default=10**6, help="names (%(default)s)")
    bench.parser.set_defaults(pairs=3)
    args = bench.parse()
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "state", Path(name) / "scores.parquet"
        sampler = trained(args.n, folder)
        bench.compare(
            "a saved sampler to Parquet",
            lambda: export(folder, out),
            "the whole table by pyarrow",
            lambda: by_pyarrow(folder, out.with_name("peer.parquet")),
        )
        export(folder, out)
        check_values(sampler, out)
        check_selection(sampler, out)
        held = sum(path.stat().st_size for path in folder.rglob("*"))
        peaks = {side: peak(side, folder, out.with_name("peak.parquet")) for side in SIDES}
        column = 4 * args.n
        bench.note(
            "peak memory of an export",
            f"{peaks['ours'] / 1e6:.0f} MB, {peaks['ours'] / column:.1f} columns of float32; the "
            f"state has {held / 1e6:.0f} MB; the peer {peaks['peer'] / 1e6:.0f} MB",
            peak_bytes=peaks["ours"],
            peer_peak_bytes=peaks["peer"],
            state_bytes=held,
        )
        uids = [f"images/train/{i % 1000:04d}/{i:09d}.jpeg" for i in range(args.keys)]
        time_keys(bench, check_keys(uids, Path(name) / "named"), uids)
    bench.finish()
    return 0


if __name__ == "__main__":
    sys.exit(main())
