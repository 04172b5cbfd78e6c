"""Saved state is whole or absent, and every altered byte is noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dynsample import checkpoint
from dynsample.checkpoint import StateError

FILES = {
    "table.safetensors": {
        "loss/value": np.arange(5, dtype=np.float32),
        "seen": np.array([True, False, True, True, False]),
        "empty": np.empty(0, np.uint32),
        "window": np.arange(6, dtype=np.float32).reshape(2, 3),
    },
    "log.safetensors": {"index": np.arange(3, dtype=np.uint32)},
}
FACTS = {"epoch": 3}


def assert_same(files: dict[str, checkpoint.Tensors]) -> None:
    for name, tensors in FILES.items():
        for key, array in tensors.items():
            np.testing.assert_array_equal(files[name][key], array)
            assert files[name][key].dtype == array.dtype


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert checkpoint.save(tmp_path / "state", FILES, FACTS) == 1
    files, facts = checkpoint.load(tmp_path / "state")
    assert_same(files)
    assert facts == FACTS


def test_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, {"epoch": 1})
    assert checkpoint.save(tmp_path, FILES, {"epoch": 2}) == 2
    assert checkpoint.load(tmp_path)[1] == {"epoch": 2}
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000002"]


def test_files_are_safetensors_that_others_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    tensors = load_file(next(tmp_path.glob("generation-*/table.safetensors")))
    np.testing.assert_array_equal(tensors["window"], FILES["table.safetensors"]["window"])


def test_every_flipped_byte_is_an_error(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    for file in [tmp_path / "index.json", *tmp_path.glob("generation-*/*")]:
        content = file.read_bytes()
        for position in range(len(content)):
            file.write_bytes(
                content[:position] + bytes([content[position] ^ 0x11]) + content[position + 1 :]
            )
            with pytest.raises(StateError):
                checkpoint.load(tmp_path)
        file.write_bytes(content)
    checkpoint.load(tmp_path)


def test_a_truncated_or_lengthened_file_is_an_error(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    for file in [tmp_path / "index.json", *tmp_path.glob("generation-*/*")]:
        content = file.read_bytes()
        for altered in (
            b"",
            content[:4],
            content[: len(content) // 2],
            content[:-1],
            content + b"x",
        ):
            file.write_bytes(altered)
            with pytest.raises(StateError):
                checkpoint.load(tmp_path)
        file.write_bytes(content)


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"holds no saved state: index\.json is missing"):
        checkpoint.load(tmp_path)


def test_a_foreign_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"weight_map": {}}')
    with pytest.raises(StateError, match="not an index that dynsample wrote"):
        checkpoint.load(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**index, "version": 2}))
    with pytest.raises(StateError, match="has format version 2; this dynsample reads up to 1"):
        checkpoint.load(tmp_path)


def test_a_full_disk_keeps_the_previous_generation(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    code = f"""
import resource, numpy as np
from pathlib import Path
from dynsample import checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files = {{"table.safetensors": {{"x": np.zeros(10000)}}}}
    checkpoint.save(Path({str(tmp_path)!r}), files, {{}})
except OSError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "generation 1 is still there" in run.stdout
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000001"]
    assert_same(checkpoint.load(tmp_path)[0])


def test_what_a_killed_save_left_is_overwritten(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, FILES, FACTS)
    torn = tmp_path / "generation-00000002"
    torn.mkdir()
    (torn / "table.safetensors").write_bytes(b"half")
    assert_same(checkpoint.load(tmp_path)[0])
    assert checkpoint.save(tmp_path, FILES, FACTS) == 2
    assert_same(checkpoint.load(tmp_path)[0])
