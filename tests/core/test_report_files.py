"""A report in a folder that holds other files, or files that were altered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_report import LABELS, groups, report, train

from dynsample.report import Report, ReportError


def test_files_of_the_users_are_neither_used_up_nor_written_over(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([0, 1, 2]))
    with pytest.raises(ReportError, match="holds other labels, and was not written by a report"):
        Report(tmp_path, labels=LABELS)
    (tmp_path / "labels.npy").unlink()
    (tmp_path / "epochs.jsonl").write_text('{"my own log": 1}\n{"cut')
    with pytest.raises(ReportError, match=r"epochs\.jsonl is there and is no log of a report"):
        Report(tmp_path)
    (tmp_path / "epochs.jsonl").unlink()
    mine = {"hidden-00000.npy": b"mine", "subset.npy": b"mine too"}
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    with pytest.warns(RuntimeWarning, match=r"hidden-00000\.npy is there and was not written by"):
        train(groups.single(), Report(tmp_path, hidden=True), epochs=1)
    assert {name: (tmp_path / name).read_bytes() for name in mine} == mine


def test_what_a_report_wrote_is_replaced_by_the_next(tmp_path: Path) -> None:
    train(groups.single(), Report(tmp_path, labels=LABELS, hidden=True), epochs=2)
    train(groups.single(), Report(tmp_path, labels=LABELS[::-1].copy(), hidden=True), epochs=2)
    np.testing.assert_array_equal(report.read(tmp_path).labels, LABELS[::-1])


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\0\xff\xff{", b"no array"])
def test_a_damaged_array_is_an_error_of_the_report(tmp_path: Path, content: bytes) -> None:
    train(groups.single(), Report(tmp_path, labels=LABELS), epochs=1)
    (tmp_path / "labels.npy").write_bytes(content)
    with pytest.raises(ReportError, match=r"labels\.npy is damaged, or no array"):
        _ = report.read(tmp_path).labels
