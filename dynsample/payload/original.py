"""Import of the files that the published relabel phase wrote: one for every epoch and batch."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dynsample.kernels.checks import integer
from dynsample.payload.epoch_file import PayloadError
from dynsample.payload.facts import Facts
from dynsample.payload.writer import EpochWriter, Writer

if TYPE_CHECKING:
    import torch

Order = Callable[[int], NDArray[np.int64]]


class _Batch(NamedTuple):
    """What a file holds, in its order."""

    crop: torch.Tensor
    flip: torch.Tensor
    partner: torch.Tensor | None
    lam: float | None
    box: Sequence[int] | None
    logits: torch.Tensor


def original_order(num_samples: int, seed: int = 42) -> Order:
    """Order in which the published scripts went through the data set, by epoch.

    They look a batch up by its first image, and so depend on what torch's RandomSampler draws from
    a generator that was seeded once: two permutations of the data set an epoch, of which the
    second is not used.

    Parameters
    ----------
    num_samples : int
    seed : int
        `--fkd_seed`, 42 there when left out.

    Returns
    -------
    callable
        From the epoch to int64[num_samples].

    Examples
    --------
    >>> order = original_order(5)
    >>> sorted(order(0).tolist()), order(0).tolist() == order(1).tolist()
    ([0, 1, 2, 3, 4], False)
    """
    import torch

    def order(epoch: int) -> NDArray[np.int64]:
        generator = torch.Generator()
        generator.manual_seed(seed)
        for _ in range(2 * integer(epoch, "epoch", 0, 99_999)):
            torch.randperm(num_samples, generator=generator)
        drawn: NDArray[np.int64] = torch.randperm(num_samples, generator=generator).numpy()
        return drawn

    return order


def import_original(
    source: str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    order: Order,
    size: tuple[int, int] | None = None,
    labels: str = "fp16",
    fingerprint: str = "",
    progress: Callable[[], None] = lambda: None,
) -> Facts:
    """Make a store of `epoch_<e>/batch_<b>.tar`; partners become ids.

    Epochs that the store at `path` has already are left alone.

    Parameters
    ----------
    source : path
        `--fkd-path` of the published scripts. A file is torch.save of [crops float32[B, 4], flips
        bool[B], row of the partner int64[B], lambda, box, logits float16[B, C]], the three between
        flips and logits None without a mix, the box None with mixup. Only tensors and numbers are
        loaded: a file that wants to run code is refused. Logits in float32, as without their
        `--use-fp16`, are rounded to float16 with a UserWarning.
    path : path
    order : callable
        From the epoch to the ids in the order of the relabel phase, int64[N]: `original_order`,
        or your own. Every batch takes the next of them.
    size : (int, int), optional
        Height and width of the images that were mixed; needed with cutmix.
    labels, fingerprint : str
        Facts of the new store, see `Facts`.
    progress : callable
        Called after every epoch.

    Returns
    -------
    Facts
        What the new store is of.

    Raises
    ------
    PayloadError
        When files are missing, damaged, or do not hold as many rows as the order has ids.
    """
    epochs = _numbered(Path(source), "epoch_", "")
    first = _load(_numbered(epochs[0], "batch_", ".tar")[0])
    if labels == "fp16" and first.logits.element_size() > 2:
        warnings.warn(
            f"{source} holds logits in {str(first.logits.dtype).removeprefix('torch.')}: the store "
            "keeps them rounded to float16",
            stacklevel=2,
        )
    mix = "none" if first.partner is None else "mixup" if first.box is None else "cutmix"
    facts = Facts(
        num_samples=len(order(0)),
        num_classes=first.logits.shape[1],
        labels=labels,
        mix=mix,
        size=size,
        fingerprint=fingerprint,
    )
    writer = Writer(path, facts)
    for epoch in writer.missing(len(epochs)):
        with writer.epoch(epoch) as rows:
            _import_epoch(epochs[epoch], order(epoch), rows)
        progress()
    return facts


def _import_epoch(folder: Path, ids: NDArray[np.int64], rows: EpochWriter) -> None:
    start = 0
    for file in _numbered(folder, "batch_", ".tar"):
        content = _load(file)
        stop = start + len(content.logits)
        if stop > len(ids):
            raise PayloadError(f"{file} ends at row {stop}, the order has {len(ids)} ids")
        try:
            rows.add(
                ids[start:stop], content.logits, **_view(content, ids[start:stop], rows.facts.mix)
            )
        except (ValueError, TypeError, IndexError) as error:
            raise PayloadError(f"{file}: {error}") from error
        start = stop
    if start != len(ids):
        raise PayloadError(f"{folder} holds {start} rows, the order has {len(ids)} ids")


def _view(content: _Batch, ids: NDArray[np.int64], mix: str) -> dict[str, NDArray[Any]]:
    view: dict[str, NDArray[Any]] = {
        "crop": np.asarray(content.crop),
        "flip": np.asarray(content.flip),
    }
    if mix == "none":
        return view
    if content.partner is None or content.lam is None:
        raise TypeError(f"a batch of {mix} must have partners and a lambda, got None")
    partner = np.asarray(content.partner)
    view |= {"partner": ids[partner], "lam": np.full(len(ids), float(content.lam))}
    view |= {"partner_crop": view["crop"][partner], "partner_flip": view["flip"][partner]}
    if mix == "cutmix":
        if content.box is None:
            raise TypeError("a batch of cutmix must have a box, got None")
        view["box"] = np.tile(np.array([int(x) for x in content.box], np.int32), (len(ids), 1))
    return view


def _numbered(folder: Path, prefix: str, suffix: str) -> list[Path]:
    """Entries <prefix><number><suffix> by number, from 0 on and without a gap."""
    name = re.compile(re.escape(prefix) + r"(\d+)" + re.escape(suffix))
    found = {}
    for entry in folder.iterdir():
        if match := name.fullmatch(entry.name):
            found[int(match[1])] = entry
    for number in range(max(len(found), 1)):
        if number not in found:
            raise PayloadError(f"{folder / (prefix + str(number) + suffix)} is missing")
    return [found[number] for number in range(len(found))]


def _load(file: Path) -> _Batch:
    import torch

    try:
        with torch.serialization.safe_globals(list(_numpy_scalars())):
            content: object = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch's reader of damaged files there is no list
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise PayloadError(
            f"{file} is damaged, or holds more than tensors and numbers: {said}"
        ) from error
    if not isinstance(content, (list, tuple)) or len(content) != 6:
        raise PayloadError(
            f"{file} must hold [crops, flips, partners, lambda, box, logits], got "
            f"{type(content).__name__}"
        )
    if getattr(content[5], "ndim", None) != 2:
        raise PayloadError(f"{file} must hold logits [B, C], got {type(content[5]).__name__}")
    return _Batch(*content)


def _numpy_scalars() -> Iterator[Callable[..., object] | tuple[Callable[..., object], str]]:
    """Yield what a pickled numpy number names, in files of numpy 1 and of numpy 2."""
    scalar = np.float64(0).__reduce__()[0]
    yield np.dtype
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        yield scalar, f"{module}.scalar"
    for kind in (np.float64, np.float32, np.int64, np.int32):
        yield type(np.dtype(kind))
