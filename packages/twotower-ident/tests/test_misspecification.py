"""The weight test keeps its level and has power; residual maps and calibration add up."""

from __future__ import annotations

import numpy as np
import pytest
from twotower_ident.cells import CellTable
from twotower_ident.exact_fit import fit_exact
from twotower_ident.features import PairFeatures
from twotower_ident.misfit import calibration, residual_map, residual_placement_correlation
from twotower_ident.model_check import check_model
from twotower_ident.placement import empirical_propensities, placement_weights
from twotower_ident.towers import FittedModel, Inputs
from twotower_ident.weighting_test import weight_test

QUERIES, DOCUMENTS, SESSIONS, TAU = 120, 5, 25, 1 / 3


def world(seed: int, strength: float = 1.0) -> tuple[CellTable, np.ndarray]:
    """ε-greedy sessions whose fixed order is by relevance; relevance is the sum of two features."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((QUERIES, DOCUMENTS, 2))
    relevance = x.sum(axis=2)
    fixed = np.argsort(-strength * relevance, axis=1)
    shuffled = rng.permuted(np.tile(np.arange(DOCUMENTS), (QUERIES, SESSIONS, 1)), axis=2)
    order = np.where(rng.random((QUERIES, SESSIONS, 1)) < TAU, shuffled, fixed[:, None, :])
    pair = order + DOCUMENTS * np.arange(QUERIES)[:, None, None]
    position = np.broadcast_to(np.arange(1, DOCUMENTS + 1), pair.shape)
    p = 1 / (1 + np.exp(-(relevance.reshape(-1)[pair] - np.log(position))))
    cells = CellTable.from_arrays(
        pair.reshape(-1),
        position.reshape(-1),
        np.ones(pair.size),
        (rng.random(pair.shape) < p).reshape(-1),
        pair_query=np.repeat(np.arange(QUERIES), DOCUMENTS),
    )
    return cells, x.reshape(-1, 2)


def p_value(seed: int, columns: slice) -> float:
    cells, x = world(seed)
    features = PairFeatures.checked(x[:, columns], [f"f{j}" for j in range(x[:, columns].shape[1])])
    return weight_test(cells, features, placement_weights(cells).weight).p_value


def test_weight_test_keeps_its_level_under_the_true_model() -> None:
    found = np.array([p_value(seed, slice(None)) for seed in range(200)])
    assert 0.01 <= (found < 0.05).mean() <= 0.10
    assert (found < 0.5).mean() == pytest.approx(0.5, abs=0.12)


def test_weight_test_finds_an_omitted_feature() -> None:
    assert np.mean([p_value(1000 + seed, slice(0, 1)) < 0.05 for seed in range(20)]) > 0.9


def test_sandwich_covariance_agrees_with_refitting_resampled_queries() -> None:
    cells, x = world(3)
    features, weights = PairFeatures.checked(x, ["a", "b"]), placement_weights(cells).weight
    sandwich = weight_test(cells, features, weights)
    refitted = weight_test(cells, features, weights, resamples=200, seed=1)
    assert np.sqrt(np.diag(refitted.covariance)) == pytest.approx(np.sqrt(np.diag(sandwich.covariance)), rel=0.2)
    assert refitted.weighted == pytest.approx(sandwich.weighted)


def test_weights_of_one_test_nothing() -> None:
    cells, x = world(0)
    found = weight_test(cells, PairFeatures.checked(x, ["a", "b"]), np.ones(cells.n_cells))
    assert (found.degrees_of_freedom, found.p_value) == (0, 1.0)


def test_residual_map_adds_up_to_the_residuals_and_sees_the_shape_of_a_misfit() -> None:
    cells, x = world(5)
    fit = fit_exact(cells, "linear", features=x[:, :1])
    p = 1 / (1 + np.exp(-(fit.position_bias[cells.index] + fit.relevance[cells.pair])))
    found = residual_map(cells, p, fit.relevance[cells.pair])
    total = np.nansum(found.mean * found.impressions, axis=1)
    # The score of a fitted position effect is zero: residuals cancel within each position.
    assert total == pytest.approx(np.zeros(DOCUMENTS), abs=1e-6)
    assert found.impressions.sum() == cells.impressions.sum()
    assert found.frame.height == found.mean.size
    by_placement = residual_map(cells, p, empirical_propensities(cells), by="propensity")
    correlation = residual_placement_correlation(cells, p, empirical_propensities(cells))
    # The policy puts the better documents on top: more clicks than the poorer model expects where they usually stand.
    assert correlation[0] > 0.1
    assert by_placement.mean[0, -1] > 0 > by_placement.mean[0, 0]
    right = fit_exact(cells, "linear", features=x)
    p = 1 / (1 + np.exp(-(right.position_bias[cells.index] + right.relevance[cells.pair])))
    assert np.abs(residual_placement_correlation(cells, p, empirical_propensities(cells))).max() < 0.15
    assert np.nanstd(residual_map(cells, p, right.relevance[cells.pair]).z) == pytest.approx(1.0, abs=0.3)


def test_calibration_compares_like_with_like() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, 5000)
    cells = CellTable.from_arrays(np.arange(5000), np.ones(5000, dtype=int), np.full(5000, 100.0), rng.binomial(100, p))
    right = calibration(cells, p)
    assert right.error < 0.005
    assert right.impressions.sum() == 500_000
    assert calibration(cells, np.clip(p + 0.05, 0, 1)).error == pytest.approx(0.05, abs=0.005)


def test_a_model_check_reports_an_omitted_feature() -> None:
    cells, x = world(9)
    fit = fit_exact(cells, "linear", features=x[:, :1])
    model = FittedModel.from_exact(fit, Inputs(("f0",)))
    check = check_model(cells, model, PairFeatures.checked(x[:, :1], ["f0"]))
    assert check.weight_test is not None
    assert check.weight_test.p_value < 0.01
    assert check.positions["mean_residual"].to_numpy() == pytest.approx(np.zeros(DOCUMENTS), abs=1e-8)
    assert check.left_out == 0
