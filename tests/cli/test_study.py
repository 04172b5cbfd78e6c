"""`dynsample study`: which runs there are, that a killed one goes on, and what it reports."""

from __future__ import annotations

import json
import multiprocessing
import re
import signal
import subprocess
import sys
import time
from concurrent import futures
from dataclasses import replace
from pathlib import Path

import pytest
from browser import needs_browser, shown

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")

from dynsample import cli
from dynsample.cli import study
from dynsample.cli.experiment import tasks, variants
from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.rows import CONTROLS, METHODS, Settings
from dynsample.cli.study import command, plan, runs
from dynsample.cli.study.balance import balances
from dynsample.cli.study.cells import cells
from dynsample.cli.study.plan import Choice, controls_of, most, settings_of, training_of, wanted
from dynsample.cli.study.runs import Key, Record, RunsError
from dynsample.disk.files import try_lock

SETTINGS = settings_of(1000, 10)
QUICK = ["study", "--quick", "--epochs", "4"]


def record(name: str, cost: int, *, seed: int = 0, accuracy: float = 90.0,
           of_control: bool = False, seconds: float = 1.0) -> Record:  # fmt: skip
    """A run that was never trained."""
    key = Key("digits", "clean", name, cost if of_control else None, seed)
    run = Run(backward=cost * SETTINGS.samples // 100, seconds=seconds, planning_seconds=0.01)
    run.curve.append((run.cost, accuracy))
    run.hidden.append(0.0)
    place = {"date": "2026-01-01", "commit": None, "machine": "m", "versions": {"python": "3"}}
    return Record(key, SETTINGS, training_of(key, SETTINGS).identity(), run, place)


def choice(*policies: str, seeds: int = 1) -> Choice:
    return Choice({("digits", "clean"): SETTINGS}, policies, seeds)


def kept(path: Path, records: list[Record]) -> Path:
    path.mkdir(exist_ok=True)
    for each in records:
        runs.append(path, each)
    return path


# Which runs


def test_a_control_is_trained_once_for_all_methods_of_its_cost() -> None:
    finished = [record("kakurenbo", 78), record("infobatch", 78), record("importance", 70)]
    done = {each.key: each for each in finished}
    keys = list(wanted(choice("kakurenbo", "infobatch", "importance"), done))
    assert len(keys) == len(set(keys))
    controls = [(key.name, key.cost) for key in keys if key.cost is not None]
    assert sorted(controls) == [
        ("hide_hardest", 70), ("hide_hardest", 78), ("random", 70), ("random", 78),
        ("random_same_cost", 78), ("short", 70), ("short", 78),
    ]  # fmt: skip


def test_controls_are_known_when_their_method_is_finished() -> None:
    chosen = choice("kakurenbo")
    assert [key.name for key in wanted(chosen, {})] == ["baseline", "kakurenbo"]
    assert most(chosen, {}) == 2 + len(METHODS["kakurenbo"].controls)
    done = {each.key: each for each in [record("kakurenbo", 81)]}
    assert len(list(wanted(chosen, done))) == most(chosen, done) == 6


def test_costs_are_rounded_to_a_percent() -> None:
    base = record("kakurenbo", 78)
    for samples, percent in ((7849, 78), (7851, 79)):
        run = replace(base.run, backward=samples)
        assert {key.cost for key in controls_of(replace(base, run=run))} == {percent}


def test_what_cannot_cost_as_much_is_no_control() -> None:
    assert {key.name for key in controls_of(record("kakurenbo", 30))} == {
        "short", "random", "random_same_cost",
    }  # fmt: skip


def test_the_first_seed_comes_first() -> None:
    seeds = [key.seed for key in wanted(choice("kakurenbo", "infobatch", seeds=3), {})]
    assert seeds == sorted(seeds)


def test_methods_that_need_more_epochs_are_left_out_by_name() -> None:
    short = Choice({("digits", "tail"): settings_of(100, 2)}, ("forgetting", "kakurenbo"), 1)
    assert [key.name for key in wanted(short, {})] == ["baseline", "kakurenbo"]
    assert short.left_out() == ["forgetting is left out on digits, tail: it needs 4 epochs, got 2"]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("epochs", [4, 5, 12])
def test_every_method_can_be_made(name: str, epochs: int) -> None:
    settings = settings_of(1000, epochs)
    assert METHODS[name].training(settings).identity()["epochs"] == epochs


@pytest.mark.parametrize("epochs", [2, 3, 5, 12])
@pytest.mark.parametrize("every", [1, 2])
def test_hiding_the_hardest_costs_what_it_should(epochs: int, every: int) -> None:
    settings = Settings(3000, epochs, 0.3, every)
    control = CONTROLS["hide_hardest"]
    fraction = control.fraction_at(settings, 0.8)
    hidden = [int(fraction * 3000) if epoch else 0 for epoch in range(epochs)]
    looked_at = sum(count for epoch, count in enumerate(hidden[:-1]) if epoch % every == 0)
    cost = 3000 * epochs - sum(hidden) + looked_at / 3
    assert cost / settings.samples == pytest.approx(0.8, abs=0.001)


def test_the_light_lists_are_those_of_the_heavy_modules() -> None:
    assert set(study.TASKS) == {"fashion", *tasks.TASKS}
    assert tuple(variants.VARIANTS) == study.VARIANTS


# Their lines


def test_a_line_gives_the_run_again(tmp_path: Path) -> None:
    written = [record("kakurenbo", 78), record("short", 78, of_control=True, seed=4)]
    assert runs.read(kept(tmp_path, written)) == (written, False)
    content = json.loads((tmp_path / runs.FILE).read_text().splitlines()[1])
    assert (content["name"], content["cost"], content["seed"]) == ("short", 78, 4)
    assert content["accuracy"] == 90.0
    assert content["training"]["policy"] == {"class": "Uniform"}


def test_a_torn_line_is_left_out_and_replaced(tmp_path: Path) -> None:
    first, second = record("baseline", 100), record("kakurenbo", 78)
    path = kept(tmp_path, [first]) / runs.FILE
    with path.open("a") as file:
        file.write(second.line()[:-9])
    assert runs.read(tmp_path) == ([first], True)
    runs.append(tmp_path, second)
    assert runs.read(tmp_path) == ([first, second], False)


def test_a_foreign_line_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / runs.FILE).write_text('{"loss": 3}\n')
    with pytest.raises(RunsError, match=r"runs\.jsonl, line 1: not a run of a study"):
        runs.read(tmp_path)
    assert cli.main(["study", "--report", str(tmp_path)]) == 1
    assert "line 1: not a run of a study" in capsys.readouterr().err


def test_runs_of_a_policy_with_other_settings_are_left_out() -> None:
    old = record("kakurenbo", 70)
    other = replace(old, training={**old.training, "epochs": 3})
    base, new = record("baseline", 100), record("kakurenbo", 71, seed=1)
    assert runs.latest([base, other, new]) == ([base, new], 1)
    assert not plan.is_same(other)
    assert plan.is_same(new)
    longer = replace(base, settings=settings_of(1000, 20))
    assert runs.latest([base, longer]) == ([base, longer], 0)  # two tables


def test_reports_from_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = []
    for seed, wave in enumerate((0.0, 0.1, -0.1)):
        made += [
            record("baseline", 100, seed=seed, accuracy=91 + wave, seconds=10),
            record("kakurenbo", 80, seed=seed, accuracy=90.5 - wave, seconds=9),
            record("infobatch", 80, seed=seed, accuracy=90 + wave, seconds=8),
        ]
        for name, accuracy in (("short", 90), ("random", 90), ("random_same_cost", 90),
                               ("hide_hardest", 80)):  # fmt: skip
            made.append(record(name, 80, seed=seed, accuracy=accuracy + wave, of_control=True))
    assert cli.main(["study", "--report", str(kept(tmp_path, made))]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "digits, clean: 1,000 training samples, 10 epochs" in printed
    assert "kakurenbo pays: it is better than a shorter baseline of the same cost" in printed
    assert "infobatch is no better than a shorter baseline of the same cost or random" in printed
    assert "worse (-0.50 ± 0.12 pp) than the baseline" in printed
    page = (tmp_path / "study.html").read_text()
    assert page.count('role="img"') == 2
    assert "kakurenbo pays" in page
    assert (tmp_path / "study.png").read_bytes().startswith(b"\x89PNG")


@needs_browser
def test_the_page_fits_a_narrow_browser(tmp_path: Path) -> None:
    made = [record("baseline", 100), *(record(name, 80) for name in METHODS)]
    assert cli.main(["study", "--report", str(kept(tmp_path, made))]) == 0
    page = tmp_path / "study.html"
    assert shown(page, tmp_path / "profile")[1] == []
    measure = (
        "<script>addEventListener('load', () => {const root = document.documentElement;"
        "root.dataset.width = `${innerWidth}`; root.dataset.content = `${root.scrollWidth}`;})"
        "</script></body>"
    )
    content = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text())  # it forbids scripts
    page.write_text(content.replace("</body>", measure))
    text, console = shown(page, tmp_path / "profile", width=400)
    assert console == []
    width, wide = (re.search(rf'data-{name}="(\d+)"', text) for name in ("width", "content"))
    assert int(wide[1]) <= int(width[1]) <= 500


def test_worse_than_a_control_is_said_so() -> None:
    made = []
    for seed in range(2):
        made += [
            record("baseline", 100, seed=seed),
            record("infobatch", 80, seed=seed, accuracy=80),
        ]
        made += [record("short", 80, seed=seed, accuracy=85 + seed / 10, of_control=True)]
    (balance,) = balances(made)
    assert balance.methods[0].judgement() == (
        "infobatch is worse than a shorter baseline of the same cost."
    )
    assert [row[0] for row in cells(balance)] == ["baseline", "infobatch", "  vs short"]


def test_one_seed_judges_nothing() -> None:
    made = [record("baseline", 100), record("infobatch", 80)]
    (balance,) = balances(made)
    assert "none of its controls is finished" in balance.methods[0].judgement()
    (balance,) = balances([*made, record("short", 80, of_control=True)])
    assert "the error of one seed is not known" in balance.methods[0].judgement()


def test_a_folder_without_runs_has_no_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["study", "--report", str(tmp_path)]) == 1
    assert "has no finished baseline in runs.jsonl" in capsys.readouterr().err


# Whole studies


def table(folder: Path) -> list[tuple[str, ...]]:
    """The table without what is measured: time."""
    (balance,) = balances(runs.read(folder)[0])
    return [row[:4] for row in cells(balance)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study, of two processes."""
    folder = tmp_path_factory.mktemp("whole")
    assert cli.main([*QUICK, "--out", str(folder), "--jobs", "2"]) == 0
    return folder


def test_a_killed_study_goes_on_to_the_same_table(whole: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "dynsample", *QUICK, "--out", tmp_path]
    running = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not ((tmp_path / runs.FILE).exists() and len(runs.read(tmp_path)[0]) >= 2):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before, _ = runs.read(tmp_path)
    with (tmp_path / runs.FILE).open("a") as file:
        file.write('{"task": "dig')
    again = subprocess.run(line, check=True, capture_output=True, text=True)
    assert "the last line is torn" in again.stdout
    after, _ = runs.read(tmp_path)
    assert after[: len(before)] == before  # nothing is done twice
    assert table(tmp_path) == table(whole)
    assert len(table(whole)) == 2 + len(METHODS["kakurenbo"].controls)


def test_ctrl_c_reports_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited = []

    def interrupted(*args: object, **options: object) -> object:
        waited.append(args)
        if len(waited) > 1:
            raise KeyboardInterrupt
        return futures.wait(*args, **options)

    monkeypatch.setattr(command, "wait", interrupted)
    assert cli.main([*QUICK, "--out", str(tmp_path)]) == cli.INTERRUPTED
    assert "baseline" in capsys.readouterr().out
    assert [each.key.name for each in runs.read(tmp_path)[0]] == ["baseline"]
    assert multiprocessing.active_children() == []


def test_runs_with_other_settings_are_left_aside_and_said(
    whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = Key("digits", "clean", "baseline", None, 0)
    longer = Choice({("digits", "clean"): settings_of(1300, 5)}, ("kakurenbo",), 1)
    assert command.finished_runs(whole, longer) == {}
    assert "6 runs have other settings, and are left aside" in capsys.readouterr().out
    same = Choice({("digits", "clean"): settings_of(1300, 4)}, ("kakurenbo",), 1)
    assert key in command.finished_runs(whole, same)
    assert capsys.readouterr().out == ""


def test_only_one_study_writes_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (tmp_path / runs.FILE).open("ab") as file:
        assert try_lock(file.fileno())
        assert cli.main([*QUICK, "--out", str(tmp_path)]) == 1
    assert "another study writes it" in capsys.readouterr().err


def test_missing_data_is_said_with_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert cli.main(["study", "--data", str(tmp_path), "--out", out]) == 1
    said = capsys.readouterr().err
    assert "apt-get install dataset-fashion-mnist" in said
    assert "Traceback" not in said
