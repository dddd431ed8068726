"""The theory on real MSLR rows, in the population limit; they come from a published archive and are never committed."""

from __future__ import annotations

import numpy as np
import pytest
from ir_shared.run_dir import hash_file
from twotower_ident.cells import group_rows
from twotower_ident.exact_fit import fit_exact
from twotower_ident.letor import RankingData, read_letor
from twotower_ident.mslr import fetch_mslr_sample, mslr_sample
from twotower_ident.official_results import official_result
from twotower_ident.placement import empirical_propensities
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world
from twotower_ident.swap_graph import position_graph
from twotower_ident.user_models import UserModel

pytestmark = pytest.mark.network
HASHES = {
    "train": "6d1721de961a35fbaef7085dc5b41e2940f0ddb04bab5f7a8566cf7db4158fa6",
    "test": "13d3c638edd23e482c38f4316c2680c938c2eaedbe096970ab30a48e364463d3",
}
LABELS = {"train": [2792, 1458, 665, 55, 30], "test": [2847, 1442, 579, 98, 34]}


@pytest.fixture(scope="module")
def documents() -> RankingData:
    return mslr_sample("train")


def curve(data: RankingData, strength: float, temperature: float, *, weighted: bool = False) -> np.ndarray:
    cells = expected_cells(make_world(data, ExpertPolicy(strength), UserModel()), EpsilonGreedy(temperature))
    weights = 1 / empirical_propensities(cells) if weighted else None
    return fit_exact(cells, "linear", features=data.features, weights=weights).position_bias


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_rows_are_those_that_are_known(split) -> None:
    path = fetch_mslr_sample(split)
    assert hash_file(path) == HASHES[split]
    data = read_letor(path)
    assert data.features.shape == (5000, 136)
    assert data.n_queries == 43
    assert np.bincount(data.labels.astype(int)).tolist() == LABELS[split]
    prepared = mslr_sample(split)
    assert len(prepared.labels) == {"train": 1025, "test": 1075}[split]
    assert set(prepared.sizes) == {25}


@pytest.mark.parametrize("strength", [1.0, -1.0])
def test_a_right_model_finds_the_users_under_a_deterministic_policy_that_swaps_nothing(documents, strength) -> None:
    utility = documents.features @ np.random.default_rng(0).standard_normal(136)
    right = documents.with_labels(2 + 0.8 * (utility - utility.mean()) / utility.std())
    cells = expected_cells(make_world(right, ExpertPolicy(strength), UserModel()), EpsilonGreedy(0))
    by_features = cells.rekey(group_rows(documents.features))
    assert by_features.n_pairs == 1025
    assert position_graph(by_features).n_components == 25
    fit = fit_exact(cells, "linear", features=right.features)
    assert np.abs(fit.position_bias + np.log(np.arange(1, 26))).max() < 1e-6


def test_a_wrong_model_is_bent_by_the_policy_with_the_signs_and_sizes_of_the_paper(documents) -> None:
    policies = [(1, 0), (1, 1 / 3), (1, 1), (-1, 1 / 3), (-1, 0)]
    last = [curve(documents, a, tau)[-1] for a, tau in policies]
    assert last == sorted(last)
    assert last[0] < -np.log(25) < last[-1]
    uniform = official_result("3-expert-policy", 1, 1)
    official = [(official_result("3-expert-policy", a, tau) or uniform).curve[-1] for a, tau in policies]
    np.testing.assert_allclose(last, official, atol=0.35)


def test_weighting_collapses_every_policy_that_explores_and_changes_none_that_does_not(documents) -> None:
    uniform = curve(documents, 1, 1)
    for strength in (1, -1):
        for temperature in (1 / 3, 2 / 3):
            np.testing.assert_allclose(curve(documents, strength, temperature, weighted=True), uniform, atol=1e-8)
        still = [curve(documents, strength, 0, weighted=weighted) for weighted in (False, True)]
        np.testing.assert_array_equal(still[0], still[1])
    assert -3.15 < uniform[-1] < -2.9  # the projection on uniform placement, not the users' -3.22
