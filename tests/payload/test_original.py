"""Files in the layout of the published scripts become a store keyed by sample."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from stores import CLASSES, SIZE, N

from dynsample.payload import PayloadError, Store, import_original, original_order

BATCH, EPOCHS = 16, 3
ORDER = original_order(N, seed=5)


def write(root: Path, mix: str) -> dict[tuple[int, int], dict[str, Any]]:
    """Write what the published relabel phase writes; give by epoch and sample what is in it."""
    random, told = np.random.default_rng(0), {}
    for epoch in range(EPOCHS):
        (root / f"epoch_{epoch}").mkdir(parents=True)
        for number, ids in enumerate(np.split(ORDER(epoch), range(BATCH, N, BATCH))):
            b = len(ids)
            crops = torch.rand(b, 4) * 0.49 + 0.01  # inside the image
            flips, partner = torch.rand(b) < 0.5, torch.from_numpy(random.permutation(b))
            logits = torch.randn(b, CLASSES).half()
            lam, box = np.float64(random.random()), [np.int64(x) for x in (2, 3, 10, 20)]
            mixed = {
                "none": [None] * 3,
                "mixup": [partner, lam, None],
                "cutmix": [partner, lam, box],
            }
            content = [crops, flips, *mixed[mix], logits]
            torch.save(content, root / f"epoch_{epoch}" / f"batch_{number}.tar")
            for row, i in enumerate(ids.tolist()):
                told[epoch, i] = {"crop": crops[row], "flip": flips[row], "logits": logits[row]}
                if mix != "none":
                    other = int(partner[row])
                    told[epoch, i] |= {"partner": ids[other], "lam": lam}
                    told[epoch, i] |= {"partner_crop": crops[other], "partner_flip": flips[other]}
                if mix == "cutmix":
                    told[epoch, i]["box"] = [int(x) for x in box]
    return told


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix"])
def test_every_row_finds_its_sample_and_its_partner(mix: str, tmp_path: Path) -> None:
    told = write(tmp_path / "original", mix)
    import_original(tmp_path / "original", tmp_path / "store", order=ORDER, size=SIZE)
    store = Store(tmp_path / "store")
    assert (store.facts.mix, store.num_epochs) == (mix, EPOCHS)
    for epoch in range(EPOCHS):
        rows = store.batch(epoch, np.arange(N))
        for i in range(N):
            assert set(rows) == set(told[epoch, i])
            for name, value in told[epoch, i].items():
                np.testing.assert_array_equal(rows[name][i], np.asarray(value), f"{name} of {i}")


def test_the_order_is_that_of_torchs_sampler_over_epochs() -> None:
    generator = torch.Generator()
    generator.manual_seed(5)
    sampler = torch.utils.data.RandomSampler(range(N), generator=generator)
    for epoch in range(EPOCHS):
        assert list(sampler) == ORDER(epoch).tolist()


def test_an_interrupted_import_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "original", "mixup")

    class Interrupted(Exception):
        pass

    def interrupt() -> None:
        raise Interrupted

    arguments: dict[str, Any] = {"order": ORDER}
    with pytest.raises(Interrupted):
        import_original(tmp_path / "original", tmp_path / "store", progress=interrupt, **arguments)
    assert Store(tmp_path / "store").num_epochs == 1
    import_original(tmp_path / "original", tmp_path / "store", **arguments)
    assert Store(tmp_path / "store").num_epochs == EPOCHS


def test_what_is_missing_or_too_much_is_named(tmp_path: Path) -> None:
    write(tmp_path / "original", "mixup")

    def load(order: Any = ORDER) -> None:
        import_original(tmp_path / "original", tmp_path / "store", order=order)

    with pytest.raises(PayloadError, match=r"batch_2.tar ends at row 48, the order has 40 ids"):
        load(lambda epoch: np.arange(40))
    with pytest.raises(PayloadError, match="epoch_0 holds 50 rows, the order has 60 ids"):
        load(lambda epoch: np.arange(60))
    (tmp_path / "original" / "epoch_1" / "batch_1.tar").unlink()
    with pytest.raises(PayloadError, match=r"batch_1.tar is missing"):
        load()
    (tmp_path / "original" / "epoch_0").rename(tmp_path / "original" / "epoch_9")
    with pytest.raises(PayloadError, match="epoch_0 is missing"):
        load()


class Command:
    def __reduce__(self) -> Any:
        return os.system, ("touch ran",)


def test_a_file_that_wants_to_run_code_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "original", "mixup")
    torch.save([Command()] * 6, tmp_path / "original" / "epoch_0" / "batch_0.tar")
    with pytest.raises(PayloadError, match=r"batch_0.tar is damaged, or holds more than tensors"):
        import_original(tmp_path / "original", tmp_path / "store", order=ORDER)
    assert not Path("ran").exists()
