"""Showing a model what a store says that the teacher saw: crops, flips and mixes, in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dynsample.payload import View
from dynsample.payload.source import Source, check_source

Arrays = dict[str, NDArray[Any]]


class ReplayedDataset(torch.utils.data.Dataset[Any]):
    """Fetches a batch as the teacher saw it: its own samples, and the partners of a mix.

    What a batch shows twice, as its own and as another's partner, is fetched once.

    Parameters
    ----------
    dataset : map-style dataset
        Is asked for `dataset[View(i, crop, flip)]`; for `dataset[i]` when nothing was cropped.
    source : Store or Views

    Examples
    --------
    >>> import torch
    >>> from dynsample.torch import DataLoader
    >>> class Images(torch.utils.data.Dataset):
    ...     def __len__(self):
    ...         return 4
    ...     def __getitem__(self, view):
    ...         return torch.zeros(3, 8, 8), view.sample % 2
    >>> views = ds.payload.Views(ds.payload.Facts(4, num_classes=2))
    >>> loader = DataLoader(Images(), sampler=ds.Sampler(4, batch_size=2), payload=views)
    >>> images, labels, payload, index = next(iter(loader))
    >>> sorted(payload), bool((labels == index % 2).all())
    (['crop', 'flip'], True)
    """

    def __init__(self, dataset: Any, source: Source) -> None:
        check_source(source, len(dataset), dataset)
        self.dataset, self.source = dataset, source

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, request: tuple[int, NDArray[np.int64]]) -> tuple[Any, ...]:
        """Items, rows of the source, which items are the batch's and the partners', and ids."""
        epoch, ids = request
        rows = self.source.batch(epoch, ids)
        own = _keys(ids, rows, "")
        partners = _keys(rows["partner"], rows, "partner_") if "partner" in rows else []
        places: dict[Any, int] = {}
        for key in (*own, *partners):
            places.setdefault(key, len(places))
        items = [self.dataset[key] for key in places]
        return items, rows, [places[k] for k in own], [places[k] for k in partners], ids


def _keys(ids: NDArray[np.int64], rows: Arrays, whose: str) -> list[Any]:
    if f"{whose}crop" not in rows:
        return list(ids.tolist())
    crops, flips = rows[f"{whose}crop"].tolist(), rows[f"{whose}flip"].tolist()
    return [View(*key) for key in zip(ids.tolist(), map(tuple, crops), flips, strict=True)]


class ReplayedCollate:
    """Collates items, mixes the images, which come first, and adds payload and index last."""

    def __init__(self, collate: Callable[[Any], Any]) -> None:
        self.collate = collate

    def __call__(self, fetched: tuple[Any, ...]) -> Any:
        """Return (images, ..., payload, index)."""
        items, rows, own, partners, ids = fetched
        batch = self.collate(items)
        if isinstance(batch, Tensor):
            batch = (batch,)
        if not isinstance(batch, Sequence) or not isinstance(batch[0], Tensor):
            raise TypeError(
                "with payload= the data set must give tuples with the image first, got a "
                f"{type(batch).__name__}"
            )
        payload = {name: torch.from_numpy(values) for name, values in rows.items()}
        images = batch[0][own]
        if partners:
            images = mix(images, batch[0][partners], payload)
        rest = (_pick(part, own) for part in batch[1:])
        return (images, *rest, payload, torch.from_numpy(ids))


def _pick(part: Any, rows: list[int]) -> Any:
    return part[rows] if isinstance(part, Tensor) else [part[i] for i in rows]


def mix(images: Tensor, partners: Tensor, payload: Mapping[str, Tensor]) -> Tensor:
    """Mix images with those of their partners; the same bits on every device.

    Parameters
    ----------
    images, partners : Tensor [B, C, H, W]
        With mixup, of floats.
    payload : mapping
        `lam`, float64[B], and with cutmix `box`, int[B, 4], which then alone counts.

    Returns
    -------
    Tensor [B, C, H, W]
        With mixup lam * images + (1 - lam) * partners; with cutmix the partners' pixels in rows x1
        to x2 and columns y1 to y2, the images' elsewhere.

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018; Yun et al., "CutMix",
    ICCV 2019.

    Examples
    --------
    >>> import torch
    >>> images, partners = torch.zeros(1, 1, 1, 2), torch.ones(1, 1, 1, 2)
    >>> mix(images, partners, {"lam": torch.tensor([0.75], dtype=torch.float64)}).tolist()
    [[[[0.25, 0.25]]]]
    """
    if "box" in payload:
        box = payload["box"].to(images.device)[:, :, None, None, None]
        x1, y1, x2, y2 = box.unbind(1)
        row = torch.arange(images.shape[2], device=images.device)[:, None]
        column = torch.arange(images.shape[3], device=images.device)
        inside = (row >= x1) & (row < x2) & (column >= y1) & (column < y2)
        return torch.where(inside, partners, images)
    if not images.is_floating_point():
        raise TypeError(f"images must be floats to be mixed by mixup, got {images.dtype}")
    lam = payload["lam"].double().reshape(-1, 1, 1, 1)  # 1 - lam is rounded once
    mine, theirs = (share.to(images.device, images.dtype) for share in (lam, 1 - lam))
    return images * mine + partners * theirs
