"""The arguments of DALI's iterators: which of them the sampler decides, and what they mean here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from nvidia.dali.plugin.base_iterator import LastBatchPolicy

from dynsample.sampler import Sampler

Given = Mapping[str, Any]
_END = "Sampler(drop_last=) decides how an epoch ends"


def bound(stock: type, given: tuple[object, ...], named: Given) -> Given:
    """Name the arguments that DALI's own iterator would take in these places.

    Only those that were given: DALI fills the last batch of an epoch by default, and a script that
    says so asks for more than one that leaves it out.
    """
    try:
        return inspect.signature(stock).bind(*given, **named).arguments
    except TypeError as error:
        raise TypeError(f"{stock.__name__} {error}") from None


def check(given: Given, sampler: Sampler, reader: str | None) -> bool:
    """Raise where an argument means something else than what the sampler has decided.

    Returns
    -------
    bool
        Whether the iterator begins anew on its own.
    """
    name = given.get("reader_name")
    if name is not None and name != reader:
        raise ValueError(f"reader_name is {name!r}, the reader's name is {reader!r}")
    _check_size(int(given.get("size", -1)), sampler)
    _check_end(given, sampler)
    again = given.get("auto_reset")
    if again not in (True, "yes", False, None, "no"):
        raise ValueError(f'auto_reset must be True, "yes", False, None or "no", got {again!r}')
    return again in (True, "yes")


def _check_size(size: int, sampler: Sampler) -> None:
    """Compare with a rank's share of the data set, else of the epoch, which is then planned."""
    if size < 0:
        return
    ranks = sampler.group.size
    samples = sampler.num_samples if sampler.subset is None else len(sampler.subset)
    if size in _shares(samples, ranks) or size in _shares(sampler.plan.num_positions, ranks):
        return
    raise ValueError(
        f"delete size={size} from the iterator: the sampler decides how long an epoch is, and that "
        f"of epoch {sampler.epoch} is {sampler.plan.num_positions} on {ranks} rank(s); "
        "len(loader) counts its batches"
    )


def _shares(rows: int, ranks: int) -> set[int]:
    return {rows // ranks, -(-rows // ranks)}


def _check_end(given: Given, sampler: Sampler) -> None:
    """Compare what is to become of a last batch that is not full."""
    policy, said = given.get("last_batch_policy"), "last_batch_policy"
    if said in given and not isinstance(policy, LastBatchPolicy):
        raise TypeError(f"{said} must be a LastBatchPolicy, got {policy!r}")
    if (filled := given.get("fill_last_batch")) is not None:  # which DALI prefers
        policy = LastBatchPolicy.FILL if filled else LastBatchPolicy.PARTIAL
        said = f"fill_last_batch={filled}"
    ours = LastBatchPolicy.DROP if sampler.drop_last else LastBatchPolicy.PARTIAL
    # To DALI itself it means nothing where neither a reader nor a size says how long an epoch is.
    unused = given.get("reader_name") is None and int(given.get("size", -1)) < 0
    if policy not in (None, ours) and not (policy is LastBatchPolicy.FILL and unused):
        raise ValueError(
            f"last_batch_policy must be {ours}, as the sampler has drop_last={sampler.drop_last}, "
            f"got {policy} ({said}): {_END}"
        )
    if given.get("last_batch_padded") and policy is not ours:
        raise ValueError(f"delete last_batch_padded=True from the iterator: {_END}")
