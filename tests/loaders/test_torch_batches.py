"""Where the index is in batches of every kind, and that they keep their class."""

from __future__ import annotations

import collections
import copy
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

import dynsample as ds
from dynsample.torch import DataLoader

N, BATCH = 8, 4
IDS = torch.arange(BATCH)
Point = collections.namedtuple("Point", "x y")


class Items(torch.utils.data.Dataset[Any]):
    def __init__(self, item: Callable[[int], Any]) -> None:
        self.item = item

    def __len__(self) -> int:
        return N

    def __getitem__(self, i: int) -> Any:
        return self.item(i)


class Encoding(collections.UserDict[str, Any]):
    """A mapping with methods, as tokenizers give."""

    device = "cpu"

    def to(self, device: str) -> Encoding:
        self.device = device
        return self


class Marked(dict[str, Any]):
    mark: str


class MarkedList(list[Any]):
    mark: str


class MarkedTuple(tuple[Any, ...]):
    pass


class Fixed(collections.abc.Mapping[str, Any]):
    """A mapping that cannot be changed, nor made of another one."""

    def __getitem__(self, key: str) -> Any:
        return {"x": IDS}[key]

    def __iter__(self) -> Any:
        return iter(["x"])

    def __len__(self) -> int:
        return 1


class Graph:
    """An object of which nothing is known."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x = x


def first(item: Any, collate: Any = None, **options: Any) -> Any:
    sampler = ds.Sampler(N, batch_size=BATCH, order="sequential")
    return next(iter(DataLoader(Items(item), sampler=sampler, collate_fn=collate, **options)))


def stacked(samples: list[int]) -> torch.Tensor:
    return torch.tensor(samples)


def marked(kind: type, content: Any) -> Any:
    made = kind(content)
    made.mark = "kept"
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda x: {"x": x},
        lambda x: collections.OrderedDict(x=x),
        lambda x: collections.defaultdict(list, x=x),
        lambda x: marked(Marked, {"x": x}),
        lambda x: Encoding(x=x),
        lambda x: types.MappingProxyType({"x": x}),
    ],
    ids=["dict", "OrderedDict", "defaultdict", "dict subclass", "UserDict", "MappingProxyType"],
)
def test_a_mapping_gets_the_index_under_its_name_and_keeps_its_class(make: Any) -> None:
    made: list[Any] = []

    def collate(samples: list[int]) -> Any:
        made.append(make(stacked(samples)))
        return made[-1]

    batch = first(lambda i: i, collate)
    assert type(batch) is type(made[0])
    assert list(batch) == ["x", "index"]
    torch.testing.assert_close(batch["x"], batch["index"])
    assert getattr(batch, "mark", "kept") == "kept"
    assert list(made[0]) == ["x"]  # whoever made it may keep it
    assert list(first(lambda i: i, collate, index_name="id")) == ["x", "id"]


def test_methods_of_a_batch_are_there() -> None:
    batch = first(lambda i: i, lambda samples: Encoding(x=stacked(samples)))
    assert batch.to("meta").device == "meta"


def test_a_mapping_of_which_none_can_be_made_becomes_a_dict() -> None:
    batch = first(lambda i: i, lambda samples: Fixed())
    assert type(batch) is dict
    torch.testing.assert_close(batch["index"], IDS)


def test_the_default_collate_keeps_the_class_of_samples() -> None:
    batch = first(lambda i: marked(Marked, {"x": i}))
    assert type(batch) is Marked
    assert batch.mark == "kept"
    torch.testing.assert_close(batch["x"], batch["index"])


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_key_that_is_there_already_is_an_error_or_the_index_has_another_name(
    num_workers: int,
) -> None:
    def item(i: int) -> dict[str, int]:
        return {"x": i, "index": 100 + i}

    with pytest.raises(ValueError, match=r"key 'index' of its own.*index_name="):
        first(item, num_workers=num_workers)
    batch = first(item, num_workers=num_workers, index_name="row")
    torch.testing.assert_close(batch["index"], 100 + batch["row"])
    with pytest.raises(TypeError, match="index_name must be a str, got int"):
        first(item, index_name=3)


@pytest.mark.parametrize(
    ("item", "collate", "kind"),
    [
        (lambda i: (i, -i), None, list),
        (lambda i: [i, -i], None, list),
        (lambda i: (i, -i), lambda samples: tuple(default_collate(samples)), tuple),
        (lambda i: marked(MarkedList, [i, -i]), None, MarkedList),
        (lambda i: (i, -i), lambda samples: MarkedTuple(default_collate(samples)), MarkedTuple),
        (lambda i: (i, -i), lambda s: collections.deque(default_collate(s)), collections.deque),
        (lambda i: (i, -i), lambda s: [np.array(column) for column in zip(*s, strict=True)], list),
        (lambda i: (i, -i), lambda samples: tuple(zip(*samples, strict=True)), tuple),
    ],
    ids=[
        "default, tuples", "default, lists", "tuple", "list subclass", "tuple subclass", "deque",
        "arrays", "tuples of numbers",
    ],
)  # fmt: skip
def test_fields_get_the_index_last_and_keep_their_class(item: Any, collate: Any, kind: Any) -> None:
    batch = first(item, collate)
    assert type(batch) is kind
    left, right, index = batch
    np.testing.assert_array_equal(left, index)
    np.testing.assert_array_equal(right, -index)
    assert getattr(batch, "mark", "kept") == "kept"


def test_whatever_stands_beside_a_field_is_one() -> None:
    images, lam, name, index = first(lambda i: i, lambda s: (stacked(s), 0.3, "mixup"))
    assert (lam, name) == (0.3, "mixup")
    torch.testing.assert_close(images, index)
    one, two, index = first(lambda i: ({"x": i}, {"y": i}))  # mappings, as the default makes them
    torch.testing.assert_close(one["x"], index)
    torch.testing.assert_close(two["y"], index)
    one, two, index = first(lambda i: i, lambda s: ({"x": stacked(s)}, {"y": stacked(s)}))
    torch.testing.assert_close(two["y"], index)


WHOLE: dict[str, tuple[Any, Any, type]] = {
    "tensor": (lambda i: i, None, torch.Tensor),
    "strings": (lambda i: f"text {i}", None, list),
    "bytes": (lambda i: b"%d" % i, None, list),
    "one string": (lambda i: i, lambda samples: "text", str),
    "strings made": (lambda i: str(i), lambda samples: [text.upper() for text in samples], list),
    "tuple of strings": (lambda i: i, lambda samples: tuple(map(str, samples)), tuple),
    "samples": (lambda i: (torch.ones(i + 1), i), lambda samples: samples, list),
    "samples, copied": (lambda i: (torch.ones(i + 1), i), list, list),
    "samples as a tuple": (lambda i: (torch.ones(i + 1), i), tuple, tuple),
    "tensors": (lambda i: torch.ones(i + 1), lambda samples: samples, list),
    "mappings": (lambda i: {"x": i}, lambda samples: [dict(one) for one in samples], list),
    "numbers": (lambda i: i, lambda samples: [2 * i for i in samples], list),
    "objects": (lambda i: i, lambda samples: [Graph(IDS) for _ in samples], list),
    "object": (lambda i: i, lambda samples: Graph(stacked(samples)), Graph),
    "namedtuple": (lambda i: Point(i, -i), None, Point),
    "packed": (
        lambda i: torch.ones(i + 1),
        lambda samples: torch.nn.utils.rnn.pack_sequence(samples, enforce_sorted=False),
        torch.nn.utils.rnn.PackedSequence,
    ),
    "None": (lambda i: i, lambda samples: None, type(None)),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [2, BATCH])
def test_what_is_not_made_of_fields_stays_whole_beside_the_index(name: str, size: int) -> None:
    item, collate, kind = WHOLE[name]
    sampler = ds.Sampler(N, batch_size=size, order="sequential")
    batch, index = next(iter(DataLoader(Items(item), sampler=sampler, collate_fn=collate)))
    assert isinstance(batch, kind)
    torch.testing.assert_close(index, torch.arange(size))


def test_a_namedtuple_keeps_its_fields() -> None:
    batch, index = first(lambda i: Point(i, -i))
    torch.testing.assert_close(batch.x, index)
    torch.testing.assert_close(batch.y, -index)


def test_samples_are_as_they_were() -> None:
    kept = [{"x": i} for i in range(N)]
    before = copy.deepcopy(kept)
    sampler = ds.Sampler(N, batch_size=1)
    loader = DataLoader(Items(kept.__getitem__), sampler=sampler, collate_fn=lambda s: s[0])
    for epoch in range(2):  # in the second one a key would be there already
        sampler.set_epoch(epoch)
        assert sorted(batch["x"] for batch in loader) == list(range(N))
    assert kept == before


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_of_a_worker_are_the_same() -> None:
    for item, collate in (
        (lambda i: (i, -i), None),
        (lambda i: f"text {i}", None),
        (lambda i: Point(i, -i), None),
        (lambda i: i, lambda samples: Encoding(x=stacked(samples))),
    ):
        here, there = first(item, collate), first(item, collate, num_workers=1)
        assert type(here) is type(there)
        assert str(here) == str(there)


def test_a_tensordict_stays_one() -> None:
    tensordict = pytest.importorskip("tensordict", reason="tensordict is not installed")
    batch = first(lambda i: i, lambda s: tensordict.TensorDict({"x": stacked(s)}, [len(s)]).lock_())
    assert isinstance(batch, tensordict.TensorDict)
    torch.testing.assert_close(batch.to("cpu")["x"], batch["index"])
