"""Random numbers of different uses come from different streams, all of one table."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import dynsample as ds
from dynsample import _core, ops
from dynsample._core import Stream
from dynsample.cli.plan import random_scores
from dynsample.payload import Facts, Views
from dynsample.plan.orders import PageLocal

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dynsample"
# Who draws from a stream in Python. Two files of one line do the same thing in two places.
USES = {
    "ORDER": {"plan/plan.py", "plan/sharded.py", "plan/cuda.py"},
    "HIDDEN_ORDER": {"plan/plan.py", "plan/sharded.py", "plan/cuda.py"},
    "DRAW_ORDER": {"kernels/host.py", "kernels/cuda/backend.py"},
    "PAGES": {"plan/orders.py"},
    "PAGE_WINDOWS": {"plan/orders.py"},
    "WALK": {"table/reductions.py"},
    "BATCH_SELECTION": {"batch/__init__.py"},
    "CORESET": {"coreset/__init__.py"},
    "CORESET_DRAW": {"coreset/__init__.py"},
    "REPORT_SAMPLE": {"report/writer.py"},
    "PARTNERS": {"payload/views.py"},
    "PLAN_SCORES": {"cli/plan.py"},
}
# Where the default of an argument, or a check of it, is not a use.
DEFAULTS = {"kernels/checks.py", "ops/permute.py", "kernels/cuda/order.py"}
# Place of the stream among the arguments of what draws.
PLACES = {"philox": 4, "permute": 3, "order_slice": 3, "unpermute": 4, "draw_mask": 4}  # of `_core`


def test_the_numbers_are_what_they_were() -> None:
    """Runs of people follow from them."""
    assert {stream.name: stream.value for stream in Stream} == {
        "ORDER": 0, "HIDDEN_ORDER": 1, "DRAW": 2, "RACE": 3, "BERNOULLI": 4, "TREE": 5, "PAGES": 6,
        "DRAW_ORDER": 7, "MULTINOMIAL": 8, "WALK": 16, "BATCH_SELECTION": 17, "CORESET": 32,
        "REPORT_SAMPLE": 33, "PARTNERS": 34, "PLAN_SCORES": 35, "CORESET_DRAW": 36,
        "PAGE_WINDOWS": 65536,
    }  # fmt: skip


def test_no_two_uses_share_a_stream() -> None:
    assert len({stream.value for stream in Stream}) == len(Stream.__members__)
    last = max(Stream)
    assert last is Stream.PAGE_WINDOWS  # its range is open: nothing may come after it
    uses = defaultdict(set)
    for path in modules():
        name = str(path.relative_to(PACKAGE))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value).endswith("Stream"):
                uses[node.attr].add(name)
    uses["ORDER"] -= DEFAULTS
    assert uses == USES
    for constant, used in native_uses().items():
        assert constant not in {"kCoreset", "kReportSample", "kPartners", "kPlanScores"}, used


def modules() -> Iterator[Path]:
    """All of the package but the oracles, which draw what the kernels draw."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] != "reference":
            yield path


def sources() -> list[Path]:
    found = (ROOT / "csrc").rglob("*")
    return [p for p in sorted(found) if p.suffix in {".h", ".cpp", ".cu"} and p.stem != "streams"]


def native_uses() -> dict[str, set[str]]:
    table = (ROOT / "csrc/core/streams.h").read_text()
    uses = defaultdict(set)
    for constant in re.findall(r"X\((k\w+),", table):
        for path in sources():
            if re.search(rf"\b{constant}\b", path.read_text()):
                uses[constant].add(path.stem)
    return uses


def test_python_writes_no_number_of_a_stream() -> None:
    written = [
        f"{path.relative_to(ROOT)}:{found.lineno} writes {ast.unparse(found)}"
        for folder in ("dynsample", "bench")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        for found in given_streams(node)
        if constant(found)
    ]
    assert written == []


def constant(node: ast.expr) -> bool:
    try:
        return isinstance(ast.literal_eval(node), int)
    except ValueError:
        names = {"Stream", "stream"}
        parts = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
        return isinstance(node, ast.BinOp) and not any(part.id in names for part in parts)


def given_streams(node: ast.AST) -> Iterator[ast.expr]:
    """What a piece of Python gives as a stream: by name, by place, by a default or a constant."""
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg == "stream")
        place = PLACES.get(ast.unparse(node.func).split(".")[-1])
        of_core = ast.unparse(node.func).startswith("_core.")
        if of_core and place is not None and len(node.args) > place:
            yield node.args[place]
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "stream":
                yield value
    elif isinstance(node, ast.Assign):
        if any("STREAM" in ast.unparse(target) for target in node.targets):
            yield node.value
    elif isinstance(node, ast.arguments):
        named = [*node.posonlyargs, *node.args][::-1]
        for argument, default in zip(named, node.defaults[::-1], strict=False):
            if argument.arg == "stream":
                yield default
        for argument, word in zip(node.kwonlyargs, node.kw_defaults, strict=True):
            if argument.arg == "stream" and word is not None:
                yield word


def test_native_code_writes_no_number_of_a_stream() -> None:
    written = [
        f"{path.relative_to(ROOT)}: {call}"
        for path in sources()
        for call in re.findall(
            r"\b(?:philox|make_permutation|random\.fill)\(([^;]*?)\);",
            re.sub(r"//.*", "", path.read_text()),
        )
        if re.match(r"\d", call.split(",")[3].strip())  # the fourth argument of all three
    ]
    assert written == []


def test_the_pairs_of_a_mix_are_not_the_order_of_a_draw() -> None:
    n, seed, epoch = 500, 3, 2
    partner = Views(Facts(n, 10, mix="mixup"), seed=seed).batch(epoch, np.arange(n))["partner"]
    drawn = ops.draw(np.ones(n, np.float32), n, replacement=False, seed=seed, epoch=epoch)
    assert sorted(partner) == sorted(drawn) == list(range(n))
    assert np.count_nonzero(partner == drawn) < n / 20


def test_made_up_scores_are_not_the_keys_of_a_random_coreset() -> None:
    words = random_scores(7, 0, 8, ["loss"])["loss"] / 4
    keys = _core.philox(7, 0, 8, 0, Stream.CORESET).reshape(8, 4)[:, 0] >> 8
    assert not np.isclose(words, keys * 2.0**-24).any()


def test_every_window_of_pages_has_a_stream_of_its_own() -> None:
    """Alike windows are in other orders than each other, and than the hidden samples of theirs."""
    n, pages = 900, np.repeat(np.arange(3), 300)
    plan = ds.build_plan(
        ds.Selection(hidden=np.arange(n) % 2 == 1), n, seed=1, epoch=0, order=PageLocal(pages, 1)
    )
    kept, hidden = plan.order.reshape(3, 150), plan.slice(0, 450, hidden=True).reshape(3, 150)
    orders = [tuple(rows % 300 // 2) for rows in (*kept, *hidden)]
    assert len(set(orders)) == 6
