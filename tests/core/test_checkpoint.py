"""Saved state is whole or absent, and every altered byte is noticed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from dynsample import groups
from dynsample.disk import checkpoint
from dynsample.disk.checkpoint import StateError

FILES = {
    "table": {
        "loss/value": np.arange(5, dtype=np.float32),
        "seen": np.array([True, False, True, True, False]),
        "empty": np.empty(0, np.uint32),
        "window": np.arange(6, dtype=np.float32).reshape(2, 3),
    },
    "log": {"index": np.arange(3, dtype=np.uint32)},
}
FACTS = {"epoch": 3}


def save(path: Path, files: dict[str, checkpoint.Tensors], facts: object) -> int:
    return checkpoint.save(path, files, facts, [len(files)], groups.single())


def load(path: Path) -> tuple[dict[str, checkpoint.Tensors], object]:
    saved = checkpoint.Saved(path)
    assert saved.parts == [[len(FILES)]]
    return {name: saved.read(name) for name in FILES}, saved.facts


def assert_same(files: dict[str, checkpoint.Tensors]) -> None:
    for name, tensors in FILES.items():
        for key, array in tensors.items():
            np.testing.assert_array_equal(files[name][key], array)
            assert files[name][key].dtype == array.dtype


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert save(tmp_path / "state", FILES, FACTS) == 1
    files, facts = load(tmp_path / "state")
    assert_same(files)
    assert facts == FACTS


def test_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    save(tmp_path, FILES, {"epoch": 1})
    assert save(tmp_path, FILES, {"epoch": 2}) == 2
    assert load(tmp_path)[1] == {"epoch": 2}
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000002"]


def test_files_are_safetensors_that_others_read(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    tensors = load_file(next(tmp_path.glob("generation-*/table.safetensors")))
    np.testing.assert_array_equal(tensors["window"], FILES["table"]["window"])


def test_every_flipped_byte_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    for file in [tmp_path / "index.json", *tmp_path.glob("generation-*/*")]:
        content = file.read_bytes()
        for position in range(len(content)):
            file.write_bytes(
                content[:position] + bytes([content[position] ^ 0x11]) + content[position + 1 :]
            )
            with pytest.raises(StateError):
                load(tmp_path)
        file.write_bytes(content)
    load(tmp_path)


def test_a_truncated_or_lengthened_file_is_an_error(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
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
                load(tmp_path)
        file.write_bytes(content)


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"holds no saved state: index\.json is missing"):
        load(tmp_path)


def test_a_foreign_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text('{"weight_map": {}}')
    with pytest.raises(StateError, match="not an index that dynsample wrote"):
        load(tmp_path)


def test_a_newer_format_asks_for_an_upgrade(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    index = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**index, "version": 2}))
    with pytest.raises(StateError, match="has format version 2; this dynsample reads up to 1"):
        load(tmp_path)


def test_a_full_disk_keeps_the_previous_generation(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    code = f"""
import resource, numpy as np
from pathlib import Path
from dynsample import groups
from dynsample.disk import checkpoint
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    files = {{"table": {{"x": np.zeros(10000)}}}}
    checkpoint.save(Path({str(tmp_path)!r}), files, {{}}, [], groups.single())
except OSError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert "generation 1 is still there" in run.stdout
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000001"]
    assert_same(load(tmp_path)[0])


def killed(path: Path) -> None:
    """Save in a process that dies between two files of the save."""
    code = f"""
import os, signal, numpy as np
from pathlib import Path
from dynsample import groups
from dynsample.disk import checkpoint
class Deadly(dict):
    def items(self):
        os.kill(os.getpid(), signal.SIGKILL)
files = {{"table": {{"x": np.zeros(10)}}, "log": Deadly()}}
checkpoint.save(Path({str(path)!r}), files, {{}}, [], groups.single())
"""
    run = subprocess.run([sys.executable, "-c", code], check=False)
    assert run.returncode == -9


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    killed(tmp_path)
    assert (tmp_path / "generation-00000002" / "table.safetensors").exists()
    assert_same(load(tmp_path)[0])
    assert save(tmp_path, FILES, FACTS) == 2
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000002"]
    assert_same(load(tmp_path)[0])


def test_rows_are_cut_out_of_the_files_of_all_ranks(tmp_path: Path) -> None:
    rows = [(0, 3), (3, 3), (3, 8)]

    def write(group: groups.Group) -> None:
        first, last = rows[group.rank]
        files = {
            f"log-{group.rank:05d}": {
                "x": np.arange(first, last),
                "outstanding/x": -np.arange(first, last),
            }
        }
        checkpoint.save(tmp_path, files, {}, [first, last], group)

    groups.simulate(3, write)
    saved = checkpoint.Saved(tmp_path)
    assert saved.parts == [list(pair) for pair in rows]
    for first in range(9):
        for last in range(first, 9):
            cut = saved.cut("log", "", rows, (first, last))
            assert cut.keys() == {"x"}
            np.testing.assert_array_equal(cut["x"], np.arange(first, last))
            cut = saved.cut("log", "outstanding/", rows, (first, last))
            np.testing.assert_array_equal(cut["outstanding/x"], -np.arange(first, last))


def test_a_rank_that_cannot_write_keeps_the_previous_generation(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    errors = []

    def write(group: groups.Group) -> None:
        files = {"x": {"x": np.zeros(1, "complex64" if group.rank == 1 else "float32")}}
        try:
            checkpoint.save(tmp_path, files, {}, [], group)
        except (groups.GroupError, KeyError) as error:
            errors.append((group.rank, str(error)))

    groups.simulate(2, write)
    assert dict(errors)[0].startswith(f"the save to {tmp_path} failed on rank 1 of 2: KeyError")
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000001"]
    assert_same(load(tmp_path)[0])


def test_folders_of_the_users_are_neither_written_to_nor_removed(tmp_path: Path) -> None:
    mine = {"generation-samples/a.png": b"a", "generation-00000001/b.npy": b"b", "notes.txt": b"c"}
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for epoch in range(3):
        save(tmp_path, FILES, {"epoch": epoch})
    assert load(tmp_path)[1] == {"epoch": 2}
    assert {name: (tmp_path / name).read_bytes() for name in mine} == mine
    assert len(list(tmp_path.glob("generation-*"))) == 3


def test_a_generation_without_a_mark_is_read_and_replaced(tmp_path: Path) -> None:
    save(tmp_path, FILES, {"epoch": 1})  # as a version did that left no marks
    (tmp_path / "generation-00000001" / "written-by-dynsample").unlink()
    (tmp_path / ".dynsample.lock").unlink()
    assert_same(load(tmp_path)[0])
    save(tmp_path, FILES, {"epoch": 2})
    assert load(tmp_path)[1] == {"epoch": 2}
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000002"]


def test_what_is_being_read_is_removed_by_a_later_save_only(tmp_path: Path) -> None:
    save(tmp_path, FILES, {"epoch": 1})
    reader = checkpoint.Saved(tmp_path)
    for epoch in (2, 3):
        save(tmp_path, FILES, {"epoch": epoch})
    assert_same({name: reader.read(name) for name in FILES})
    del reader
    save(tmp_path, FILES, {"epoch": 4})
    assert [path.name for path in tmp_path.glob("generation-*")] == ["generation-00000004"]


def test_a_save_inside_of_a_save_is_refused_at_once(tmp_path: Path) -> None:
    class Interrupted(dict):
        def items(self):  # type: ignore[no-untyped-def]
            save(tmp_path, FILES, {"epoch": 2})  # as a signal handler would
            return super().items()

    with pytest.raises(checkpoint.LockError, match="was called inside of the save to"):
        save(tmp_path, {"table": Interrupted(FILES["table"])}, {"epoch": 1})
    assert save(tmp_path, FILES, FACTS) == 1


def test_another_saver_is_waited_for_and_named_when_it_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LOCK_SECONDS", 0.1)
    tmp_path.joinpath("state").mkdir()
    code = f"""
from pathlib import Path
from dynsample.disk.locks import locked
with locked(Path({str(tmp_path / "state" / checkpoint.LOCK)!r}), 1, "the other save"):
    print("held", flush=True)
    input()
"""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(
            checkpoint.LockError, match=rf"held by process {other.pid} on .*, the other save"
        ):
            save(tmp_path / "state", FILES, FACTS)
        other.communicate("\n")
    assert save(tmp_path / "state", FILES, FACTS) == 1


def save_often(path: Path, which: int) -> subprocess.Popen[str]:
    code = f"""
from pathlib import Path
import numpy as np
from dynsample import groups
from dynsample.disk import checkpoint
for step in range(40):
    tensors = {{"x": np.full(1000, {which}), "y": np.full(1000, {which})}}
    checkpoint.save(Path({str(path)!r}), {{"a": tensors, "b": tensors}}, {{}}, [], groups.single())
"""
    return subprocess.Popen([sys.executable, "-c", code])


def test_two_savers_and_a_reader_get_on_with_each_other(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, {"a": {"x": np.zeros(3)}}, {}, [], groups.single())
    savers = [save_often(tmp_path, which) for which in (1, 2)]
    seen = set()
    while any(saver.poll() is None for saver in savers):
        saved = checkpoint.Saved(tmp_path)
        values = {int(v) for array in saved.read("a").values() for v in np.unique(array)}
        assert len(values) == 1
        seen |= values
    assert [saver.wait() for saver in savers] == [0, 0]
    assert seen & {1, 2}
    assert checkpoint.save(tmp_path, {}, {}, [], groups.single()) == 82


def test_a_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    save(tmp_path, FILES, FACTS)
    os.truncate(next(tmp_path.glob("generation-*/table.safetensors")), 40 << 30)
    with pytest.raises(StateError, match=r"has 4294967\d+ bytes of tensors, its header says"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["index.json", "generation-00000001/table.safetensors"])
def test_a_pipe_is_no_file_of_a_state_and_not_waited_for(tmp_path: Path, name: str) -> None:
    save(tmp_path, FILES, FACTS)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(StateError, match="not a regular file"):
        load(tmp_path)
