"""InfoBatch in the Trainer of transformers: another name, and a sampler."""

import tempfile

import torch
from transformers import BertConfig, BertForSequenceClassification, TrainingArguments

import dynsample as ds
from dynsample.hf import Trainer

torch.manual_seed(0)
words = torch.randint(1, 100, (640, 16))
train_set = [{"input_ids": text, "labels": int(text[0] > 50)} for text in words]
config = BertConfig(
    vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
)
args = TrainingArguments(
    tempfile.mkdtemp(), num_train_epochs=4, per_device_train_batch_size=32, learning_rate=1e-3,
    use_cpu=True, report_to="none", logging_strategy="no", save_strategy="no",
)  # fmt: skip

sampler = ds.Sampler(len(train_set), ds.InfoBatch(epochs=4), seed=args.seed, issue="external")
trainer = Trainer(
    model=BertForSequenceClassification(config), args=args, train_dataset=train_set, sampler=sampler
)
trainer.train()
print(f"{trainer.state.global_step} steps; {4 * len(train_set) // 32} without InfoBatch")
