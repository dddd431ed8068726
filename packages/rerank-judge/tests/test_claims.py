from __future__ import annotations

import os
from pathlib import Path

import pytest
from ir_shared.claims import Context, Verdict
from rerank_judge.claims import CLAIMS

# The others have tests of their own: they need data in any case, or train models.
ON_TOYS_TOO = [claim for claim in CLAIMS if not claim.seeds and not any(need.required for need in claim.needs)]


def _data():
    return Path(os.environ["IR_DATA"]) if os.environ.get("IR_DATA") else None


@pytest.fixture(params=["toy", "real"])
def context(request, tmp_path):
    if request.param == "toy":
        return Context("quick", 0, tmp_path)
    if _data() is None or not (_data() / "trec-dl" / "dl22").exists():
        pytest.skip("needs IR_DATA with trec-dl/dl22 and trec-dl/dl23")
    return Context("quick", 0, tmp_path, _data())


@pytest.mark.parametrize("claim", ON_TOYS_TOO, ids=lambda claim: claim.name)
def test_the_control_fails_the_criterion(claim, context):
    measured = claim.control.measure(context)
    assert claim.criterion.decide(measured.value, measured.interval) is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize("claim", ON_TOYS_TOO, ids=lambda claim: claim.name)
def test_the_figures_that_a_claim_names_are_there(claim, context):
    measured = claim.measure(context)
    assert measured.figures
    for figure in measured.figures:
        assert (context.folder / f"{figure.name}.svg").stat().st_size > 1000
    low, high = measured.interval
    assert low <= measured.value <= high
    assert ("real" in measured.data) == (context.data_dir is not None)


def test_transferred_thresholds_attain_the_published_agreement(context):
    if context.data_dir is None:
        pytest.skip("needs IR_DATA: the figures are of the published scores")
    claim = next(claim for claim in CLAIMS if claim.name == "exact-thresholds-transfer")
    details = claim.measure(context).details
    assert details["rank1-7b, dl22 to dl23"] == "0.386 on the grid, 0.393 exact"
    assert details["rank1-14b, dl22 to dl23"] == "0.406 on the grid, 0.420 exact"
    assert details["rank1-32b-awq, dl22 to dl23"] == "0.392 on the grid, 0.415 exact"
