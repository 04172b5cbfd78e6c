"""Write the scores of a saved sampler as Parquet, for DuckDB, Polars and others to select from."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from dynsample.cli.needs import check_installed
from dynsample.cli.printing import reason, say
from dynsample.coreset import files as coreset_files
from dynsample.disk.files import refuse_overwrite
from dynsample.run import saved_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the state and where its scores go."""
    # fmt: off
    parser.add_argument("state", type=Path, help="a folder that sampler.save wrote")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE",
                        help="a .parquet, or an .arrow or .feather")
    parser.add_argument("--subset", type=Path, metavar="FILE",
                        help="the ids that the sampler was made with, a coreset's .npy, .json or "
                        ".parquet, or a .txt of its keys: a state holds their identity alone")
    parser.add_argument("--force", action="store_true", help="replace another file that is there")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Read the state, and write a row for each of its samples."""
    check_installed(parser, "export", {"pyarrow": "pyarrow"}, "arrow")
    from dynsample.coreset import arrow_files
    from dynsample.table import arrow

    output: Path = args.output
    if output.suffix not in coreset_files.COLUMNS:
        parser.error(f"--output must end in {', '.join(coreset_files.COLUMNS)}, got {output}")
    try:
        refuse_overwrite(output, args.force)
        subset = None if args.subset is None else partial(coreset_files.load, args.subset)
        table, keys, state, plan, unknown = saved_table.read(args.state, subset, planned=True)
        facts = {name: state[name] for name in ("epoch", "seed", "digest", "num_samples")}
        schema = arrow.schema_of(table, keys, plan, facts)
        count = arrow_files.write(output, schema, arrow.batches(table, keys, plan, schema))
    except (OSError, ValueError, TypeError, LookupError) as error:
        parser.error(reason(error))
    if unknown:
        say(f"{parser.prog}: hidden and weight are left out: {unknown}", sys.stderr)
    say(f"{output}: {count} samples, {', '.join(schema.names)}")
    return 0
