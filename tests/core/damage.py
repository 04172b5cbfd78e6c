"""Files that somebody altered and then gave right checksums, and what opening them says.

Run as a script on a kind of files and a range of case numbers; a case is a function of its number.
"""

from __future__ import annotations

import json
import random
import re
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import dynsample as ds
from dynsample import files, groups, payload
from dynsample.coreset import score_files
from dynsample.disk import checkpoint
from dynsample.files import pack

MEMORY = 1 << 30  # bytes beyond those of the libraries
N = 24
DEEP = "@deep@"
TWICE = "@twice@"
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**32, 2**40, 2**63 - 1, 2**64, -(2**63), 10**400, 0.5,
    1e308, float("inf"), float("nan"), "", "x", "0", "\ud800", "\0", "../../etc/passwd", "F64",
    [], {}, [0], [[]], [-1, 5], [5, 0], [2**62, 2**62], {"x": 1}, [None] * 50, "9" * 5000, DEEP,
]  # fmt: skip


def altered(value: Any, chance: random.Random) -> Any:
    """A JSON value of which one field is replaced, taken away, doubled or added."""
    value = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []

    def walk(inside: Any) -> None:
        keys = inside if isinstance(inside, dict) else range(len(inside))
        for key in keys:
            places.append((inside, key))
            if isinstance(inside[key], (dict, list)):
                walk(inside[key])

    if isinstance(value, (dict, list)):
        walk(value)
    if not places or chance.random() < 0.03:
        return chance.choice(ODD)
    inside, key = chance.choice(places)
    how = chance.random()
    if how < 0.6:
        inside[key] = chance.choice(ODD)
    elif how < 0.7 and isinstance(inside[key], int):
        inside[key] += chance.choice([-1, 1, 8, 2**32])
    elif how < 0.85:
        del inside[key]
    elif isinstance(inside, dict):
        inside[TWICE if how < 0.93 else "more"] = chance.choice(ODD)
    else:
        inside.append(chance.choice(ODD))
    return value


def text(value: Any) -> str:
    """JSON of it, also of what Python has no value for."""
    written = json.dumps(value).replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000)
    if f'"{TWICE}"' in written and isinstance(value, dict):
        written = written.replace(f'"{TWICE}"', json.dumps(next(iter(value))))
    return written


def bent(content: bytes, chance: random.Random) -> bytes:
    """Bytes of which some are flipped, cut off, added or doubled."""
    at = chance.randrange(len(content) + 1)
    how = chance.randrange(5)
    if how == 0:
        return content[:at]
    if how == 1:
        return content + chance.randbytes(chance.randrange(1, 40))
    if how == 2:
        return content[:at] + content[at : at + 9] + content[at:]
    if how == 3:
        return content[:at] + chance.randbytes(8) + content[at + 8 :]
    flipped = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def bent_array(content: bytes, chance: random.Random) -> bytes:
    """Bytes of which a few are others: as many, so that sizes stay right."""
    changed = bytearray(content)
    for _ in range(chance.randrange(1, 4)):
        if changed:
            at = chance.randrange(len(changed)) & ~7
            replaced = chance.choice([b"\xff" * 8, b"\0" * 8, chance.randbytes(8)])
            changed[at : at + 8] = replaced[: len(changed[at : at + 8])]
    return bytes(changed)


# States


def make_state(folder: Path) -> None:
    sampler = make_sampler()
    sampler.set_epoch(0)
    for index in sampler:
        observe(sampler, index)
    sampler.set_epoch(1)
    observe(sampler, next(iter(sampler)))
    sampler.save(folder / "state")


def make_sampler() -> ds.Sampler:
    return ds.Sampler(N, ds.Kakurenbo(fraction=0.4), 5, group=groups.single())


def observe(sampler: ds.Sampler, index: np.ndarray) -> None:
    loss = (index % 7).astype(np.float32)
    sampler.observe(index, loss=loss, correct=loss % 2, confidence=loss / 7)


def damage_state(folder: Path, chance: random.Random) -> None:
    state = folder / "state"
    tensors = sorted(state.glob("generation-*/*.safetensors"))
    index = json.loads((state / "index.json").read_text())
    body = json.loads(index["body"])
    how = chance.random()
    if how < 0.15:
        file = chance.choice([state / "index.json", *tensors])
        file.write_bytes(bent(file.read_bytes(), chance))
        return
    if how < 0.6:
        file = chance.choice(tensors)
        content = damaged_tensors(file.read_bytes(), chance)
        file.write_bytes(content)
        size = int.from_bytes(content[:8], "little")
        body["headers"][file.stem] = zlib.crc32(content[8 : 8 + size])
    elif how < 0.65:
        index = altered(index, chance)
        (state / "index.json").write_text(text(index))
        return
    else:
        place = chance.choice(["facts", "facts", "parts", "headers", None])
        if place is None:
            body = altered(body, chance)
        else:
            body[place] = altered(body[place], chance)
    index["body"] = text(body)
    index["crc32"] = zlib.crc32(index["body"].encode("utf-8", "surrogatepass"))
    (state / "index.json").write_text(json.dumps(index))


def damaged_tensors(content: bytes, chance: random.Random) -> bytes:
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    how = chance.random()
    if how < 0.5:
        data = bent_array(data, chance)
    if how > 0.4:
        place = chance.choice([name for name in header if name != "__metadata__"] or [None])
        if how < 0.5 or place is None:
            header = altered(header, chance)
        elif how < 0.6:
            header["__metadata__"] = altered(header["__metadata__"], chance)
        else:
            header[place] = altered(header[place], chance)
    if isinstance(header, dict) and chance.random() < 0.85:
        with_sums(header, data, chance)
    raw = text(header).encode("utf-8", "surrogatepass")
    length = chance.choice([0, 2**63, 2**40, len(raw) + 1]) if chance.random() < 0.05 else len(raw)
    return length.to_bytes(8, "little") + raw + data


def with_sums(header: dict[str, Any], data: bytes, chance: random.Random) -> None:
    """Give tensors the checksums that they have now, as far as they are somewhere."""
    metadata = header.get("__metadata__")
    if not isinstance(metadata, dict) or "crc32" not in metadata:
        return
    sums: Any = {}
    for name, entry in header.items():
        try:
            start, stop = entry["data_offsets"]
            sums[name] = zlib.crc32(data[start:stop])
        except (KeyError, TypeError, ValueError):
            sums[name] = 0
    sums.pop("__metadata__", None)
    metadata["crc32"] = text(altered(sums, chance) if chance.random() < 0.1 else sums)


def open_state(folder: Path) -> None:
    sampler = make_sampler()
    try:
        sampler.load(folder / "state")
    except checkpoint.StateError:
        pass
    else:
        for index in sampler:
            observe(sampler, index)
        sampler.set_epoch(sampler.epoch + 1)
    try:
        score_files.from_sampler(folder / "state", "loss")
    except checkpoint.StateError:
        pass
    except ValueError as error:
        if not re.search("is of a run on a subset|score must be", str(error)):
            raise


# Payloads


def make_payload(folder: Path) -> None:
    facts = payload.Facts(N, 6, labels="top3", mix="cutmix", size=(16, 24))
    views, writer = payload.Views(facts), payload.Writer(folder / "store", facts)
    for epoch in (0, 1):
        with writer.epoch(epoch) as rows:
            index = np.arange(N)
            logits = (index[:, None] * 5 + np.arange(6)).astype(np.float32) % 7
            rows.add(index, logits, **views.batch(epoch, index))


def damage_payload(folder: Path, chance: random.Random) -> None:
    file = folder / "store" / f"epoch-{chance.randrange(2):05d}.safetensors"
    content = file.read_bytes()
    if chance.random() < 0.15:
        file.write_bytes(bent(content, chance))
        return
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]
    how = chance.random()
    if how < 0.35:
        data = bent_array(data, chance)
        sums = {
            name: f"{zlib.crc32(data[slice(*entry['data_offsets'])]):08x}"
            for name, entry in header.items()
            if name != "__metadata__"
        }
        header["__metadata__"]["crc32"] = json.dumps(sums)
    elif how < 0.65:
        facts = altered(json.loads(header["__metadata__"]["facts"]), chance)
        header["__metadata__"]["facts"] = text(facts)
    elif how < 0.8:
        header["__metadata__"] = altered(header["__metadata__"], chance)
    else:
        header = altered(header, chance)
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(metadata, dict) and "header_crc32" in metadata:
        metadata["header_crc32"] = "-" * 8
        blank = text(header).encode("utf-8", "surrogatepass")
        metadata["header_crc32"] = f"{zlib.crc32(blank):08x}"
    raw = text(header).encode("utf-8", "surrogatepass")
    file.write_bytes(len(raw).to_bytes(8, "little") + raw + data)


def open_payload(folder: Path) -> None:
    try:
        store = payload.Store(folder / "store", verify=True)
        for epoch in range(store.num_epochs):
            store.batch(epoch, np.arange(store.facts.num_samples))
    except payload.PayloadError:
        pass


# Packs


def make_pack(folder: Path) -> None:
    names = [f"{i}.jpg".encode() for i in range(N)]
    for i, name in enumerate(names):
        (folder / name.decode()).write_bytes(bytes([i]) * (i + 1))
    pack.write(files.from_names(folder, names, list(range(N))), folder / "pack")


def damage_pack(folder: Path, chance: random.Random) -> None:
    file = folder / "pack"
    content = file.read_bytes()
    how = chance.random()
    if how < 0.15:
        file.write_bytes(bent(content, chance))
        return
    fields = list(pack.HEADER.unpack(content[: pack.HEADER.size]))
    images = content[pack.HEADER.size : pack.HEADER.size + fields[3]]
    rest = content[pack.HEADER.size + fields[3] :]
    if how < 0.75:
        rest = bent_array(rest, chance)
        if chance.random() < 0.5:  # an offset or start that is plausible
            bounds = np.frombuffer(rest[: 16 * (N + 1)], "<i8").copy()
            bounds[chance.randrange(len(bounds))] += chance.choice([-(2**40), -5, -1, 1, 9, 2**62])
            rest = bounds.tobytes() + rest[16 * (N + 1) :]
    else:
        place = chance.choice([1, 2, 3, 4])
        most = 2**32 - 1 if place == 1 else 2**64 - 1
        odd = [0, 1, most, 2**31, 2**32 - 1, fields[place] + 1, fields[place] - 1, most // 16]
        fields[place] = chance.choice(odd)
    fields[5] = zlib.crc32(rest)
    fields[6] = 0
    fields[6] = zlib.crc32(pack.HEADER.pack(*fields))
    file.write_bytes(pack.HEADER.pack(*fields) + images + rest)


def open_pack(folder: Path) -> None:
    for verify in (False, True):
        try:
            opened = pack.open_pack(folder / "pack", verify=verify)
        except pack.PackError:
            continue
        for i in range(len(opened)):
            assert len(opened.read(i)) > 0
            assert opened.path(i)


Step = Callable[[Path], None]
KINDS: dict[str, tuple[Step, Callable[[Path, random.Random], None], Step]] = {
    "state": (make_state, damage_state, open_state),
    "payload": (make_payload, damage_payload, open_payload),
    "pack": (make_pack, damage_pack, open_pack),
}


def limit_memory() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def run(kind: str, first: int, last: int) -> int:
    make, damage, open_all = KINDS[kind]
    warnings.simplefilter("ignore")
    failed = 0
    with tempfile.TemporaryDirectory(prefix="damage-") as name:
        whole, copy = Path(name, "whole"), Path(name, "copy")
        whole.mkdir()
        make(whole)
        open_all(whole)
        limit_memory()
        for case in range(first, last):
            shutil.copytree(whole, copy)
            damage(copy, random.Random(f"{kind} {case}"))
            try:
                open_all(copy)
            except Exception:
                failed += 1
                print(f"case {case} of {kind}:\n{traceback.format_exc()}", flush=True)
            shutil.rmtree(copy)
    return failed


if __name__ == "__main__":
    sys.exit(min(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])), 1))
