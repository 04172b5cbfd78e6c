"""What ranks that train together must have in common at the start of an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynsample.groups.agreement import check_agreement
from dynsample.kernels.available import version
from dynsample.run.state import STATE_VERSION, identity

if TYPE_CHECKING:
    from dynsample.run.run import Run


def check_ranks(run: Run, epoch: int, restart: bool) -> None:
    """Raise on every rank when ranks were given different things, saying which."""
    if run.group.size == 1:
        return
    facts = {
        **identity(run, epoch),
        "version": _version(),
        "batch_size": run.config.batch_size,
        "drop_last": run.config.drop_last,
        "issue": run.config.issue,
        "late": run.config.late,
        "placement": run.config.placement,
        "report": run.config.report and run.config.report.facts(),
        "set_epoch": [epoch, restart],
        "generation": run.generation,
        **position_of(run),
    }
    check_agreement(run.group, facts, f"the start of epoch {epoch}")


def position_of(run: Run) -> dict[str, object]:
    """Name the position that ranks must share."""
    epoch = run.epoch
    if epoch is None:
        return {"current epoch": None}
    kept, hidden = epoch.positions
    named = {"current epoch": epoch.number, "named": epoch.named, "loaded": epoch.put}
    return {**named, "position": kept, "hidden position": hidden}


def _version() -> str:
    found = version()
    return f"state {STATE_VERSION}" if found is None else f"{found}, state {STATE_VERSION}"
