"""Coresets as files: lines, .npy, JSON with the fingerprint of the data set, columns of Parquet."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from dynsample.disk.arrays import load_array
from dynsample.disk.files import read_regular, refuse_overwrite, whole
from dynsample.files.file_list import FileList
from dynsample.files.file_list import read as read_list
from dynsample.kernels.convert import fingerprint
from dynsample.kernels.keys import Keys, Name, NamesOf, as_keys, encoded
from dynsample.kernels.numbers import as_subset

FORMAT, VERSION = "dynsample coreset", 1
COLUMNS = (".parquet", ".arrow", ".feather")
SUFFIXES = (".txt", ".npy", ".json", *COLUMNS)


def lines_of(path: str | os.PathLike[str]) -> list[bytes]:
    """Lines of the samples of a file list, with their ends; the position is the sample's id."""
    return read_list(path).lines


def file_fingerprint(path: str | os.PathLike[str]) -> str:
    """Identity of a data set by its file list."""
    return fingerprint(np.frombuffer(read_regular(path), np.uint8))


def ids_in_list(coreset: FileList, full: FileList) -> NDArray[np.int64]:
    """Ids of the samples of a coreset's file list in the full one, ascending.

    A leading slash does not matter, neither does the white space between name and label.
    """
    row_of = {sample: row for row, sample in enumerate(_samples(full))}
    if len(row_of) != len(full):
        raise ValueError(f"file_list must not repeat lines: {len(full) - len(row_of)} are repeated")
    found = [row_of.get(sample, -1) for sample in _samples(coreset)]
    if unknown := [row for row, sample in enumerate(found) if sample < 0]:
        raise ValueError(
            f"{len(unknown)} of {len(coreset)} lines of the coreset are not in the full file list, "
            f"the first {coreset.lines[unknown[0]].decode(errors='replace').strip()!r}"
        )
    return as_subset(np.array(found, np.int64), len(full))


def _samples(listed: FileList) -> Iterator[tuple[bytes, int]]:
    names = (name.lstrip(b"/") for name in listed.names)
    return zip(names, listed.labels.tolist(), strict=True)


def split_column(source: Path) -> tuple[Path, str | None]:
    """Split FILE.parquet:COLUMN; any other path has no column.

    The name of a column may have colons too.
    """
    parts = os.fspath(source).split(":")
    for count in range(len(parts) - 1, 0, -1):
        name = ":".join(parts[:count])
        if Path(name).suffix in COLUMNS:
            return Path(name), ":".join(parts[count:])
    return source, None


def write(
    path: str | os.PathLike[str],
    ids: NDArray[np.int64],
    num_samples: int,
    *,
    file_list: str | os.PathLike[str] | None = None,
    rule: Mapping[str, object] | None = None,
    force: bool = True,
    names_of: NamesOf | None = None,
) -> None:
    """Write a coreset, whole or not at all; the suffix says how.

    Parameters
    ----------
    path : path
        .txt: the kept lines of `file_list`, byte for byte, in their order, or without it the keys,
        one a line; .npy: int64 ids; .json: ids, rule, number of samples and fingerprint of
        `file_list`; .parquet, .arrow or .feather: columns `index`, and `key` where there are keys.
    ids : int64[k]
    num_samples : int
        Size of the full data set.
    file_list : path, optional
    rule : mapping, optional
        How the ids were chosen, for the JSON.
    force : bool
        Replace a file that is there and holds something else; an error otherwise.
    names_of : callable(ids) -> list of names, optional
        Gives the keys of samples, as `Keys.names` does.
    """
    out = Path(path)
    if out.suffix not in SUFFIXES:
        raise ValueError(f"output must end in {', '.join(SUFFIXES)}, got {out}")
    ids = as_subset(ids, num_samples)
    content = io.BytesIO()
    if out.suffix == ".npy":
        np.save(content, ids)
    elif out.suffix == ".json":
        content.write(_as_json(ids, num_samples, file_list, rule).encode())
    elif out.suffix in COLUMNS:
        from dynsample.coreset import arrow_files

        names = None if names_of is None else names_of(ids)
        facts = {"num_samples": num_samples, "rule": dict(rule or {})}
        arrow_files.write_coreset(content, out.suffix, ids, names, facts)
    elif file_list is None:
        if names_of is None:
            raise ValueError("a .txt has lines of a file list, or keys: neither is there")
        content.writelines(map(_key_line, names_of(ids)))
    else:
        lines = lines_of(file_list)
        if len(lines) != num_samples:
            raise ValueError(f"{file_list} must have {num_samples} lines, got {len(lines)}")
        content.writelines(lines[i] for i in ids.tolist())
    refuse_overwrite(out, force, content.getvalue())
    with whole(out) as file:
        file.write(content.getbuffer())


def _key_line(name: Name) -> bytes:
    line = encoded(name)
    if b"\n" in line:
        raise ValueError(f"a .txt has no way to write the key {name!r}, which holds a line break")
    return line + b"\n"


def _as_json(
    ids: NDArray[np.int64],
    num_samples: int,
    file_list: str | os.PathLike[str] | None,
    rule: Mapping[str, object] | None,
) -> str:
    content = {
        "format": FORMAT,
        "version": VERSION,
        "num_samples": num_samples,
        "fingerprint": None if file_list is None else file_fingerprint(file_list),
        "rule": dict(rule or {}),
        "ids": ids.tolist(),
    }
    return json.dumps(content) + "\n"


def load(
    path: str | os.PathLike[str],
    num_samples: int,
    *,
    file_list: str | os.PathLike[str] | None = None,
    keys: Keys | None = None,
) -> NDArray[np.int64]:
    """Read a coreset for `Sampler(subset=...)`: ids, int64[k], ascending.

    Parameters
    ----------
    path : path
        What `write` wrote, any file list, .npy of ids, or Parquet or Arrow file with a column
        `index` of ids, or `key` of keys.
    num_samples : int
        Size of the full data set.
    file_list : path, optional
        The full one: needed for a .txt of its lines, and compared with the fingerprint of a .json.
    keys : Keys, optional
        Names of all samples: needed for a .txt of keys and for a file without ids, and compared
        with the keys beside ids.

    Raises
    ------
    ValueError, IndexError, KeyError
        For a coreset of another data set.

    Examples
    --------
    >>> np.save("kept.npy", [7, 3])
    >>> ds.coreset.load("kept.npy", 10).tolist()
    [3, 7]
    """
    source = Path(path)
    if source.suffix == ".npy":
        return as_subset(load_array(source), num_samples)
    if source.suffix == ".json":
        return _from_json(source, num_samples, file_list)
    if source.suffix in COLUMNS:
        from dynsample.coreset import arrow_files

        return as_subset(arrow_files.read_coreset(source, num_samples, keys), num_samples)
    if file_list is None and keys is not None:
        lines = read_regular(source).split(b"\n")
        if not lines[-1]:  # every line has an end; a name may be empty
            lines.pop()
        return as_subset(as_keys(keys, num_samples).rows(keys.decoded(lines)), num_samples)
    if file_list is None:
        raise ValueError(
            f"{source} has lines of a file list, or keys: file_list, the full one, is missing, or "
            "keys"
        )
    full = read_list(file_list)
    if len(full) != num_samples:
        raise ValueError(f"{file_list} must have {num_samples} lines, got {len(full)}")
    return ids_in_list(read_list(source, may_be_empty=True), full)


def _from_json(
    source: Path, num_samples: int, file_list: str | os.PathLike[str] | None
) -> NDArray[np.int64]:
    try:
        content = json.loads(read_regular(source))
    except ValueError as error:  # also of text that is not UTF-8
        raise ValueError(f"{source} is not JSON, or it is cut short: {error}") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{source} is not a coreset that dynsample wrote")
    version, count, identity, ids = (
        content.get(name) for name in ("version", "num_samples", "fingerprint", "ids")
    )
    if not _is_integer(version) or version > VERSION:
        raise ValueError(f"{source} has version {version}, this dynsample reads {VERSION}")
    if not _is_integer(count) or count != num_samples:
        raise ValueError(f"{source} is of a data set of {count} samples, not {num_samples}")
    if file_list and identity not in (None, file_fingerprint(file_list)):
        raise ValueError(f"{source} is of another data set than {file_list}: fingerprints differ")
    for each in ids if isinstance(ids, list) else [ids]:
        if not (_is_integer(each) and 0 <= each < num_samples):
            raise ValueError(f"{source}: ids must be integers in [0, {num_samples}), got {each!r}")
    return as_subset(np.array(ids, np.int64), num_samples)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
