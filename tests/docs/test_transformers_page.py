"""The page for users of transformers' and TRL's trainers: its code trains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers", reason="transformers is not installed")

import torch

from tests import pages

PAGE = "docs/migrate/transformers.md"
MAIN, REGRESSION, SFT = pages.blocks(PAGE)
WORDS = ["<pad>", "<eos>", *"abcdefgh"]


class Samples(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([i / 40]), "labels": torch.tensor(i % 2)}


class Model(torch.nn.Module):
    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.net, self.loss = torch.nn.Linear(1, 2), loss

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.net(x)
        return {"loss": self.loss(logits, labels), "logits": logits}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", {**os.environ, "HF_HUB_OFFLINE": "1"})


def test_the_trainer_prunes_and_makes_every_epoch() -> None:
    given = {"dataset": Samples(), "model": Model(torch.nn.CrossEntropyLoss())}
    trainer = pages.run(PAGE, [MAIN], given)["trainer"]
    assert trainer.sampler.epoch == 2
    assert trainer.state.global_step < 9 == 3 * 3
    assert trainer.state.epoch == 3


def test_a_loss_of_another_kind_is_what_is_observed() -> None:
    def squares(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return ((logits[:, 0] - labels) ** 2).mean()

    code = [MAIN.split("args =")[0], REGRESSION, "args =" + MAIN.split("args =")[1]]
    code[-1] = code[-1].replace("= Trainer(", "= Regression(")
    given = {"dataset": Samples(), "model": Model(squares)}
    trainer = pages.run(PAGE, code, given)["trainer"]
    losses = trainer.sampler.table["loss"]
    assert losses.min() >= 0
    assert len(set(losses.tolist())) > 2


# Of an argument that TRL sets by a former name.
@pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")
def test_trl_trains_on_what_is_planned() -> None:
    pytest.importorskip("trl", reason="TRL is not installed")
    import datasets
    import tokenizers
    import transformers
    import trl

    import dynsample as ds

    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>"
    )
    rows = [" ".join(WORDS[2 + (i * j) % 8] for j in range(1, 3 + i % 5)) for i in range(40)]
    names = pages.run(PAGE, [MAIN.split("args =")[0], SFT], {})
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
        num_attention_heads=1, num_key_value_heads=1,
    )  # fmt: skip
    seen: dict[tuple[int, bool], list[int]] = {}

    class Noted(names["DynamicSFT"]):  # type: ignore[misc]
        def _observe(self, index: torch.Tensor, *given: Any) -> Any:
            key = (self.sampler.epoch, torch.is_grad_enabled())
            seen.setdefault(key, []).extend(index.tolist())
            return super()._observe(index, *given)

    sampler = ds.Sampler(40, ds.InfoBatch(epochs=9), seed=1, issue="external")
    trainer = Noted(
        model=transformers.LlamaForCausalLM(config),
        processing_class=tokenizer,
        train_dataset=datasets.Dataset.from_dict({"text": rows}),
        sampler=sampler,
        args=trl.SFTConfig(
            "out", num_train_epochs=2, per_device_train_batch_size=4, bf16=False, use_cpu=True,
            gradient_accumulation_steps=2, report_to=[], save_strategy="no",
        ),
    )  # fmt: skip
    trainer.train()
    assert sorted(seen[0, True]) == list(range(40))
    assert sorted(seen[1, True]) == sorted(sampler.plan.order.tolist())
    assert len(seen[1, True]) < 40
    assert trainer.state.global_step == 5 + -(-len(seen[1, True]) // 8)
