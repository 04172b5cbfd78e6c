"""Choose which samples of a data set to keep for good, from scores in a file.

Dyn-Unc's own flags work too: --input, --dataset_file_list, --fraction, --window, --output.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from numpy.typing import NDArray

from dynsample import coreset
from dynsample.cli.needs import check_installed
from dynsample.cli.printing import reason, say
from dynsample.cli.progress import progress
from dynsample.coreset import dyn_unc as history
from dynsample.coreset import files as coreset_files
from dynsample.coreset import score_files
from dynsample.disk.arrays import load_array
from dynsample.disk.files import refuse_overwrite
from dynsample.files import file_list
from dynsample.files.file_list import FileList
from dynsample.kernels.keys import NamesOf
from dynsample.run import saved_table

KEEP = ("highest", "lowest", "offset", "random", "drawn", "balanced", "strata")
DYN_UNC = "dyn-unc"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where scores come from, what is kept, and where it goes."""
    # fmt: off
    parser.add_argument("--from", "--input", dest="source", type=Path, metavar="PATH",
                        help=".npy, .csv, FILE.parquet:COLUMN (or .arrow, .feather), a folder of "
                        "prob_<epoch>.txt, a saved sampler, or the file list of a coreset; not "
                        "needed to keep at random")
    parser.add_argument("--score", metavar="NAME",
                        help=f"{DYN_UNC} (of recorded probabilities), or the column to read")
    parser.add_argument("--index", metavar="COLUMN",
                        help="of a .csv: ids or file names that say which sample a row is "
                        "(default: the one called index, id, sample, name, path or file); of a "
                        ".parquet: ids (default: index)")
    parser.add_argument("--in-order", action="store_true",
                        help="rows of a .csv are in the data set's order: no column says it")
    parser.add_argument("--window", type=int, default=10, help=f"of {DYN_UNC} (%(default)s)")
    parser.add_argument("--keep", choices=KEEP, default="highest",
                        help="drawn: at random, with the scores as probabilities; balanced: the "
                        "same number of every class; strata: CCS (%(default)s)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--fraction", type=float, help="to keep: int(fraction * N) samples")
    size.add_argument("--size", type=int, help="samples to keep")
    parser.add_argument("--offset", type=int, default=0, help="lowest scores to leave out (0)")
    parser.add_argument("--strata", type=int, default=50, help="of equal width (%(default)s)")
    parser.add_argument("--cutoff", type=float, default=0.0,
                        help="strata: share of the hardest to drop (%(default)s)")
    parser.add_argument("--hardest", choices=("highest", "lowest"), default="highest",
                        help="strata: which scores are hard, lowest for AUM (%(default)s)")
    parser.add_argument("--within", choices=("highest", "lowest", "random"), default="highest",
                        help="balanced: what to keep of a class (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of what is random (%(default)s)")
    parser.add_argument("--file-list", "--dataset_file_list", type=Path, metavar="FILE",
                        help="of the whole data set: a path and a label on every line")
    parser.add_argument("--labels", type=Path, metavar="FILE",
                        help="a .npy in the data set's order (default: those of the file list)")
    parser.add_argument("--index-order", choices=score_files.INDEX_ORDERS, default="dataset",
                        help="of the scores; Data Diet's are class-sorted (%(default)s)")
    parser.add_argument("--class-sort", default="only", metavar="HOW",
                        help="class-sorted: stable, numpy (its default sort), or a .npy with the "
                        "permutation (default: an error where they differ)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="a .txt (lines of the file list, or else keys), .npy, .json, "
                        ".parquet, .arrow or .feather")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as JSON")
    parser.add_argument("--force", action="store_true", help="replace other files that are there")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Read, choose, write, and say what was kept."""
    if args.output.suffix in coreset_files.COLUMNS or _is_columns(args.source):
        check_installed(parser, "coreset", {"pyarrow": "pyarrow"}, "arrow")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            summary = _run(args)
        peak = peak_bytes()
        if args.json:
            written = {name: value for name, value in summary.items() if name != "lines"}
            args.json.write_text(json.dumps(written | {"peak_bytes": peak}, indent=2) + "\n")
    except (OSError, ValueError, TypeError, IndexError) as error:
        parser.error(reason(error))
    for warning in caught:
        say(f"{parser.prog}: warning: {warning.message}", sys.stderr)
    for line in summary["lines"]:
        say(line)
    say(
        f"{args.output}: {summary['kept']} of {summary['num_samples']} samples"
        f"{_unseen(summary['unseen'])}; peak memory {peak / 2**20:.0f} MiB"
    )
    return 0


def peak_bytes() -> int:
    """Most memory that this process held so far.

    What the system counts for a process on Linux begins with its parent's; this does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = (line.split() for line in status.read_text().splitlines())
        return next((int(words[1]) * 1024 for words in lines if words[:1] == ["VmHWM:"]), 0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS: in bytes


def _unseen(count: int) -> str:
    return f", {count} without a score among them" if count else ""


def _check_outputs(args: argparse.Namespace) -> None:
    if args.output.suffix not in coreset_files.SUFFIXES:
        raise ValueError(
            f"--output must end in {', '.join(coreset_files.SUFFIXES)}, got {args.output}"
        )
    if args.json is not None:
        if args.json.absolute() == args.output.absolute():
            raise ValueError(f"--json and --output must be two files, got {args.output} twice")
        refuse_overwrite(args.json, args.force)


def _is_columns(source: Path | None) -> bool:
    return source is not None and coreset_files.split_column(source)[0].suffix in (
        coreset_files.COLUMNS
    )


class _Scores(NamedTuple):
    """Scores, or the ids that a list names; what there is to say of them; keys of the samples."""

    values: NDArray[Any]
    ids: NDArray[np.int64] | None = None
    lines: Sequence[str] = ()
    names_of: NamesOf | None = None


class _Summary(TypedDict):
    num_samples: int
    kept: int
    unseen: int
    rule: dict[str, object]  # how the ids were chosen, for the JSON
    lines: Sequence[str]  # what there is to say of the scores


def _is_input(output: Path, args: argparse.Namespace) -> bool:
    """Whether the output was named as the scores too, and so is meant to be replaced."""
    source = None if args.source is None else coreset_files.split_column(args.source)[0]
    return output.exists() and source is not None and output.samefile(source)


def _run(args: argparse.Namespace) -> _Summary:
    _check_outputs(args)
    full = file_list.read(args.file_list) if args.file_list else None
    scores, ids, lines, names_of = _scores(args, full)
    count = len(scores) if full is None else len(full)
    if ids is None:
        if len(scores) != count:
            raise ValueError(
                f"{args.file_list} has {count} samples, and there are {len(scores)} scores"
            )
        ids = _choose(args, scores, full)
    names = ("score", "index", "in_order", "window", "keep", "fraction", "size", "offset", "strata",
             "cutoff", "hardest", "within", "seed", "index_order", "class_sort")  # fmt: skip
    rule = {name: getattr(args, name) for name in names} | {"from": str(args.source)}
    force = args.force or _is_input(args.output, args)
    given: dict[str, Any] = {"file_list": args.file_list, "rule": rule, "names_of": names_of}
    coreset_files.write(args.output, ids, count, **given, force=force)
    unseen = int(np.isnan(scores[ids]).sum()) if len(scores) and len(ids) else 0
    return {"num_samples": count, "kept": len(ids), "unseen": unseen, "rule": rule, "lines": lines}


def _scores(args: argparse.Namespace, full: FileList | None) -> _Scores:
    source: Path | None = args.source
    _check_flags(args)
    if source is None:
        if args.keep != "random" and not (args.keep == "balanced" and args.within == "random"):
            raise ValueError(f"--from is needed to keep the {args.keep}: where the scores are")
        if full is None and args.labels is None:
            raise ValueError("--file-list or --labels is needed: how many samples there are")
        return _Scores(np.zeros(len(_labels(args, full)) if full is None else len(full)))
    if source.suffix == ".txt":
        if full is None:
            raise ValueError(f"--file-list is needed: the full list, of which {source} is a part")
        if args.fraction is not None or args.size is not None:
            raise ValueError(f"{source} is a coreset already: --fraction and --size do not apply")
        kept = file_list.read(source, may_be_empty=True)
        return _Scores(np.zeros(0), coreset_files.ids_in_list(kept, full))
    if source.is_dir() and not (source / "index.json").exists():
        return _dyn_unc(args, source, None if full is None else len(full))
    names = None if full is None else full.names
    scores: NDArray[Any]
    names_of: NamesOf | None = None
    if source.is_dir():
        saved = saved_table.read(source)
        scores = score_files.column_of(saved, source, args.score)
        names_of = None if saved.keys is None else saved.keys.names
    elif _is_columns(source):
        scores, names_of = _columns(args, source, None if full is None else len(full))
    elif source.suffix == ".csv":
        scores = score_files.from_csv(
            source, args.score, names, index=args.index, in_order=args.in_order
        )
    elif source.suffix == ".npy":
        scores = score_files.from_npy(source, names)
    else:
        raise ValueError(
            f"--from must be a .npy, .csv, .txt, FILE.parquet:COLUMN or a folder, got {source}"
        )
    if args.index_order == "class-sorted":
        how = args.class_sort if args.class_sort in score_files.CLASS_SORTS else None
        sort = how or load_array(args.class_sort)
        scores = score_files.to_dataset_order(scores, _labels(args, full), sort)
    return _Scores(scores, names_of=names_of)


def _columns(
    args: argparse.Namespace, source: Path, count: int | None
) -> tuple[NDArray[Any], NamesOf | None]:
    from dynsample.coreset import arrow_files

    path, column = coreset_files.split_column(source)
    if column is not None and args.score not in (None, column):
        raise ValueError(f"--score must be left out beside {source}, got {args.score}")
    return arrow_files.read_scores(path, column or args.score, args.index, count)


def _check_flags(args: argparse.Namespace) -> None:
    if args.source is not None and args.source.suffix == ".csv":
        return
    if _is_columns(args.source):
        if args.in_order:
            raise ValueError("--in-order is for a .csv as --from")
    elif args.index is not None or args.in_order:
        raise ValueError("--index and --in-order are for a .csv as --from, --index for a .parquet")


def _dyn_unc(args: argparse.Namespace, source: Path, count: int | None) -> _Scores:
    if args.score not in (None, DYN_UNC):
        raise ValueError(f"--score must be {DYN_UNC} for recorded probabilities, got {args.score}")
    found = history.find(source)
    if count is None:
        with found[0].open("rb") as lines:
            count = sum(1 for line in lines if line.strip())
    with progress("reading probabilities", "epochs", len(found)) as shown:
        state = history.dyn_unc(found, count, args.window, progress=shown.advance)
    line = (
        f"{len(found)} epochs of {count} samples: windows of {args.window}, "
        f"{state.nbytes / 2**20:.0f} MiB kept between epochs; {found[0].name} to {found[-1].name}"
    )
    scores, said = state.score(), [line]
    if zero := int(np.isnan(scores).sum()):
        said.append(f"{zero} samples have probability 0 in all epochs: not seen, or rounded to 0")
    return _Scores(scores, lines=said)


def _labels(args: argparse.Namespace, full: FileList | None) -> NDArray[Any]:
    if args.labels is None:
        if full is None:
            raise ValueError("--labels or --file-list is needed: the classes of the samples")
        return np.asarray(full.labels, np.int64)
    labels = load_array(args.labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{args.labels} must hold one integer a sample, got {labels.dtype}{list(labels.shape)}"
        )
    if full is not None and len(labels) != len(full):
        raise ValueError(
            f"{args.labels} has {len(labels)} labels, {args.file_list} {len(full)} samples"
        )
    return labels


def _choose(
    args: argparse.Namespace, scores: NDArray[Any], full: FileList | None
) -> NDArray[np.int64]:
    if args.size is None and args.fraction is None:
        raise ValueError("--fraction or --size is needed: how many samples to keep")
    if args.fraction is not None and not 0 <= args.fraction <= 1:
        raise ValueError(f"--fraction must be in [0, 1], got {args.fraction}")
    k = int(len(scores) * args.fraction) if args.size is None else args.size
    if args.keep == "random":
        return coreset.keep_random(len(scores), k, args.seed)
    if args.keep == "drawn":
        return coreset.keep_drawn(scores, k, args.seed)
    if args.keep == "offset":
        return coreset.keep_offset(scores, k, args.offset)
    if args.keep == "balanced":
        labels, within = _labels(args, full), args.within
        if within == "random":
            return coreset.keep_balanced(labels, k, seed=args.seed)
        return coreset.keep_balanced(labels, k, scores, keep=within)
    if args.keep == "strata":
        return coreset.keep_strata(
            scores, k, strata=args.strata, cutoff=args.cutoff, hardest=args.hardest, seed=args.seed
        )
    return (coreset.keep_highest if args.keep == "highest" else coreset.keep_lowest)(scores, k)
