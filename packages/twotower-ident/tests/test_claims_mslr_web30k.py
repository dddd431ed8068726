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


@pytest.mark.parametrize("claim", PAPER, ids=lambda claim: claim.name)
def test_the_papers_setting_runs_on_data_in_its_place(
    claim: Claim, small_fold: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("flax", reason="needs the extra deep")
    from twotower_ident.training import TrainConfig

    short = {"sessions": 2_000, "config": TrainConfig(steps=5, epochs=1)}
    monkeypatch.setattr(mslr_web30k, "_SETTINGS", short)
    context = Context("paper", 0, tmp_path, small_fold)
    found, control = claim.measure(context), claim.control.measure(context)
    assert np.isfinite([found.value, control.value]).all()
    assert "MSLR-WEB30K" in found.data
    assert found.details
    assert all(need.files(small_fold) for need in claim.needs)
