"""Figures of a whole run: a line for each epoch, written at its start, and read again.

`Sampler(..., report=DIR)` writes, `dynsample inspect DIR` draws. numpy only.
"""

from dynsample.report.cost import Cost, costs
from dynsample.report.reader import Run, read
from dynsample.report.store import ReportError
from dynsample.report.tensorboard import to_tensorboard
from dynsample.report.writer import Report, as_report

__all__ = ["Cost", "Report", "ReportError", "Run", "as_report", "costs", "read", "to_tensorboard"]
