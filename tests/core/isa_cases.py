"""What must have the same bits on every instruction set and number of threads.

To add a kernel, decorate a function that returns its results on fixed inputs, as arrays or numbers:

    @case
    def my_kernel():
        return [ops.my_kernel(SCORES), ...]

Run as a script, this prints one digest per case; test_isa.py compares them over processes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable

import numpy as np

import dynsample as ds
from dynsample import _core, groups, ops
from dynsample.priority import PriorityTree
from dynsample.reference.fold import of_every_kind
from dynsample.table.columns import Last
from dynsample.table.log import ObservationLog
from dynsample.table.table import ScoreTable

CASES: dict[str, Callable[[], Iterable[object]]] = {}
N = 600_007  # more than two chunks of rows, and not a multiple of any vector


def case(function: Callable[[], Iterable[object]]) -> Callable[[], Iterable[object]]:
    CASES[function.__name__] = function
    return function


def _inputs() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    normal = random.standard_normal(N).astype(np.float32)
    odd = normal.copy()
    odd[random.integers(0, N, 999)] = np.array([np.nan, np.inf, -np.inf] * 333, np.float32)
    return {
        "normal": normal,
        "odd": odd,
        "tied": np.where(random.random(N) < 0.05, np.float32(-0.5), normal),
        "levels": random.integers(0, 4, N).astype(np.float32),
        "any bits": random.integers(0, 2**32, N, dtype=np.uint32).view(np.float32),
        "short": normal[:1001],
    }


INPUTS = _inputs()
RATES = np.where(np.arange(N) % 2, INPUTS["any bits"], np.abs(INPUTS["odd"]) % 1)
MASK = np.random.default_rng(8).random(N) < 0.3


@case
def philox():
    return [_core.philox(5, 2**32 - 3, 1001, 2, 3)]


@case
def hide_lowest():
    for scores in INPUTS.values():
        eligible = ~MASK[: len(scores)]
        for k in (1, int(0.3 * len(scores)), len(scores) - 1):
            yield ops.hide_lowest(scores, k)
            yield ops.hide_lowest(scores, k, eligible, finite_only=True)


@case
def exact_mean():
    for values in INPUTS.values():
        where = MASK[: len(values)]
        yield ops.exact_mean(values, finite_only=True)
        yield ops.exact_mean(values, where, finite_only=True)


@case
def min_max():
    for values in INPUTS.values():
        yield from ops.min_max(values, MASK[: len(values)], finite_only=True)


@case
def below():
    for values in INPUTS.values():
        for bound in (0.0, 0.5, np.inf):
            yield _core.below(values, bound, MASK[: len(values)], True)


@case
def mask_ids():
    yield _core.choose(MASK, 2.5, 1.0)
    yield from [ops.mask_ids(MASK), ops.mask_ids(MASK, invert=True), ops.mask_ids(MASK[:777])]


def digest(results: Iterable[object]) -> str:
    state = hashlib.blake2b(digest_size=16)
    for result in results:
        state.update(np.ascontiguousarray(result).view(np.uint8).data)
    return state.hexdigest()


@case
def orders():
    ids = np.flatnonzero(MASK).astype(np.uint32)
    for n in (1, 1000, 300_000, 2**20, 2**31 + 5):
        values = ops.permute(n, seed=3, epoch=2, stop=min(n, 100_000))
        yield values
        yield ops.unpermute(n, values, seed=3, epoch=2)
    yield ops.order_slice(ids, seed=9, epoch=1)


@case
def draws():
    weights = np.abs(INPUTS["normal"])
    key = {"seed": 4, "epoch": 5}
    for method in ("systematic", "multinomial"):
        yield ops.draw_counts(weights, N, method=method, **key)
        yield ops.draw(weights, N, replacement=True, method=method, **key)
    yield _core.sample_mask(N, MASK, 100_000, 4, 5)
    yield ops.draw_mask(weights, N // 2, **key)
    yield ops.draw(weights, 1000, replacement=True, **key)
    yield ops.inverse_probabilities(weights, N)
    yield ops.bernoulli_cdf(INPUTS["odd"], 0.43, **key)
    yield ops.power(weights, 0.3)
    yield _core.exp(INPUTS["odd"])
    yield _core.exp(INPUTS["any bits"])
    for gaussian in (False, True):
        probabilities, *counts = _core.informative(RATES, gaussian, 0.4, 0.2, 0.01, 0.9)
        yield from (probabilities, np.array(counts))


@case
def by_group():
    labels = np.random.default_rng(9).integers(0, 50, N).astype(np.int32)
    for scores in INPUTS.values():
        table = ScoreTable(len(scores), {}, groups=labels[: len(scores)])
        table.seen[:] = True
        yield table.by_group.hide_lowest(scores, np.arange(50) * 100)
        yield table.by_group.mean(scores)


@case
def gathers():
    columns = [INPUTS["normal"].reshape(N, 1), np.resize(INPUTS["odd"].view(np.uint8), (N, 1001))]
    return ops.gather_rows(columns, np.random.default_rng(2).integers(0, N, 10_001))


@case
def folds():
    table = ScoreTable(N, of_every_kind("loss", 3))
    index = np.random.default_rng(1).integers(0, N, 3 * N)
    log = ObservationLog(N, ["loss"])
    log.append(index, {"loss": np.resize(INPUTS["odd"], 3 * N)})
    log.close()
    table.fold(log, epoch=0)
    return table.state().values()


@case
def ranks():
    weights = np.abs(INPUTS["normal"])
    random = ds.EpochRandom(4, 5)

    def body(group: groups.Group) -> list[object]:
        table = ScoreTable(N, {"loss": Last()}, group=group)
        part = slice(*table.bounds)
        table.set_column("loss", weights[part])
        odd = INPUTS["odd"][part]
        draw = table.draw(table["loss"], N, random, replacement=True)
        return [
            table.hide_lowest(odd, N // 3), table.exact_mean(odd), draw.counts,
            draw.inverse_probabilities, table.cdf_bernoulli(odd, 0.43, random),
            table.draw(table["loss"], 1000, random, replacement=False).mask,
            table.draw(table["loss"], 1000, random, replacement=True, method="multinomial").counts,
        ]  # fmt: skip

    return [result for rank in groups.simulate(3, body) for result in rank]


@case
def priority_tree():
    tree = PriorityTree(100_003)
    tree.update(np.arange(100_003), np.abs(INPUTS["normal"][:100_003]))
    return [*tree.draw(5000, seed=1, step=2), tree.total]


if __name__ == "__main__":
    found = {"isa": _core.isa(), "threads": _core.num_threads()}
    print(json.dumps(found | {name: digest(function()) for name, function in CASES.items()}))
