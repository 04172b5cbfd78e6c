"""What users import is where the pages say it is, with the arguments that they say."""

from __future__ import annotations

import importlib
import inspect

import pytest

import dynsample as ds

NAMES = {
    "dynsample": ds.__all__,
    "dynsample.ops": ds.ops.__all__,
    "dynsample.groups": ds.groups.__all__,
    "dynsample.coreset": [
        "beta_probabilities", "keep_balanced", "keep_drawn", "keep_highest", "keep_lowest",
        "keep_offset", "keep_random", "keep_strata", "load", "mean_over_runs", "run_file", "shares",
        "write_probabilities",
    ],
    "dynsample.batch": [
        "FORMS", "GramWeights", "LossHistory", "gram_weights", "hardest", "selective_backprop",
    ],
    "dynsample.payload": [
        "Facts", "PayloadError", "Store", "View", "Views", "Writer", "fingerprint",
        "import_original", "original_order",
    ],
    "dynsample.report": ["Report", "ReportError", "costs", "read", "to_tensorboard"],
    "dynsample.signals": [
        "NAMES", "compute", "confidence", "correct", "el2n", "l1", "loss", "margin", "max_margin",
        "probability", "sum_margin",
    ],
    "dynsample.weights": ["balanced", "effective_number", "repeat_factor"],
    "dynsample.reference": [],
    "dynsample.cuda": ["CudaUnavailable", "load", "require"],
    "dynsample.files": ["Samples", "from_names", "open_samples", "parse_list", "scan"],
    "dynsample.distill": ["kl_loss", "parts"],
    "dynsample.replay": ["mix"],
    "dynsample.torch": ["DataLoader", "IndexSampler", "scaled_lr"],
    "dynsample.lightning": ["SamplerCallback"],
    "dynsample.dali": ["readers"],
    "dynsample.ffcv": ["Loader", "OrderOption"],
    "dynsample.hf": ["Trainer"],
    "dynsample.grain": ["dataset"],
}  # fmt: skip
NEEDS = {
    "distill": "torch", "replay": "torch", "torch": "torch", "dali": "nvidia.dali", "ffcv": "ffcv",
    "lightning": "lightning", "hf": "transformers", "grain": "grain",
}  # fmt: skip


@pytest.mark.parametrize("module", NAMES)
def test_a_public_module_has_its_names(module: str) -> None:
    if needed := NEEDS.get(module.removeprefix("dynsample.")):
        pytest.importorskip(needed)
    found = importlib.import_module(module)
    assert [name for name in NAMES[module] if not hasattr(found, name)] == []


def test_schedules_are_an_attribute() -> None:
    assert ds.schedules.kakurenbo is not None
    assert ds.schedules.Steps is not None


@pytest.mark.parametrize(
    ("called", "arguments"),
    [
        (
            ds.Sampler,
            "num_samples policy batch_size seed drop_last order subset columns group placement "
            "device max_log_bytes report issue fingerprint",
        ),
        (ds.Sampler.observe, "self index logits targets epoch keys signals"),
        (ds.Sampler.set_epoch, "self epoch restart"),
        (ds.Sampler.save, "self path consumed"),
        (ds.Sampler.load, "self path allow"),
        (ds.ScoreTable, "num_samples columns index arrays group"),
        (ds.build_plan, "selection num_samples seed epoch order index"),
        (ds.ops.hide_lowest, "scores k eligible finite_only"),
        (ds.ops.exact_mean, "values where finite_only"),
        (ds.ops.draw, "probabilities k replacement seed epoch method"),
        (ds.ops.draw_counts, "probabilities k seed epoch method"),
        (ds.ops.draw_mask, "probabilities k seed epoch"),
        (ds.ops.inverse_probabilities, "probabilities k"),
        (ds.ops.bernoulli_cdf, "values beta seed epoch where"),
        (ds.ops.permute, "n seed epoch start stop stream"),
        (ds.ops.order_slice, "ids seed epoch start stop stream"),
        (ds.score, "model loader names num_samples"),
    ],
    ids=lambda value: getattr(value, "__qualname__", None),
)
def test_arguments_have_their_names(called: object, arguments: str) -> None:
    found = list(inspect.signature(called).parameters)  # type: ignore[arg-type]
    wanted = arguments.split()
    assert found[: len(wanted)] == wanted
