"""The paper's own setting runs up to its figures, on a small data set in the place of MSLR-WEB30K."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_shared.claims import Claim, Context, NeedsData
from twotower_ident.claims import CLAIMS, mslr_web30k
from twotower_ident.generators import gaussian_letor

PAPER = [claim for claim in CLAIMS if claim.scale == "paper"]


@pytest.fixture(scope="module")
def small_fold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve queries with 25 documents in each split, under the paper's names."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "mslr-web30k" / "Fold1"
    folder.mkdir(parents=True)
    data = gaussian_letor(n_queries=36, n_features=4, kind="tanh", seed=1)
    for number, split in enumerate(("train", "vali", "test")):
        rows = np.flatnonzero(data.query // 12 == number)
        lines = (
            f"{data.labels[row]:g} qid:{data.query[row]} "
            + " ".join(f"{column}:{value:.6f}" for column, value in enumerate(data.features[row], start=1))
            for row in rows
        )
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("claim", PAPER, ids=lambda claim: claim.name)
def test_without_data_a_claim_says_what_it_needs(claim: Claim, tmp_path: Path) -> None:
    with pytest.raises(NeedsData, match="mslr-web30k/Fold1"):
        claim.measure(Context("paper", 0, tmp_path))
    assert all(need.required for need in claim.needs)


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few steps on small logs."""
    pytest.importorskip("flax", reason="needs the extra deep")
    from twotower_ident.training import TrainConfig

    monkeypatch.setattr(mslr_web30k, "_SETTINGS", {"sessions": 2_000, "config": TrainConfig(steps=5, epochs=1)})


@pytest.mark.parametrize("part", ["claim", "control"])
@pytest.mark.parametrize("claim", PAPER, ids=lambda claim: claim.name)
def test_the_papers_setting_runs_on_data_in_its_place(
    claim: Claim, part: str, small_fold: Path, short_training: None, tmp_path: Path
) -> None:
    measure = claim.measure if part == "claim" else claim.control.measure
    found = measure(Context("paper", 0, tmp_path, small_fold))
    assert np.isfinite(found.value)
    assert "MSLR-WEB30K" in found.data
    assert found.details


def test_every_file_that_is_needed_is_one_that_is_read(small_fold: Path) -> None:
    assert all(need.files(small_fold) for claim in PAPER for need in claim.needs)
