"""Each claim's control fails its criterion, on the stand-in and on real rows; figures and data are what is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ir_shared.claims import Claim, Context, Measurement, NeedsData, Verdict
from twotower_ident.claims import CLAIMS, documents, misfit

QUICK = [claim for claim in CLAIMS if claim.scale == "quick"]
BY_NAME = {claim.name: claim for claim in CLAIMS}


def verdict(claim: Claim, found: Measurement) -> Verdict:
    return claim.criterion.decide(found.value, found.interval)


@pytest.fixture(scope="module", autouse=True)
def few_draws() -> Iterator[None]:
    """Ten resamples of queries instead of a hundred."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(misfit, "_DRAWS", 10)
        yield


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context("quick", 0, tmp_path_factory.mktemp("quick"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context("laptop", 0, tmp_path_factory.mktemp("laptop"))


@pytest.fixture(scope="module")
def measured(context: Context) -> Callable[[str], Measurement]:
    """What a claim measures at quick, once."""
    return cache(lambda name: BY_NAME[name].measure(context))


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.name)
def test_the_control_fails_the_criterion(claim: Claim, context: Context) -> None:
    assert verdict(claim, claim.control.measure(context)) is Verdict.NOT_REPRODUCED


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.name)
def test_a_measurement_is_complete_and_says_that_it_is_synthetic(
    claim: Claim, context: Context, measured: Callable[[str], Measurement]
) -> None:
    found = measured(claim.name)
    assert np.isfinite(found.value)
    assert "synthetic" in found.data
    assert found.details
    for figure in found.figures:
        assert (context.folder / f"{figure.name}.svg").stat().st_size > 1000


@pytest.mark.parametrize(
    "name",
    [
        "right-model-any-policy",
        "weighting-collapses-the-curves",
        "weighting-does-nothing-without-exploration",
        "embeddings-need-swaps",
        "feature-overlap-identifies",
        "neither-swaps-nor-overlap-identify-nothing",
    ],
)
def test_claims_that_are_exact_hold_on_the_stand_in(name: str, measured: Callable[[str], Measurement]) -> None:
    assert verdict(BY_NAME[name], measured(name)) is Verdict.REPRODUCED


def test_the_interval_over_queries_holds_the_value(measured: Callable[[str], Measurement]) -> None:
    found = measured("misfit-and-policy-amplify-bias")
    assert found.interval is not None
    assert found.interval[0] <= found.value <= found.interval[1]


def test_the_smallest_step_is_negative_when_any_policy_is_out_of_order_or_off_the_truth() -> None:
    order = np.array([-4.6, -3.9, -3.0, -2.0, -1.5])
    assert misfit.smallest_step(order, -3.2) == pytest.approx(0.5)
    assert misfit.smallest_step(order[[0, 2, 1, 3, 4]], -3.2) < 0
    assert misfit.smallest_step(order, -5.0) < 0
    assert misfit.smallest_step(order, -1.0) < 0


def test_the_stand_in_has_the_shape_of_the_real_rows(context: Context) -> None:
    found = documents.documents(context)
    assert (found.train.n_queries, found.test.n_queries) == (41, 43)
    assert set(found.train.sizes) == set(found.test.sizes) == {25}


def test_a_linear_tower_expresses_the_right_users_and_not_the_labels(context: Context) -> None:
    found = documents.documents(context)
    design = np.column_stack([found.train.features, np.ones(len(found.train.labels))])
    right, labels = (np.linalg.lstsq(design, data.labels, rcond=None)[1].item() for data in (found.right, found.train))
    assert right < 1e-15
    assert labels / len(design) > 0.25


def test_without_overlap_a_linear_tower_is_identified_by_its_form_alone(
    measured: Callable[[str], Measurement],
) -> None:
    details = measured("neither-swaps-nor-overlap-identify-nothing").details
    assert details["components of intervals"] == details["components of documents"] == 10
    assert details["linear tower"] == "identified"


def test_rows_below_the_data_folder_are_read_at_quick(tmp_path: Path) -> None:
    folder = tmp_path / "mslr-sample"
    folder.mkdir()
    line = "{label} qid:{qid} 1:{value} 136:1\n"
    for split in ("train", "test"):
        rows = "".join(line.format(label=d % 3, qid=q, value=d) for q in range(3) for d in range(30))
        (folder / f"msn1.fold1.{split}.5k.txt").write_text(rows)
    found = documents.documents(Context("quick", 0, tmp_path, tmp_path))
    assert "real" in found.data
    assert found.train.features.shape == (75, 136)


def test_without_network_or_data_a_larger_scale_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(NeedsData, match="mslr-sample/ below --data, or the network"):
        documents.documents(Context("laptop", 0, tmp_path))


@pytest.mark.network
@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.scale != "paper"], ids=lambda claim: claim.name)
def test_on_real_rows_the_control_fails_the_criterion(claim: Claim, real: Context) -> None:
    assert verdict(claim, claim.control.measure(real)) is Verdict.NOT_REPRODUCED


@pytest.mark.network
def test_real_rows_land_near_the_official_curves(real: Context) -> None:
    claim = BY_NAME["real-rows-land-near-the-official-curves"]
    found = claim.measure(real)
    assert "real" in found.data
    assert verdict(claim, found) is Verdict.REPRODUCED
