"""The paper's theory, in the population limit: when the policy matters and when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from twotower_ident.exact_fit import fit_exact
from twotower_ident.generators import gaussian_letor
from twotower_ident.placement import empirical_propensities, placement_weights
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world, simulate_cells
from twotower_ident.user_models import UserModel

POLICIES = [(a, tau) for a in (1.0, 0.3, -1.0) for tau in (0.2, 1 / 3, 1.0)]


@pytest.fixture(scope="module")
def documents():
    return gaussian_letor(n_queries=20, n_docs=8, n_features=5, kind="tanh", seed=2)


def cells_of(data, strength: float, temperature: float):
    return expected_cells(make_world(data, ExpertPolicy(strength), UserModel(), seed=3), EpsilonGreedy(temperature))


def test_with_full_support_the_weighted_solution_does_not_know_the_policy(documents) -> None:
    uniform = fit_exact(cells_of(documents, 1.0, 1.0), "linear", features=documents.features)
    for strength, temperature in POLICIES:
        cells = cells_of(documents, strength, temperature)
        weights = 1 / empirical_propensities(cells)
        fit = fit_exact(cells, "linear", features=documents.features, weights=weights)
        np.testing.assert_allclose(fit.position_bias, uniform.position_bias, atol=1e-8)
        np.testing.assert_allclose(fit.linear.weights, uniform.linear.weights, atol=1e-8)


def test_unweighted_the_misspecified_solution_does(documents) -> None:
    curves = [
        fit_exact(cells_of(documents, a, 0.2), "linear", features=documents.features).position_bias[-1] for a in (1, -1)
    ]
    assert curves[0] < curves[1] - 0.1


@pytest.mark.parametrize("strength", [1.0, 0.5, -1.0])
@pytest.mark.parametrize("temperature", [0.0, 1 / 3])
def test_when_the_model_is_right_the_policy_has_no_effect(documents, strength: float, temperature: float) -> None:
    utility = documents.features @ np.array([0.5, -0.3, 0.2, 0.1, 0.4])
    right = documents.with_labels(2 + utility)
    fit = fit_exact(cells_of(right, strength, temperature), "linear", features=right.features)
    np.testing.assert_allclose(fit.position_bias, -np.log(np.arange(1, 9)), atol=1e-6)


def test_an_embedding_is_right_under_any_exploration_and_unidentified_without() -> None:
    data = gaussian_letor(n_queries=10, n_docs=6, seed=2)
    for strength in (1.0, -1.0):
        fit = fit_exact(cells_of(data, strength, 0.1), "embedding")
        np.testing.assert_allclose(fit.position_bias, -np.log(np.arange(1, 7)), atol=1e-7)
        np.testing.assert_allclose(fit.relevance, data.labels - 2, atol=1e-7)
        still = fit_exact(cells_of(data, strength, 0.0), "embedding")
        assert np.isnan(still.position_bias[1:]).all()


def test_weights_of_a_cell_sum_to_the_sessions_of_its_query(documents) -> None:
    world = make_world(documents, ExpertPolicy(0.5), UserModel())
    cells = simulate_cells(world, EpsilonGreedy(0.4), sessions=3000, seed=0)
    weights = placement_weights(cells, "raw").weight
    np.testing.assert_allclose(weights * cells.impressions, cells.query_sessions[cells.pair_query[cells.pair]])


def test_a_deterministic_log_has_weights_of_one_and_the_very_same_fit(documents) -> None:
    world = make_world(documents, ExpertPolicy(1), UserModel())
    cells = simulate_cells(world, EpsilonGreedy(0), sessions=3000, seed=0)
    weights = placement_weights(cells, "raw").weight
    np.testing.assert_array_equal(weights, 1)
    plain, weighted = (fit_exact(cells, "linear", features=documents.features, weights=w) for w in (None, weights))
    assert plain.position_bias.tobytes() == weighted.position_bias.tobytes()
    assert plain.nll == weighted.nll
