"""Coresets as files: lines of a file list, .npy, JSON with the fingerprint of the data set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dynsample._arrays import as_subset, fingerprint

FORMAT, VERSION = "dynsample coreset", 1
SUFFIXES = (".txt", ".npy", ".json")


def lines_of(path: str | os.PathLike[str]) -> list[bytes]:
    """Lines of a file list, with their ends; the line number is the sample's id."""
    return Path(path).read_bytes().splitlines(keepends=True)


def file_fingerprint(path: str | os.PathLike[str]) -> str:
    """Identity of a data set by its file list."""
    return fingerprint(np.frombuffer(Path(path).read_bytes(), np.uint8))


def ids_of_lines(coreset: Sequence[bytes], full: Sequence[bytes]) -> NDArray[np.int64]:
    """Ids of the lines of a coreset's file list in the full one, ascending.

    A leading slash does not matter, neither does the kind of line break.
    """
    row_of = {_bare(line): row for row, line in enumerate(full)}
    if len(row_of) != len(full):
        raise ValueError(f"file_list must not repeat lines: {len(full) - len(row_of)} are repeated")
    unknown = [line for line in coreset if _bare(line) not in row_of]
    if unknown:
        raise ValueError(
            f"{len(unknown)} of {len(coreset)} lines of the coreset are not in the full file list, "
            f"the first {unknown[0].decode(errors='replace').strip()!r}"
        )
    return as_subset(np.array([row_of[_bare(line)] for line in coreset], np.int64), len(full))


def _bare(line: bytes) -> bytes:
    return line.strip().lstrip(b"/")


def write(
    path: str | os.PathLike[str],
    ids: NDArray[np.int64],
    num_samples: int,
    *,
    file_list: str | os.PathLike[str] | None = None,
    rule: Mapping[str, Any] | None = None,
) -> None:
    """Write a coreset, whole or not at all; the suffix says how.

    Parameters
    ----------
    path : path
        .txt: the kept lines of `file_list`, byte for byte, in their order; .npy: int64 ids; .json:
        ids, rule, number of samples and fingerprint of `file_list`.
    ids : int64[k]
    num_samples : int
        Of the full data set.
    file_list : path, optional
    rule : mapping, optional
        How the ids were chosen, for the JSON.
    """
    out = Path(path)
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    if out.suffix not in SUFFIXES:
        raise ValueError(f"output must end in {', '.join(SUFFIXES)}, got {out}")
    if out.suffix == ".txt" and file_list is None:
        raise ValueError("a .txt is made of the lines of a file list: which one is missing")
    try:
        with open(partial, "wb") as file:
            if out.suffix == ".npy":
                np.save(file, ids)
            elif out.suffix == ".json":
                file.write(_as_json(ids, num_samples, file_list, rule).encode())
            else:
                lines = lines_of(file_list)  # type: ignore[arg-type]
                file.writelines(lines[i] for i in ids.tolist())
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)


def _as_json(
    ids: NDArray[np.int64],
    num_samples: int,
    file_list: str | os.PathLike[str] | None,
    rule: Mapping[str, Any] | None,
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
) -> NDArray[np.int64]:
    """Read a coreset for `Sampler(subset=...)`: ids, int64[k], ascending.

    Parameters
    ----------
    path : path
        What `write` wrote, or any file list or .npy of ids.
    num_samples : int
        Of the full data set.
    file_list : path, optional
        The full one: needed for a .txt, and compared with the fingerprint of a .json.

    Raises
    ------
    ValueError, IndexError
        For a coreset of another data set.
    """
    source = Path(path)
    if source.suffix == ".npy":
        return as_subset(np.load(source, allow_pickle=False), num_samples)
    if source.suffix == ".json":
        return _from_json(source, num_samples, file_list)
    if file_list is None:
        raise ValueError(f"{source} has lines of a file list: file_list, the full one, is missing")
    full = lines_of(file_list)
    if len(full) != num_samples:
        raise ValueError(f"{file_list} must have {num_samples} lines, got {len(full)}")
    return ids_of_lines(lines_of(source), full)


def _from_json(
    source: Path, num_samples: int, file_list: str | os.PathLike[str] | None
) -> NDArray[np.int64]:
    content = json.loads(source.read_bytes())
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{source} is not a coreset that dynsample wrote")
    if content["version"] > VERSION:
        raise ValueError(f"{source} has version {content['version']}, this dynsample reads 1")
    if content["num_samples"] != num_samples:
        raise ValueError(
            f"{source} is of a data set of {content['num_samples']} samples, not {num_samples}"
        )
    if file_list and content["fingerprint"] not in (None, file_fingerprint(file_list)):
        raise ValueError(f"{source} is of another data set than {file_list}: fingerprints differ")
    return as_subset(np.array(content["ids"], np.int64), num_samples)
