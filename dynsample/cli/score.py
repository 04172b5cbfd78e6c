"""Average the scores of the runs of an experiment, laid out as Data Diet does."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np

from dynsample.cli.printing import reason, say
from dynsample.cli.progress import progress
from dynsample.coreset.scoring import RUN_FOLDERS, mean_over_runs, run_file
from dynsample.disk.files import refuse_overwrite, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the experiment and which of its scores."""
    # fmt: off
    parser.add_argument("what", choices=["mean"], metavar="mean",
                        help="the mean over runs; inf stays inf")
    parser.add_argument("experiment", type=Path, help="folder with run_0, run_1, ...")
    parser.add_argument("--runs", type=int, default=10, help="runs, from run_0 on (%(default)s)")
    parser.add_argument("--step", type=int, required=True, help="of the checkpoint")
    parser.add_argument("--type", choices=tuple(RUN_FOLDERS), default="l2_error",
                        help="EL2N, GraNd or forgetting events (%(default)s)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE",
                        help="a .npy (default: EXPERIMENT/FOLDER/ckpt_STEP.npy)")
    parser.add_argument("--force", action="store_true", help="replace another file that is there")
    # fmt: on


def run(args: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Read every run, write the mean."""
    output = args.output or run_file(args.experiment, None, args.step, args.type)
    if output.suffix != ".npy":
        parser.error(f"--output must end in .npy, got {output}")
    try:
        given = args.experiment, args.runs, args.step, args.type
        with progress("reading scores", "runs", args.runs) as shown:
            mean = mean_over_runs(*given, progress=shown.advance)
        if args.output is None:
            output.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.save(content, mean)
        refuse_overwrite(output, args.force, content.getvalue())
        with whole(output) as file:
            file.write(content.getbuffer())
    except (OSError, ValueError) as error:
        parser.error(reason(error))
    infinite, nan = int(np.isinf(mean).sum()), int(np.isnan(mean).sum())
    without = f", {nan} without a score (NaN)" if nan else ""
    say(f"{output}: {len(mean)} samples, mean of {args.runs} runs, {infinite} infinite{without}")
    return 0
