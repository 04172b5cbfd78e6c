"""The demo: short runs, its controls, its report, and that --verify can fail."""

import argparse
import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("rich")

import torch

import dynsample as ds
from dynsample.cli import demo, main
from dynsample.cli.demo import command, loaders, policies
from dynsample.cli.demo.plot import STYLES
from dynsample.cli.demo.verify import Epoch, Recorder, verify
from dynsample.cli.experiment import rows, summary, tasks
from dynsample.cli.experiment.lr import one_cycle
from dynsample.cli.experiment.memory import from_memory
from dynsample.cli.experiment.result import Run
from dynsample.cli.experiment.train import train
from dynsample.torch import scaled_lr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> argparse.Namespace:
    """All rows on digits, one seed, two epochs, verified."""
    folder = tmp_path_factory.mktemp("demo")
    files = {"json": folder / "demo.json", "plot": folder / "demo.png"}
    arguments = ["demo", "digits", "--seeds", "1", "--epochs", "2", "--verify"]
    status = main([*arguments, *(f"--{name}={path}" for name, path in files.items())])
    return argparse.Namespace(status=status, **files)


def test_all_rows_equal_the_reference(finished: argparse.Namespace) -> None:
    assert finished.status == 0


def test_the_json_has_the_promised_shape(finished: argparse.Namespace) -> None:
    content = json.loads(finished.json.read_text())
    assert content.keys() == {"dataset", "seeds", "rows"}
    assert (content["dataset"], content["seeds"]) == ("digits", 1)
    assert [row["policy"] for row in content["rows"]] == list(demo.ROWS)
    for row in content["rows"]:
        assert list(row) == [
            "policy", "accuracy_mean", "accuracy_std", "delta_pp", "delta_se",
            "backward_fraction", "forward_only_fraction", "wall_ratio",
        ]  # fmt: skip
        assert 0 <= row["accuracy_mean"] <= 100
        assert row["accuracy_std"] is None  # one seed has no deviation


def test_the_picture_is_a_png(finished: argparse.Namespace) -> None:
    assert finished.plot.read_bytes().startswith(b"\x89PNG")


def test_rows_cost_what_they_should(finished: argparse.Namespace) -> None:
    rows = {row["policy"]: row for row in json.loads(finished.json.read_text())["rows"]}
    cost = {
        name: row["backward_fraction"] + row["forward_only_fraction"] / 3
        for name, row in rows.items()
    }
    batch = 64 / 1300
    assert rows["baseline"]["backward_fraction"] == 1
    assert rows["random"]["backward_fraction"] == pytest.approx(0.7, abs=0.001)
    assert rows["importance"]["backward_fraction"] == pytest.approx(0.85, abs=0.001)
    assert cost["short"] == pytest.approx(cost["kakurenbo"], abs=batch)
    assert cost["random_same_cost"] == pytest.approx(cost["kakurenbo"], abs=0.001)
    # The last epoch's hidden samples are not looked at again, and the first hides nothing.
    assert rows["kakurenbo"]["forward_only_fraction"] == 0


def test_the_light_list_is_that_of_the_heavy_module() -> None:
    assert tuple(tasks.TASKS) == demo.DATASETS


def test_every_row_has_a_style_in_the_picture() -> None:
    assert STYLES.keys() == policies.ROWS.keys()


def test_controls_bring_along_what_they_are_compared_with() -> None:
    assert command.selected(["short"]) == ["baseline", "kakurenbo", "short"]
    assert command.selected(["random"]) == ["baseline", "random"]


@pytest.fixture(scope="module")
def small() -> tasks.Task:
    """A task that trains in a blink."""
    return replace(tasks.glyphs(400, 100), epochs=3)


SETTINGS = rows.Settings(num_samples=400, epochs=3, fraction=0.3, refresh_every=1)


def test_glyphs_are_drawn_the_same_every_time(small: tasks.Task) -> None:
    again = tasks.glyphs(400, 100)
    assert torch.equal(small.train_images, again.train_images)
    assert torch.equal(small.test_labels, again.test_labels)
    assert small.train_images.shape == (400, 1, tasks.GLYPH_SIZE, tasks.GLYPH_SIZE)


def test_digits_are_split_as_promised() -> None:
    task = tasks.digits()
    assert (len(task.train_images), len(task.test_images)) == (1300, 497)
    assert task.train_images.mean() == pytest.approx(0, abs=1e-5)


def recorded(task: tasks.Task, name: str, seed: int = 3) -> tuple[ds.Kakurenbo, list[Epoch]]:
    policy, epochs, budget = policies.ROWS[name].plan(SETTINGS, 0.8)
    recorder = Recorder()
    train(
        task,
        policy,
        seed,
        epochs=epochs,
        open_loader=from_memory(task),
        budget=budget,
        make_sampler=recorder,
    )
    return policy, recorder.sampler.epochs


def test_a_seed_decides_the_whole_run(small: tasks.Task) -> None:
    policy, epochs, _ = policies.ROWS["kakurenbo"].plan(SETTINGS, 1.0)
    first, second, other = (
        train(small, policy, seed, epochs=epochs, open_loader=from_memory(small))
        for seed in (0, 0, 1)
    )
    assert first.curve == second.curve
    assert first.curve != other.curve


def test_the_learning_rate_rises_and_decays_to_zero() -> None:
    shares = np.linspace(0, 1, 21)
    rates = np.array([one_cycle(done) for done in shares])
    assert (rates[0], rates.max(), rates[-1]) == (0, 1, 0)
    assert np.all(np.diff(rates[shares > 0.1]) < 0)
    assert one_cycle(1.01) == 0  # the last batch of a budget may go beyond it


@pytest.mark.parametrize("name", ["baseline", "random", "importance", "short"])
def test_every_row_decays_to_the_end(
    name: str, small: tasks.Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = []

    def recording(optimizer: torch.optim.Optimizer, scale: float) -> AbstractContextManager[None]:
        scales.append(scale)
        return scaled_lr(optimizer, scale)

    monkeypatch.setattr("dynsample.cli.experiment.train.scaled_lr", recording)
    recorded(small, name)
    assert max(scales) > 0.9
    assert scales[-1] == 0


def test_hidden_samples_are_looked_at_again_but_for_the_last_epoch(small: tasks.Task) -> None:
    _, epochs = recorded(small, "hide_hardest")
    for epoch in epochs:
        observed = np.concatenate([index for index, _ in epoch.observations])
        expected = len(epoch.order) + (len(epoch.hidden) if epoch.number < 2 else 0)
        assert len(observed) == expected
    assert len(epochs[1].hidden) == int(0.3 * 400)


@pytest.mark.parametrize("name", ["kakurenbo", "infobatch", "importance", "hide_hardest"])
def test_verify_finds_an_observation_that_was_altered(name: str, small: tasks.Task) -> None:
    policy, epochs = recorded(small, name)
    assert verify(name, policy, 400, 3, epochs).differences == 0
    order = epochs[1].order
    for _, signals in epochs[0].observations:
        signals["loss"][:] = signals["loss"][::-1].copy()
        signals["correct"][:] = signals["confidence"][:] = 1
    check = verify(name, policy, 400, 3, epochs)
    assert check.differences > 0
    assert all("of" in line for line in check.lines)
    assert np.array_equal(order, epochs[1].order)  # it is the expectation that moved


@pytest.mark.parametrize("what", ["hidden", "order", "weights"])
def test_verify_finds_a_plan_that_was_altered(what: str, small: tasks.Task) -> None:
    policy, epochs = recorded(small, "random")
    array = getattr(epochs[1], what)
    changed = array[:-1] if what == "hidden" else np.roll(array, 1) + (what == "weights")
    epochs[1] = replace(epochs[1], **{what: changed})
    check = verify("random", policy, 400, 3, epochs)
    assert check.differences > 0
    assert check.lines[0].startswith("epoch 1:")


def test_hide_hardest_hides_the_highest_losses() -> None:
    policy = rows.HideHardest(fraction=0.5)
    table = ds.ScoreTable(4, columns=policy.columns)
    table.observe(np.arange(4), loss=np.array([3, 1, 2, 4], np.float32))
    selection = policy.select(table, 1, ds.EpochRandom(0, 1))
    assert selection.hidden.tolist() == [True, False, False, True]
    assert selection.lr_scale == 2
    assert policy.select(table, 0, ds.EpochRandom(0, 0)).hidden is None


def test_ctrl_c_reports_what_was_measured(
    small: tasks.Task,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = []

    def interrupted(*args: object, **options: object) -> Run:
        calls.append(args)
        if len(calls) == 4:  # the first warms up
            raise KeyboardInterrupt
        return train(*args, **options)

    monkeypatch.setattr(command, "train", interrupted)
    monkeypatch.setitem(tasks.TASKS, "glyphs", lambda: small)
    out = tmp_path / "f.json"
    arguments = ["demo", "glyphs", "--epochs", "1", "--plot", str(tmp_path / "f.png")]
    assert main([*arguments, "--json", str(out)]) == 130
    rows = json.loads(out.read_text())["rows"]
    assert [row["policy"] for row in rows] == ["baseline", "kakurenbo"]
    assert "Interrupted after 2 of 24 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("loader", "needs"), [("torch", "torch"), ("dali", "nvidia.dali"), ("ffcv", "ffcv")]
)
def test_files_are_read_in_the_same_order_as_memory(
    loader: str,
    needs: str,
    small: tasks.Task,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(needs)
    monkeypatch.setitem(tasks.TASKS, "glyphs", lambda: small)
    arguments = ["demo", "glyphs", "--loader", loader, "--epochs", "2", "--seeds", "1"]
    arguments += ["--policy", "kakurenbo", "--plot", str(tmp_path / "f.png")]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert f"{loader}, from files" in printed
    assert "the same\n" in printed

    open_loader = loaders.FROM_FILES[loader](small, tmp_path)
    sampler = ds.Sampler(small.num_train, batch_size=small.batch_size)
    for images, _, index in open_loader(sampler):  # as near as a lossy file comes
        torch.testing.assert_close(images, small.train_images[index], atol=0.6, rtol=0)


def test_another_order_is_reported(small: tasks.Task, monkeypatch: pytest.MonkeyPatch,
                                   tmp_path: Path) -> None:  # fmt: skip
    shuffled = replace(small, train_labels=small.train_labels.roll(1))
    monkeypatch.setitem(tasks.TASKS, "glyphs", lambda: small)
    monkeypatch.setitem(loaders.FROM_FILES, "torch", lambda task, folder: from_memory(shuffled))
    arguments = ["demo", "glyphs", "--loader", "torch", "--epochs", "1", "--seeds", "1"]
    assert main([*arguments, "--policy", "kakurenbo", "--plot", str(tmp_path / "f.png")]) == 1


def made_up(accuracy: float, seconds: float, backward: int = 2800) -> Run:
    run = Run(backward=backward, forward_only=800, seconds=seconds, planning_seconds=0.1)
    run.curve.append((1.0, accuracy))
    return run


def test_sentences_follow_the_numbers() -> None:
    runs = {
        "baseline": {0: made_up(90, 10, 4000), 1: made_up(91, 10, 4000)},
        "kakurenbo": {0: made_up(90.1, 9), 1: made_up(90.8, 8)},
        "random": {0: made_up(85, 7), 1: made_up(86.1, 7)},
    }
    settings = rows.Settings(num_samples=400, epochs=10, fraction=0.3, refresh_every=1)
    row = {row.policy: row for row in summary.summarise(runs, settings)}["kakurenbo"]
    assert row.backward_fraction == 0.7
    assert row.wall_ratio == pytest.approx(0.85)
    assert row.delta_pp == pytest.approx(-0.05)
    assert row.delta_se == pytest.approx(0.15)
    controls = policies.COMPARED["kakurenbo"]
    words = summary.verdict(runs, row, controls)
    assert "30% fewer backward passes" in words
    assert "15% less time" in words
    assert ": faster." in words
    assert "not distinguishable (-0.05 ± 0.15 pp) from the baseline" in words
    assert "better (+4.90 ± 0.20 pp) than random hiding" in words
    runs["kakurenbo"][0].seconds = 11
    assert "not clearly faster" in summary.verdict(runs, row, controls)
    runs["kakurenbo"][1].seconds = 12
    assert ": slower." in summary.verdict(runs, row, controls)
