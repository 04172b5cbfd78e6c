"""The Trainer of transformers on the plan of a sampler: epochs, steps, batches, losses."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("accelerate", reason="Accelerate is not installed")

import transformers
from hf_runs import BATCH, EPOCHS, POLICIES, Classifier, N, Samples, make, run

import dynsample as ds
from dynsample import hf

# Epochs and steps


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_every_epoch_makes_the_steps_of_its_own_plan(
    policy: str, accumulation: int, tmp_path: Path
) -> None:
    trainer = run(tmp_path, policy, gradient_accumulation_steps=accumulation)
    assert sorted(trainer.kept) == list(range(EPOCHS))
    for epoch, (order, hidden) in trainer.planned.items():
        assert sorted(trainer.kept[epoch]) == order
        assert sorted(trainer.looked.get(epoch, [])) == (hidden if policy == "Kakurenbo" else [])
        batches = -(-len(order) // BATCH)
        assert trainer.steps[epoch] == -(-batches // accumulation)
    assert len(trainer.planned[1][0]) < N
    assert trainer.state.global_step == trainer.state.max_steps == sum(trainer.steps.values())
    assert trainer.state.epoch == EPOCHS
    assert set(trainer.lr_scheduler.get_last_lr()) == {0.0}
    assert 0 < trainer.rates[-1] < 0.1 / EPOCHS
    assert trainer.left
    assert not any(trainer.left)  # a gradient that was accumulated and not used


def test_max_steps_are_made_in_as_many_epochs_as_it_takes(tmp_path: Path) -> None:
    trainer = run(tmp_path, max_steps=50)
    assert trainer.state.global_step == 50 == sum(trainer.steps.values())
    *whole, last = trainer.steps
    assert last >= 4  # where 14 steps an epoch made 3 of them enough
    for epoch in whole:
        assert sorted(trainer.kept[epoch]) == trainer.planned[epoch][0]
        assert sorted(trainer.looked.get(epoch, [])) == trainer.planned[epoch][1]
    assert 0 < len(trainer.kept[last]) < len(trainer.planned[last][0])
    assert last not in trainer.looked  # it is not over
    scale = 1 / (1 - 0.4)
    assert trainer.rates == pytest.approx([0.1 * scale * (1 - i / 50) for i in range(50)])
    assert set(trainer.lr_scheduler.get_last_lr()) == {0.0}


def test_a_part_of_an_epoch_ends_the_run_and_its_schedule(tmp_path: Path) -> None:
    trainer = run(tmp_path, num_train_epochs=2.5)
    first, second, half = trainer.steps.values()
    assert (first, second) == (14, -(-len(trainer.planned[1][0]) // BATCH))
    assert half == math.ceil(math.ceil(len(trainer.planned[2][0]) / BATCH) / 2)
    assert set(trainer.lr_scheduler.get_last_lr()) == {0.0}


def test_epochs_that_grow_are_whole(tmp_path: Path) -> None:
    policy = ds.Kakurenbo(fraction=0.6, tau=0.0, schedule=lambda epoch: 1.0 if epoch < 3 else 0.1)
    trainer = run(tmp_path, policy)
    steps = {e: -(-len(order) // BATCH) for e, (order, _) in trainer.planned.items()}
    assert trainer.steps == steps
    assert steps[2] < steps[3] == 13
    assert set(trainer.lr_scheduler.get_last_lr()) == {0.0}


def test_steps_are_scaled_and_schedules_do_not_see_it(tmp_path: Path) -> None:
    policy = ds.Kakurenbo(fraction=0.4, tau=0.0, warmup_epochs=2)
    trainer = run(tmp_path, policy, lr_scheduler_type="constant")
    warm = trainer.steps[0] + trainer.steps[1]
    assert trainer.rates[:warm] == [0.1] * warm
    assert trainer.rates[warm:] == pytest.approx([0.1 / 0.6] * len(trainer.rates[warm:]))
    assert len(trainer.rates) > warm


def test_a_schedule_of_ones_own_is_left_alone(tmp_path: Path) -> None:
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5**step)
    run(tmp_path, model=model, trainer={"optimizers": (optimizer, schedule)}, max_steps=3)
    assert schedule.get_last_lr() == [0.1 * 0.5**3]


# Batches


@pytest.mark.parametrize("remove", [True, False])
def test_neither_the_collator_nor_the_model_sees_the_index(remove: bool, tmp_path: Path) -> None:
    keys: set[str] = set()

    def collate(samples: list[dict[str, Any]]) -> transformers.BatchEncoding:
        keys.update(*samples)
        labels = torch.tensor([one["labels"] for one in samples])
        x = torch.stack([one["x"] for one in samples])
        return transformers.BatchEncoding({"x": x, "labels": labels})

    options: dict[str, Any] = {"trainer": {"data_collator": collate, "eval_dataset": Samples(9)}}
    trainer = make(tmp_path, num_train_epochs=1, remove_unused_columns=remove, **options)
    batch = next(iter(trainer.get_train_dataloader()))
    assert isinstance(batch, transformers.BatchEncoding)
    assert batch["labels"].tolist() == [i % 3 // 2 for i in batch[hf.INDEX].tolist()]
    trainer.train()
    assert keys == {"x", "labels"} | (set() if remove else {"name"})
    assert sorted(trainer.kept[0]) == list(range(N))
    assert hf.INDEX not in next(iter(trainer.get_eval_dataloader()))
    assert trainer.evaluate()["eval_loss"] > 0
    assert len(trainer.kept[0]) == N


def test_a_data_set_of_datasets_loses_its_unused_columns(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    dataset = datasets.Dataset.from_list([Samples()[i] for i in range(N)]).with_format("torch")
    trainer = run(tmp_path, dataset=dataset, num_train_epochs=2, dataloader_num_workers=2)
    assert sorted(trainer.kept[1]) == trainer.planned[1][0]


# The loss


class Tokens(torch.utils.data.Dataset[dict[str, Any]]):
    """Rows of different lengths, padded."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> dict[str, Any]:
        ids = (torch.arange(7) * (i + 2) + i) % 11
        labels = torch.where(torch.arange(7) < 2 + i % 6, ids, -100)
        return {"input_ids": ids, "labels": labels}


def language_model() -> torch.nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=11,
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
    )
    model: torch.nn.Module = transformers.LlamaForCausalLM(config)
    return model


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("task", ["classes", "tokens"])
def test_weights_multiply_what_every_sample_has_of_all_that_is_accumulated(
    task: str, smoothing: float, tmp_path: Path
) -> None:
    model = Classifier() if task == "classes" else language_model()
    dataset = Samples(12) if task == "classes" else Tokens()
    sampler = ds.Sampler(12, ds.InfoBatch(ratio=0.5, epochs=9), seed=1, issue="external")
    trainer = make(
        tmp_path,
        cls=hf.Trainer,
        model=model,
        dataset=dataset,
        sampler=sampler,
        label_smoothing_factor=smoothing,
    )
    loader = trainer.get_train_dataloader()
    for _ in loader:
        pass
    sampler.observe(torch.arange(12), loss=torch.arange(12.0))
    loader.set_epoch(1)
    assert sampler.plan.weights is not None
    batches = list(loader)
    items = trainer._get_num_items_in_batch(batches, torch.device("cpu"))
    model.train()
    for batch in batches:
        loss = trainer.compute_loss(model, trainer._prepare_inputs(batch), num_items_in_batch=items)
        loss.backward()
    found = [one.grad.clone() for one in model.parameters()]
    model.zero_grad()
    total, count = torch.tensor(0.0), 0
    for batch in batches:
        index = batch.pop(hf.INDEX)
        logits, labels = model(**batch)["logits"], batch["labels"]
        if task == "tokens":
            logits, labels = logits[:, :-1], labels[:, 1:]
        losses = torch.nn.functional.cross_entropy(
            logits.flatten(0, -2),
            labels.flatten(),
            reduction="none",
            label_smoothing=smoothing,
        ).view(len(index), -1)
        total = total + (sampler.weights(index) * losses.sum(1)).sum()
        count += int(labels.ne(-100).sum())
    (total / count).backward()
    for one, mine in zip(model.parameters(), found, strict=True):
        torch.testing.assert_close(mine, one.grad)


def test_without_weights_the_loss_is_the_trainers_own(tmp_path: Path) -> None:
    trainer = make(tmp_path, cls=hf.Trainer)
    batch = next(iter(trainer.get_train_dataloader()))
    loss = trainer.compute_loss(trainer.model, {**batch})
    del batch[hf.INDEX]
    own = transformers.Trainer.compute_loss(trainer, trainer.model, {**batch})
    assert loss.item() == own.item()


def test_what_is_observed_is_the_loss_and_what_the_logits_say(tmp_path: Path) -> None:
    trainer = make(tmp_path, cls=hf.Trainer, label_smoothing_factor=0.1)
    for batch in trainer.get_train_dataloader():
        trainer.compute_loss(trainer.model, batch)
    trainer.sampler.set_epoch(1)
    table = trainer.sampler.table
    x, labels = torch.arange(N)[:, None] / N - 0.5, torch.arange(N) % 3 // 2
    logits = trainer.model.net(x)
    smooth = torch.nn.functional.cross_entropy(
        logits, labels, reduction="none", label_smoothing=0.1
    )
    assert table["loss"] == pytest.approx(smooth.detach().numpy(), rel=1e-5)
    assert table["correct"].tolist() == logits.argmax(1).eq(labels).tolist()


def test_losses_of_another_kind_are_those_that_one_gives(tmp_path: Path) -> None:
    class Margin(hf.Trainer):
        def sample_losses(self, outputs: Any, inputs: Any) -> torch.Tensor:
            return outputs["logits"][:, 0] * 0 + 7

    trainer = run(tmp_path, cls=Margin, num_train_epochs=1)
    trainer.sampler.set_epoch(1)
    assert set(trainer.sampler.table["loss"].tolist()) == {7.0}


def test_losses_that_are_not_of_samples_are_refused(tmp_path: Path) -> None:
    class Reduced(hf.Trainer):
        def sample_losses(self, outputs: Any, inputs: Any) -> torch.Tensor:
            return outputs["loss"][None]

    with pytest.raises(ValueError, match=r"the losses of 4 samples, got shape \[1\]: .*packing"):
        run(tmp_path, cls=Reduced)

    class Silent(Classifier):
        def forward(self, *given: Any, **more: Any) -> dict[str, torch.Tensor]:
            return {"loss": super().forward(*given, **more)["loss"]}

    with pytest.raises(ValueError, match=r"without logits.*override sample_losses"):
        run(tmp_path, model=Silent(), remove_unused_columns=False, dataset=_Plain())


class _Plain(Samples):
    def __getitem__(self, i: int) -> dict[str, Any]:
        return {name: one for name, one in super().__getitem__(i).items() if name != "name"}


def test_a_policy_that_needs_nothing_asks_for_no_losses(tmp_path: Path) -> None:
    class Silent(hf.Trainer):
        def sample_losses(self, outputs: Any, inputs: Any) -> torch.Tensor:
            raise AssertionError

    trainer = run(tmp_path, ds.RandomSubset(fraction=0.5), cls=Silent)
    assert trainer.state.global_step == EPOCHS * 7


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"train_sampling_strategy": "group_by_length"},
            "train_sampling_strategy must be 'random'",
        ),
        ({"dataloader_drop_last": True}, "dataloader_drop_last must be False, got True"),
        ({"auto_find_batch_size": True}, "auto_find_batch_size must be False"),
        ({"accelerator_config": {"even_batches": False}}, r"even_batches must be True, got False"),
        ({"accelerator_config": {"dispatch_batches": True}}, "dispatch_batches must be False"),
    ],
)
def test_what_the_sampler_decides_is_not_an_argument(
    arguments: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **arguments)


def test_samplers_data_sets_and_losses_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r'sampler must be a dynsample.Sampler.*issue="external"'):
        make(tmp_path, sampler=torch.utils.data.RandomSampler(Samples()))
    with pytest.raises(ValueError, match='must be made with issue="external"'):
        make(tmp_path, sampler=ds.Sampler(N))
    with pytest.raises(ValueError, match="train_dataset has 7 items, the sampler was made for 53"):
        make(tmp_path, dataset=Samples(7))
    with pytest.raises(ValueError, match="compute_loss_func gives the loss of a batch"):
        make(tmp_path, cls=hf.Trainer, trainer={"compute_loss_func": lambda *_, **__: None})


def test_a_trainer_with_a_sampler_of_its_own_is_refused(tmp_path: Path) -> None:
    class Groups(transformers.Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, dataset: Any = None) -> Any:
            raise AssertionError

    class Mixed(hf.Trainer, Groups):
        pass

    with pytest.raises(TypeError, match="Groups has a _get_train_sampler of its own"):
        make(tmp_path, cls=Mixed)


def test_trials_do_not_share_a_sampler(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a trainer and a sampler for each"):
        make(tmp_path)._init_training_state(1, 1, 1, None, object())


def test_the_trainer_calls_what_is_overridden() -> None:
    loop = inspect.getsource(transformers.Trainer)
    for name in ("_run_epoch", "_init_training_state", "_save_checkpoint", "_get_train_sampler"):
        assert f"self.{name}" in loop
