"""What a sampler takes as its policy, and what it says of what it does not take."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dynsample as ds
from dynsample.policies.base import as_policy
from dynsample.table.columns import Column, Last


class Plain(ds.Policy):
    """No dataclass, and nothing that could be a field."""

    @property
    def columns(self) -> Mapping[str, Column]:
        return {"mine": Last()}

    def select(self, table: ds.ScoreTable, epoch: int, random: ds.EpochRandom) -> ds.Selection:
        return ds.Selection(hidden=table.hide_lowest(table["mine"], table.num_samples // 5))


@dataclass(frozen=True)
class Own(Plain):
    value: Any = None


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("kakurenbo", "policy must be a dynsample.Policy, .*, got str 'kakurenbo'"),
        (ds.Kakurenbo, r"policy must be an object, got the class Kakurenbo: write Kakurenbo\(\)"),
        (Own, r"got the class Own: write Own\(\)"),
        (lambda table: None, "policy must be a dynsample.Policy, .*, got function"),
        ({"fraction": 0.3}, r"got dict \{'fraction'"),
        (0, "got int 0"),
    ],
)
def test_what_is_no_policy_is_named(policy: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ds.Sampler(100, policy)


def test_columns_that_are_no_columns_are_named() -> None:
    class Method(Plain):
        def columns(self) -> Mapping[str, Column]:  # type: ignore[override]
            return {}

    class Names(Plain):
        @property
        def columns(self) -> Mapping[str, Column]:
            return {"loss": "last"}  # type: ignore[dict-item]

    for wrong, name in ((Method(), "Method"), (Names(), "Names")):
        with pytest.raises(TypeError, match=rf"{name}\.columns must be a property"):
            ds.Sampler(100, wrong)


def test_a_policy_without_fields_needs_no_dataclass(tmp_path: Path) -> None:
    sampler = ds.Sampler(100, Plain(), batch_size=10)
    sampler.save(tmp_path)
    ds.Sampler(100, Plain(), batch_size=10).load(tmp_path)


class Holds(Plain):
    def __init__(self) -> None:
        self.fraction = 0.2


class Fails(Plain):
    def fingerprint(self, epoch: int) -> dict[str, Any]:
        return {"class": {1, 2}}


class Lists(Plain):
    def state(self) -> dict[str, Any]:
        return {"losses": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (Holds(), r"fraction of it must be fields .* @dataclass\(frozen=True\) above the class Ho"),
        (Fails(), "set is not JSON serializable"),
        (Lists(), r"state\(\) must give numpy arrays by name, got 'losses'"),
        (
            Own(torch.nn.Linear(2, 2)),
            r"value must be callable with an epoch, and value\(0\) raised",
        ),
        (Own(object()), "value must be a number, a string, None, .*, got object"),
        (Own([1, {2, 3}]), r"value\[1\] must be a number, .*, got set"),
        (Own({"a": {1: 2}}), r"value\['a'\] must be a number, .*, got dict"),
        (Own(np.array([object()])), "got ndarray"),
        (Own(lambda table: table["mine"]), r"value\(0\) raised TypeError: .* not subscriptable"),
        (Own(lambda epoch, calls=[]: calls.append(epoch) or len(calls)), "is another each time"),
    ],
)
def test_a_policy_that_cannot_be_saved_is_refused_when_the_sampler_is_made(
    policy: ds.Policy, message: str
) -> None:
    name = type(policy).__name__
    with pytest.raises(TypeError, match=rf"policy {name} cannot be saved.*{message}"):
        ds.Sampler(100, policy)


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 0.5, "target", float("nan"), float("inf"), (1, 2.5), [1, "two"], {"a": (1,)},
        np.arange(3), torch.arange(3), np.float32(0.1), torch.tensor(0.1), np.bool_(True),
        lambda epoch: epoch / 2, lambda epoch: np.float32(0.1), lambda epoch: torch.arange(3),
        functools.partial(round, ndigits=1), ds.schedules.kakurenbo(90),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_a_field_has_an_identity_that_outlives_the_process(value: Any, tmp_path: Path) -> None:
    first, second = (ds.Sampler(100, Own(value), batch_size=10) for _ in range(2))
    first.save(tmp_path)
    second.load(tmp_path)
    identity = first.policy.fingerprint(3)
    assert json.loads(json.dumps(identity, allow_nan=False)) == json.loads(json.dumps(identity))


def test_equal_numbers_have_one_fingerprint() -> None:
    numbers = (0.1, np.float64(0.1), np.array(0.1), torch.tensor(0.1, dtype=torch.float64))
    prints = [json.dumps(ds.Kakurenbo(fraction=number).fingerprint(0)) for number in numbers]
    prints += [json.dumps(as_policy(Own(number)).fingerprint(0))[-13:] for number in numbers]
    assert len(set(prints[:4])) == 1
    assert len(set(prints[4:])) == 1
    single = (np.float32(0.1), torch.tensor(0.1), float(np.float32(0.1)))
    assert len({json.dumps(ds.Kakurenbo(fraction=x).fingerprint(0)) for x in single}) == 1


SCHEDULES: dict[str, Callable[[int], Any]] = {
    "float": lambda epoch: float(np.float32(0.9)),
    "float32": lambda epoch: np.float32(0.9),
    "0-d array": lambda epoch: np.array(0.9, np.float32),
    "tensor": lambda epoch: torch.tensor(0.9),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_schedule_may_give_numbers_of_numpy_and_torch(kind: str, tmp_path: Path) -> None:
    n = 1001
    policy = ds.Kakurenbo(fraction=np.float64(0.3), schedule=SCHEDULES[kind], tau=np.float32(0.5))
    sampler = ds.Sampler(n, policy, batch_size=100)
    rows = np.arange(n)
    signals = {"loss": rows.astype(np.float32), "correct": np.ones(n), "confidence": np.ones(n)}
    sampler.table.observe(rows, **{k: v.astype(np.float32) for k, v in signals.items()})
    sampler.set_epoch(1)
    assert sampler.plan.hidden.tolist() == list(range(int(0.3 * float(np.float32(0.9)) * n)))
    assert type(sampler.lr_scale) is float
    assert sampler.lr_scale == 1 / (1 - 0.3 * float(np.float32(0.9)))
    sampler.save(tmp_path)
    resumed = ds.Sampler(n, ds.Kakurenbo(0.3, schedule=SCHEDULES["float"], tau=0.5), batch_size=100)
    resumed.load(tmp_path)
    assert resumed.plan.digest == sampler.plan.digest


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, TypeError, r"schedule\(1\) must be a number, got NoneType None"),
        (np.ones(2), TypeError, r"schedule\(1\) must be a number"),
        (-0.5, ValueError, r"schedule\(1\) must be in \[0, inf\), got -0.5"),
        (float("nan"), ValueError, r"schedule\(1\) must be in \[0, inf\), got nan"),
        (9.0, ValueError, r"fraction \* schedule\(1\) must be in \[0, 1\)"),
    ],
)
def test_a_schedule_that_gives_no_factor_is_named(
    value: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ds.Kakurenbo(schedule=lambda epoch: value).max_fraction(1)


def test_numbers_of_a_selection_are_those_of_python() -> None:
    selection = ds.Selection(
        lr_scale=torch.tensor(1.5), refresh=np.bool_(True), stats={"kept": np.int64(3)}
    )
    assert [type(x) for x in (selection.lr_scale, selection.refresh, selection.stats["kept"])] == [
        float, bool, int,
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"selection\.lr_scale must be a number, got NoneType None"):
        ds.Selection(lr_scale=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"selection\.lr_scale must be in \[0, inf\), got nan"):
        ds.Selection(lr_scale=float("nan"))
