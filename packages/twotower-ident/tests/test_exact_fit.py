"""Exact fits reach the optimum that other solvers reach, and give no number to what the data do not determine."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import DataWarning, UserError
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from twotower_ident.cells import CellTable
from twotower_ident.exact_fit import fit_exact, list_weights, mean_nll
from twotower_ident.generators import factor_log, gaussian_letor
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world, simulate_cells
from twotower_ident.user_models import UserModel


def table(rows: list[tuple[int, int, float, float]]) -> CellTable:
    pair, position, shown, clicks = zip(*rows, strict=True)
    return CellTable.from_arrays(pair, position, shown, clicks)


@pytest.fixture(scope="module")
def small() -> CellTable:
    return factor_log(n_pairs=6, n_positions=3, impressions=200, design="uniform", seed=1)


@pytest.fixture(scope="module")
def explored():
    data = gaussian_letor(n_queries=12, n_docs=5, n_features=4, kind="tanh", seed=4)
    world = make_world(data, ExpertPolicy(0.7), UserModel(), seed=1)
    return data, simulate_cells(world, EpsilonGreedy(0.5), sessions=6000, seed=2)


def test_the_embedding_fit_is_the_glm_with_dummies(small: CellTable) -> None:
    fit = fit_exact(small, "embedding")
    design = np.hstack([np.eye(3)[small.index][:, 1:], np.eye(6)[small.pair]])
    counts = np.column_stack([small.clicks, small.impressions - small.clicks])
    glm = sm.GLM(counts, design, family=sm.families.Binomial()).fit(tol=1e-12)
    np.testing.assert_allclose(fit.position_bias, [0, *glm.params[:2]], atol=1e-6)
    np.testing.assert_allclose(fit.relevance, glm.params[2:], atol=1e-6)
    assert fit.converged
    likelihood = small.clicks @ np.log(glm.mu) + (small.impressions - small.clicks) @ np.log1p(-glm.mu)
    assert fit.nll == pytest.approx(-likelihood / small.impressions.sum(), rel=1e-9)


def test_the_linear_fit_is_unpenalised_logistic_regression(explored) -> None:
    data, cells = explored
    fit = fit_exact(cells, "linear", features=data.features, ridge=0.0)
    design = np.hstack([np.eye(5)[cells.index], data.features[cells.pair]])
    clicked = np.repeat([1, 0], cells.n_cells)
    weight = np.concatenate([cells.clicks, cells.impressions - cells.clicks])
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=200)
    model.fit(np.tile(design, (2, 1)), clicked, sample_weight=weight)
    np.testing.assert_allclose(fit.position_bias, model.coef_[0][:5] - model.coef_[0][0], atol=1e-6)
    np.testing.assert_allclose(fit.linear.weights, model.coef_[0][5:], atol=1e-6)
    np.testing.assert_allclose(fit.relevance, data.features @ model.coef_[0][5:] + model.coef_[0][0], atol=1e-6)
    assert fit.linear.rank == 4


def test_with_a_ridge_pairs_without_clicks_are_finite_and_the_optimum_is_that_of_a_general_solver() -> None:
    cells = table(
        [(0, 1, 40, 12), (0, 2, 30, 4), (1, 1, 20, 0), (1, 3, 10, 0), (2, 2, 15, 7), (2, 3, 25, 9), (3, 1, 8, 8)]
    )
    ridge = 0.7
    fit = fit_exact(cells, "embedding", ridge=ridge)

    def cost(x: np.ndarray) -> float:
        theta, gamma = np.array([0, x[0], x[1]]), x[2:]
        s = theta[cells.index] + gamma[cells.pair]
        loss = cells.impressions @ np.logaddexp(0, s) - cells.clicks @ s
        return float(loss + ridge / 2 * np.sum((gamma - gamma.mean()) ** 2))

    found = minimize(cost, np.zeros(6), method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(fit.position_bias, [0, *found.x[:2]], atol=1e-5)
    np.testing.assert_allclose(fit.relevance, found.x[2:], atol=1e-5)


def test_the_linear_ridge_penalises_standardised_weights(explored) -> None:
    data, cells = explored
    ridge = 0.05
    fit = fit_exact(cells, "linear", features=data.features, ridge=ridge)
    mass = cells.by_pair(cells.impressions) / cells.impressions.sum()
    scale = np.sqrt(mass @ (data.features - mass @ data.features) ** 2)

    def cost(x: np.ndarray) -> float:
        s = x[:5][cells.index] + (data.features @ (x[5:] / scale))[cells.pair]
        loss = cells.impressions @ np.logaddexp(0, s) - cells.clicks @ s
        return float(loss / cells.impressions.sum() + ridge / 2 * np.sum(x[5:] ** 2))

    found = minimize(cost, np.zeros(9), method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(fit.linear.weights, found.x[5:] / scale, atol=1e-5)
    np.testing.assert_allclose(fit.position_bias, found.x[:5] - found.x[0], atol=1e-5)


def test_two_impressions_a_pair_double_the_position_effect() -> None:
    first, second, both, none = 30, 12, 9, 14
    rows, pair = [], 0
    for count, clicks in ((first, (1, 0)), (second, (0, 1)), (both, (1, 1)), (none, (0, 0))):
        for _ in range(count):
            rows += [(pair, 1, 1, clicks[0]), (pair, 2, 1, clicks[1])]
            pair += 1
    fit = fit_exact(table(rows), "embedding")
    assert fit.position_bias[1] == pytest.approx(2 * np.log(second / first), abs=1e-8)


def test_the_joint_fit_is_inconsistent_with_few_impressions_a_pair() -> None:
    log = factor_log(n_pairs=20_000, n_positions=5, impressions=2, design="two-random", seed=3)
    truth = -np.log(np.arange(1, 6))
    found = fit_exact(log, "embedding").position_bias
    assert (found[1:] / truth[1:] > 1.85).all()
    assert (found[1:] / truth[1:] < 2.15).all()


def test_a_position_without_clicks_is_minus_infinity_and_one_without_misses_plus_infinity() -> None:
    cells = table([(0, 1, 9, 4), (0, 2, 9, 3), (0, 3, 9, 0), (0, 4, 9, 9), (1, 1, 5, 2), (1, 2, 5, 4), (1, 6, 3, 1)])
    fit = fit_exact(cells, "embedding")
    assert fit.position_bias[2] == -np.inf
    assert fit.position_bias[3] == np.inf
    assert np.isnan(fit.position_bias[4])
    assert np.isfinite(fit.position_bias[[0, 1, 5]]).all()
    assert fit.reasons == {3: "no click here", 4: "every impression clicked", 5: "never shown"}
    assert fit.to_json()["position_bias"][2:5] == ["-inf", "inf", None]
    features = np.array([[1.0], [0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        linear = fit_exact(cells, "linear", features=features)
    assert (linear.position_bias[2], linear.position_bias[3]) == (-np.inf, np.inf)
    assert linear.reasons == fit.reasons
    assert np.isfinite(linear.nll)


def test_a_one_sided_link_diverges_and_says_why() -> None:
    # Position 2 has clicks and misses of its own, but with position 1 it is only ever the better one.
    cells = table([(0, 1, 5, 0), (0, 2, 5, 3), (1, 1, 5, 2), (1, 2, 5, 5)])
    fit = fit_exact(cells, "embedding")
    assert fit.position_bias.tolist() == [0, np.inf]
    assert "one-sided" in fit.reasons[2]
    mirrored = table([(0, 2, 5, 0), (0, 1, 5, 3), (1, 2, 5, 2), (1, 1, 5, 5)])
    assert fit_exact(mirrored, "embedding").position_bias.tolist() == [0, -np.inf]


def test_unlinked_positions_have_no_number_but_their_own_curve() -> None:
    cells = table([(0, 1, 50, 20), (0, 2, 50, 10), (1, 3, 50, 30), (1, 4, 50, 15)])
    fit = fit_exact(cells, "embedding")
    assert np.isnan(fit.position_bias[2:]).all()
    assert "not linked" in fit.reasons[3]
    logit = np.log([20 / 30, 10 / 40, 30 / 20, 15 / 35])
    np.testing.assert_allclose(fit.group_bias, [0, logit[1] - logit[0], 0, logit[3] - logit[2]], atol=1e-8)
    assert fit.group[0] == fit.group[1] != fit.group[2] == fit.group[3]
    assert np.isnan(fit.relevance[1])


def test_pairs_without_clicks_or_misses_are_infinite_and_move_nothing(small: CellTable) -> None:
    more = CellTable.from_arrays(
        np.concatenate([small.pair, [6, 6, 7]]),
        np.concatenate([small.position, [1, 2, 1]]),
        np.concatenate([small.impressions, [9, 9, 4]]),
        np.concatenate([small.clicks, [0, 0, 4]]),
    )
    fit, plain = fit_exact(more, "embedding"), fit_exact(small, "embedding")
    np.testing.assert_allclose(fit.position_bias, plain.position_bias, atol=1e-9)
    assert fit.relevance[6:].tolist() == [-np.inf, np.inf]


def test_a_shift_between_the_towers_changes_neither_loss_nor_curve(small: CellTable) -> None:
    fit = fit_exact(small, "embedding")
    for shift in (-3.0, 0.5):
        theta, gamma = fit.position_bias + shift, fit.relevance - shift
        logits = theta[small.index] + gamma[small.pair]
        assert mean_nll(small.impressions, small.clicks, logits) == pytest.approx(fit.nll, abs=1e-12)
        np.testing.assert_array_equal(np.argsort(gamma), np.argsort(fit.relevance))
        np.testing.assert_allclose(theta - theta[0], fit.position_bias, atol=1e-12)


def test_a_constant_added_to_a_feature_changes_neither_curve_nor_ranking(explored) -> None:
    data, cells = explored
    moved = data.features + np.array([5.0, 0, -2, 0])
    fit, other = (fit_exact(cells, "linear", features=x) for x in (data.features, moved))
    np.testing.assert_allclose(fit.position_bias, other.position_bias, atol=1e-8)
    np.testing.assert_allclose(fit.relevance, other.relevance, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 10))
def test_scaling_all_counts_changes_no_fit(seed: int, scale: float) -> None:
    cells = factor_log(n_pairs=8, n_positions=3, impressions=60, design="uniform", seed=seed)
    fit = fit_exact(cells, "embedding")
    scaled = fit_exact(cells, "embedding", weights=np.full(cells.n_cells, scale))
    np.testing.assert_allclose(scaled.position_bias, fit.position_bias, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_gradient_vanishes_at_the_fit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = factor_log(n_pairs=10, n_positions=4, impressions=50, design="uniform", seed=seed)
    weights = rng.uniform(0.2, 3, cells.n_cells)
    fit = fit_exact(cells, "embedding", weights=weights)
    if not np.isfinite(fit.position_bias).all():
        return
    informative = np.isfinite(fit.relevance)[cells.pair]
    s = fit.position_bias[cells.index] + np.where(informative, fit.relevance[cells.pair], 0)
    residual = np.where(informative, weights * (cells.impressions / (1 + np.exp(-s)) - cells.clicks), 0)
    assert np.abs(cells.by_position(residual)).max() < 1e-6
    assert np.abs(cells.by_pair(residual)).max() < 1e-6


def test_a_cell_of_weight_zero_counts_for_nothing(small: CellTable) -> None:
    kept = np.arange(small.n_cells) % 5 != 0
    fit = fit_exact(small, "embedding", weights=kept.astype(float))
    np.testing.assert_allclose(fit.position_bias, fit_exact(small.keep_cells(kept), "embedding").position_bias)


def test_a_warm_start_ends_at_the_same_place_at_once(explored) -> None:
    data, cells = explored
    for tower, features in (("linear", data.features), ("embedding", None)):
        fit = fit_exact(cells, tower, features=features)
        again = fit_exact(cells, tower, features=features, start=fit)
        assert again.iterations <= 1
        np.testing.assert_allclose(again.position_bias, fit.position_bias, atol=1e-8)


def test_constant_features_are_dropped_with_a_note_and_twins_are_told(explored) -> None:
    data, cells = explored
    odd = np.column_stack([data.features, np.full(60, 3.0), data.features[:, 1]])
    with pytest.warns(DataWarning, match="features 4 are constant"):
        fit = fit_exact(cells, "linear", features=odd)
    plain = fit_exact(cells, "linear", features=data.features)
    np.testing.assert_allclose(fit.position_bias, plain.position_bias, atol=1e-6)
    assert fit.linear.weights[4] == 0
    assert fit.linear.rank == 4
    assert set(list(fit.linear.null_features[0])[:2]) == {1, 5}


def test_a_feature_that_is_the_position_has_no_weight_of_its_own() -> None:
    data = gaussian_letor(n_queries=20, n_docs=4, n_features=3, seed=1)
    cells = expected_cells(make_world(data, ExpertPolicy(0.5), UserModel(), seed=2), EpsilonGreedy(0))
    position = np.zeros(80)
    position[cells.pair] = cells.position
    fit = fit_exact(cells, "linear", features=np.column_stack([data.features, position]))
    assert fit.linear.rank == 3
    assert next(iter(fit.linear.null_features[0])) == 3


def test_features_that_separate_the_clicks_are_told() -> None:
    cells = table([(0, 1, 9, 9), (0, 2, 9, 9), (1, 1, 9, 0), (1, 2, 9, 0)])
    with pytest.warns(DataWarning, match="separate clicks from non-clicks"):
        fit_exact(cells, "linear", features=np.array([[1.0], [0.0]]), ridge=1e-14)


def test_list_weights_average_over_the_documents_of_a_session_first() -> None:
    cells = table([(0, 1, 6, 3), (1, 2, 6, 2), (2, 1, 4, 1)])
    np.testing.assert_allclose(list_weights(cells, np.array([2, 2, 1])), [0.5, 0.5, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.ones((3, 2))}, "has 6 pairs"),
        ({}, "needs features"),
        ({"features": np.full((6, 1), np.nan)}, "pair 0 has nan"),
        ({"features": np.ones((6, 1)), "weights": -np.ones(18)}, "not negative"),
        ({"features": np.ones((6, 1)), "ridge": -1.0}, "ridge -1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(small: CellTable, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        fit_exact(small, "linear", **change)


def test_a_log_without_clicks_or_misses_is_refused() -> None:
    with pytest.raises(UserError, match="no click"):
        fit_exact(table([(0, 1, 3, 0), (0, 2, 3, 0)]))
    with pytest.raises(UserError, match="both clicks and non-clicks"):
        fit_exact(table([(0, 1, 3, 3), (0, 2, 3, 3)]))


def test_an_embedding_fit_scores_no_other_documents(small: CellTable) -> None:
    with pytest.raises(UserError, match="knows only the pairs"):
        fit_exact(small).score(np.ones((2, 2)))
