"""Scores from a model, and over runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import dynsample as ds
from dynsample import score as score_function
from dynsample.cli import main
from dynsample.coreset.scoring import RUN_FOLDERS, mean_over_runs

INPUTS = torch.randn(11, 5, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(11) % 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))


def batches(order: list[int], size: int = 4):
    for start in range(0, len(order), size):
        index = torch.tensor(order[start : start + size])
        yield INPUTS[index], LABELS[index], index


def gradient_norms(model: nn.Module, parameters: list[nn.Parameter]) -> list[float]:
    model.eval()
    norms = []
    for x, y in zip(INPUTS, LABELS, strict=True):
        gradients = torch.autograd.grad(F.cross_entropy(model(x[None]), y[None]), parameters)
        norms.append(torch.cat([g.flatten() for g in gradients]).norm().item())
    return norms


def test_gradient_norms_are_those_of_one_backward_pass_a_sample() -> None:
    model = network()
    scores = ds.score(model, batches([*range(11)][::-1]), ("grand", "grand_last"), chunk_size=3)
    expected = gradient_norms(model, list(model.parameters()))
    np.testing.assert_allclose(scores["grand"], expected, rtol=1e-4)
    last = gradient_norms(model, list(model[3].parameters()))
    np.testing.assert_allclose(scores["grand_last"], last, rtol=1e-4)


def test_a_last_layer_without_bias_has_no_one_beside_its_input() -> None:
    model = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3, bias=False))
    scores = ds.score(model, batches([*range(11)]), ["grand_last"])["grand_last"]
    expected = gradient_norms(model, list(model[1].parameters()))
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_signals_come_from_the_model_in_eval_mode_by_index() -> None:
    model = network().train()
    with pytest.warns(UserWarning, match="8 of 11 samples have no score, NaN: the loader gave 3"):
        scores = ds.score(model, batches([3, 1, 9]), ("el2n", "l1", "margin"), num_samples=11)
    model.eval()
    with torch.no_grad():
        logits = model(INPUTS)
    for name in scores:
        expected = getattr(ds.signals, name)(logits, LABELS).numpy()
        given = np.isin(np.arange(11), [1, 3, 9])
        np.testing.assert_allclose(scores[name][given], expected[given], rtol=1e-5, atol=1e-6)
        assert np.isnan(scores[name][~given]).all()
        assert scores[name].dtype == np.float32


def test_modes_buffers_gradients_and_hooks_are_left_as_they_were() -> None:
    model = network().train()
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    ds.score(model, batches([*range(11)]), ("el2n", "grand", "grand_last"))
    assert [module.training for module in model] == [False, True, True, True]
    assert all((model.state_dict()[name] == before[name]).all() for name in before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model[3]._forward_hooks


def test_a_data_set_says_how_many_samples_there_are() -> None:
    class Loader:
        dataset = range(20)

        def __iter__(self):
            return batches([0, 1])

    with pytest.warns(UserWarning, match="18 of 20 samples have no score, NaN: the loader gave 2"):
        assert len(ds.score(network(), Loader())["el2n"]) == 20


def test_a_model_that_gives_nan_is_told_of_with_the_count() -> None:
    class Odd(nn.Module):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return torch.where(inputs[:, :3] > 1, torch.nan, inputs[:, :3])

    odd = int((INPUTS[:, :3] > 1).any(1).sum())
    with pytest.warns(
        UserWarning, match=f"^{odd} of 11 samples have no score, NaN: the model gave"
    ):
        ds.score(Odd(), batches([*range(11)]))


def test_what_a_loader_gives_last_must_be_integers() -> None:
    weighted = [(INPUTS, LABELS, torch.linspace(0, 9.5, 11))]
    with pytest.raises(TypeError, match=r"loader must give integer ids last.* got float32"):
        ds.score(network(), weighted)
    with pytest.raises(TypeError, match=r"must give \(inputs, labels, index\), got 2 parts"):
        ds.score(network(), [(INPUTS, LABELS)])


@pytest.mark.parametrize(
    ("model", "names", "options", "message"),
    [
        (network(), ["gran"], {}, "names must be one of"),
        (network(), ["el2n"], {"num_samples": 4}, r"index must be in \[0, 4\), got 0 to 10"),
        (nn.Sequential(nn.ReLU()), ["grand_last"], {}, "a model with a linear layer"),
        (
            nn.Sequential(nn.Linear(5, 3), nn.Softmax(1)),
            ["grand_last"],
            {},
            "last linear layer gives the logits",
        ),
    ],
)
def test_what_cannot_be_scored_is_named(model, names, options, message) -> None:
    with pytest.raises((ValueError, IndexError), match=message):
        ds.score(model, batches([*range(11)]), names, **options)


def test_scores_gather_while_a_model_trains() -> None:
    sampler = ds.Sampler(11, columns=ds.score_columns(window=2), batch_size=4)
    probabilities, margins = [], []
    for epoch in range(5):
        sampler.set_epoch(epoch)
        logits = torch.randn(11, 3, generator=torch.Generator().manual_seed(epoch))
        for index in sampler:
            sampler.observe(torch.from_numpy(index), logits=logits[index], targets=LABELS[index])
        probabilities.append(logits.softmax(1)[range(11), LABELS].numpy())
        margins.append(ds.signals.margin(logits, LABELS).numpy())
    sampler.set_epoch(5)
    table = sampler.table
    np.testing.assert_allclose(table["probability"], np.mean(probabilities, 0), rtol=1e-5)
    np.testing.assert_allclose(table["aum"], np.mean(margins, 0), rtol=1e-4, atol=1e-5)
    windows = [np.std(probabilities[i : i + 2], axis=0, ddof=1) * 10 for i in range(3)]
    np.testing.assert_allclose(table["dyn_unc"], np.mean(windows, 0), rtol=1e-5)


def write_runs(folder: Path, runs: list, kind: str = "forget", step: int = 30) -> None:
    for run, scores in enumerate(runs):
        path = folder / f"run_{run}" / RUN_FOLDERS[kind] / f"ckpt_{step}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, scores)


def test_the_mean_over_runs_keeps_infinities(tmp_path: Path, capsys) -> None:
    write_runs(tmp_path, [np.array([1.0, np.inf, 2.0]), np.array([3.0, 4.0, 2.0])])
    out = tmp_path / "out.npy"
    arguments = ["score", "mean", str(tmp_path), "--runs", "2", "--step", "30", "--type", "forget"]
    assert main([*arguments, "-o", str(out)]) == 0
    assert np.load(out).tolist() == [2.0, np.inf, 2.0]
    assert "3 samples, mean of 2 runs, 1 infinite" in capsys.readouterr().out
    assert main(arguments) == 0
    assert np.load(tmp_path / "forget_scores" / "ckpt_30.npy").tolist() == [2.0, np.inf, 2.0]


def test_runs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    write_runs(tmp_path, [np.zeros(3), np.zeros(4), np.zeros((2, 2))], "l2_error")
    with pytest.raises(ValueError, match=r"run_1.*has 4 samples, the runs before 3"):
        mean_over_runs(tmp_path, 2, 30, "l2_error")
    write_runs(tmp_path / "b", [np.zeros(3)] * 3, "l2_error")
    with pytest.raises(FileNotFoundError, match="run_3"):
        mean_over_runs(tmp_path / "b", 4, 30, "l2_error")
    with pytest.raises(ValueError, match="type must be one of"):
        mean_over_runs(tmp_path, 2, 30, "el2n")


def test_the_mean_of_float32_runs_is_float32(tmp_path: Path) -> None:
    write_runs(tmp_path, [np.float32([0.1]), np.float32([0.2])], "grad_norm")
    mean = mean_over_runs(tmp_path, 2, 30, "grad_norm")
    assert mean.dtype == np.float32
    assert mean[0] == np.float32((np.float64(np.float32(0.1)) + np.float64(np.float32(0.2))) / 2)


def test_the_name_is_the_function() -> None:
    assert score_function is ds.score
