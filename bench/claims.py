"""Every measured claim of README and docs: measured again, held to its bound, and written down.

`claims.toml` lists the claims, `results/claims.json` holds what was found last, with the commit,
the date and the kind of machine. README and docs/performance.md show both in tables that are
written here, between the lines `<!-- claims -->` and `<!-- end of claims -->`; `claim_plots.py`
draws them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claim_plots import plots
from embedded import put

from dynsample import _core

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = Path(__file__).parent
ROOT = HERE.parent
FOUND = HERE / "results" / "claims.json"
README, PAGE = ROOT / "README.md", ROOT / "docs" / "performance.md"

# Command -> {"of": commit, date and machine, "lines": those of the bench}
Found = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Claim:
    """One line of a bench, and what it has to show.

    Attributes
    ----------
    says : str
        What is compared, in the words of the table.
    beside : str
        With what, in the words of the table.
    command : str
        Script of this folder and its options.
    case, peer : str
        Those of the bench's line; no `peer` where its lines name none.
    figure : str
        What counts of that line.
    at_least, at_most : float
        One of them is the bound.
    readme : bool
        Whether README's table has it as well.
    """

    says: str
    beside: str
    command: str
    case: str
    peer: str = ""
    figure: str = "ratio"
    at_least: float | None = None
    at_most: float | None = None
    readme: bool = False

    def __post_init__(self) -> None:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.says!r} must have one of at_least and at_most")

    @property
    def bound(self) -> str:
        """The bound, in words."""
        return f">= {self.at_least:g}" if self.at_most is None else f"<= {self.at_most:g}"

    def holds(self, line: dict[str, Any]) -> bool:
        """Whether a line of the bench is within the bound."""
        value = line[self.figure]
        return bool(value <= self.at_most if self.at_least is None else value >= self.at_least)

    def of(self, found: Found) -> dict[str, Any] | None:
        """Find the line of the claim among those of its bench."""
        wanted = [
            line
            for line in found.get(self.command, {}).get("lines", [])
            if line["case"] == self.case and line.get("peer_name", "") == self.peer
        ]
        return wanted[0] if wanted and self.figure in wanted[0] else None

    def shown(self, line: dict[str, Any]) -> str:
        """Give the figure, and its spread where the bench has one for it."""
        text = f"{line[self.figure]:.3g}"
        low, high = line.get(f"{self.figure}_low"), line.get(f"{self.figure}_high")
        return text if low is None else f"{text} ({low:.3g} to {high:.3g})"


def claims() -> list[Claim]:
    """All claims, in the order of the file."""
    listed = tomllib.loads((HERE / "claims.toml").read_text())["claim"]
    return [Claim(**each) for each in listed]


def measure(command: str) -> list[dict[str, Any]]:
    """Run a bench; give its lines, none when it fails."""
    script, *options = shlex.split(command)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "lines.json"
        run = [sys.executable, str(HERE / script), *options, f"--json={file}"]
        if subprocess.run(run, check=False).returncode or not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines()]


def machine() -> str:
    """Kind of the machine: processor, cores, instruction set and threads of our kernels."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "unknown processor",
    )
    return f"{model}, {os.cpu_count()} cores, {_core.isa()}, {_core.num_threads()} thread(s)"


def commit() -> str:
    """Name the commit that is measured, and say whether files were changed since."""
    git = ["git", "-C", str(ROOT)]
    name = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    measured = ["csrc", "dynsample", "bench", ":!bench/results"]
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *measured])
    return name.stdout.strip() + (" with changes" if changed.returncode else "")


def table(listed: list[Claim], found: Found) -> str:
    """Write what README and the page show."""
    rows = ["| what | beside | bound | found | command |", "|---|---|---|---|---|"]
    for claim in listed:
        line = claim.of(found)
        shown = "not measured" if line is None else claim.shown(line)
        rows.append(
            f"| {claim.says} | {claim.beside} | {claim.bound} | {shown} "
            f"| `python bench/{claim.command}` |"
        )
    runs = [found[claim.command]["of"] for claim in listed if claim.command in found]
    return "\n".join([*rows, "", *dict.fromkeys(f"{run}." for run in runs), ""])


def pages(found: Found) -> dict[Path, str]:
    """Both pages and the pictures of one, as they are to be."""
    listed = claims()
    return {
        README: put(README, "claims", table([each for each in listed if each.readme], found)),
        PAGE: put(PAGE, "claims", table(listed, found)),
        **plots(listed, found),
    }


def short_of(listed: list[Claim], found: Found) -> list[str]:
    """Say which claims do not hold."""
    told = []
    for claim in listed:
        line = claim.of(found)
        if line is None:
            told.append(f"{claim.says}, beside {claim.beside}: not measured ({claim.command})")
        elif not claim.holds(line):
            shown = claim.shown(line)
            told.append(f"{claim.says}, beside {claim.beside}: {shown}, must be {claim.bound}")
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="scripts to run again (default: all)")
    args = parser.parse_args()
    listed = claims()
    commands = dict.fromkeys(claim.command for claim in listed)
    if unknown := set(args.only) - {command.split()[0] for command in commands}:
        parser.error(f"no claim is measured by {', '.join(sorted(unknown))}")
    found: Found = json.loads(FOUND.read_text()) if args.only and FOUND.exists() else {}
    where = f"Commit {commit()}, {datetime.date.today().isoformat()}; {machine()}"
    for command in commands:
        if not args.only or command.split()[0] in args.only:
            found[command] = {"of": where, "lines": measure(command)}
            print(flush=True)
    FOUND.write_text(json.dumps(found, indent=1) + "\n")
    for page, text in pages(found).items():
        page.write_text(text)
    short = short_of(listed, found)
    for line in short:
        print(f"falls short: {line}")
    if not short:
        print(f"nothing falls short: {len(listed)} claims")
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
