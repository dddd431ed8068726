"""Effective resistances against the regressions whose standard errors they are, and against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from twotower_ident.cells import CellTable
from twotower_ident.contrasts import Contrasts, cell_variances, exploration_resistance, resistances, swap_laplacian
from twotower_ident.repair import best_swap, bridging_swaps, exploration_for, merges
from twotower_ident.swap_graph import position_graph


def contrasts_of(cells: CellTable, variances: np.ndarray | None = None) -> Contrasts:
    information = np.ones(cells.n_cells) if variances is None else variances
    return resistances(swap_laplacian(cells, information), position_graph(cells).component)


def full(n_pairs: int, n_positions: int, n: float = 1.0) -> CellTable:
    pair, position = np.divmod(np.arange(n_pairs * n_positions), n_positions)
    return CellTable.from_arrays(pair, position + 1, np.full(len(pair), n), np.zeros(len(pair)))


def small_log(seed: int, family: str = "logit") -> CellTable:
    rng = np.random.default_rng(seed)
    n_pairs = int(rng.integers(3, 7))
    cells = full(n_pairs, 3, 200)
    kept = rng.random(cells.n_cells) < 0.8
    kept[:6] = True
    cells = cells.keep_cells(kept)
    used = np.unique(cells.pair)
    pair = np.searchsorted(used, cells.pair)
    relevance, effect = rng.normal(0, 0.7, len(used)), np.array([0.0, -0.5, -1.0])
    s = relevance[pair] + effect[cells.index]
    p = 1 / (1 + np.exp(-s)) if family == "logit" else np.exp(effect[cells.index] - np.exp(relevance[pair] / 2 - 0.5))
    return CellTable.from_arrays(pair, cells.position, cells.impressions, rng.binomial(200, p))


def dummies(cells: CellTable) -> np.ndarray:
    x = np.zeros((cells.n_cells, 2 + cells.n_pairs))
    for k in (1, 2):
        x[cells.index == k, k - 1] = 1
    x[np.arange(cells.n_cells), 2 + cells.pair] = 1
    return x


@pytest.mark.parametrize("seed", range(5))
def test_effective_resistance_is_the_standard_error_of_the_full_regression(seed: int) -> None:
    cells = small_log(seed)
    counts = np.column_stack([cells.clicks, cells.impressions - cells.clicks])
    fit = sm.GLM(counts, dummies(cells), family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200)
    ours = contrasts_of(cells, cell_variances(cells, probabilities=fit.fittedvalues))
    assert ours.standard_errors[1:] == pytest.approx(fit.bse[:2], abs=1e-6)


@pytest.mark.filterwarnings("ignore:The Log link function does not respect the domain")
@pytest.mark.parametrize("seed", range(3))
def test_log_link_matches_the_log_binomial_regression_with_the_same_components(seed: int) -> None:
    cells = small_log(seed, "log")
    counts = np.column_stack([cells.clicks, cells.impressions - cells.clicks])
    family = sm.families.Binomial(link=sm.families.links.Log())
    start = np.concatenate([[-0.5, -1.0], np.full(cells.n_pairs, -0.7)])
    fit = sm.GLM(counts, dummies(cells), family=family).fit(start_params=start, tol=1e-14, maxiter=500)
    ours = contrasts_of(cells, cell_variances(cells, link="log", probabilities=fit.fittedvalues))
    assert ours.standard_errors[1:] == pytest.approx(fit.bse[:2], rel=1e-6)
    design_only = swap_laplacian(cells, cell_variances(cells, "unit", "log"))
    assert np.array_equal(design_only != 0, swap_laplacian(cells, cell_variances(cells, link="logit")) != 0)


def test_likelihood_profile_is_that_of_refitting_with_a_shifted_position() -> None:
    cells = small_log(1)
    counts = np.column_stack([cells.clicks, cells.impressions - cells.clicks])
    fit = sm.GLM(counts, dummies(cells), family=sm.families.Binomial()).fit(tol=1e-14)
    ours = contrasts_of(cells, cell_variances(cells, probabilities=fit.fittedvalues))
    shift = 0.1
    for k in (1, 2):
        moved = np.where(cells.index == k, fit.params[k - 1] + shift, 0.0)
        rest = np.delete(dummies(cells), k - 1, axis=1)
        again = sm.GLM(counts, rest, family=sm.families.Binomial(), offset=moved).fit(tol=1e-14)
        assert ours.likelihood_ratio(shift)[k] == pytest.approx(2 * (fit.llf - again.llf), rel=0.05)


def test_complete_design_has_two_over_pairs_times_impressions() -> None:
    found = contrasts_of(full(7, 5, 3.0)).resistance
    assert found[~np.eye(5, dtype=bool)] == pytest.approx(2 / (7 * 3))


def test_chain_design_adds_up_its_links() -> None:
    k, each, n = 6, 4, 10
    pair = np.repeat(np.arange((k - 1) * each), 2)
    position = np.repeat(np.repeat(np.arange(1, k), each), 2) + np.tile([0, 1], (k - 1) * each)
    cells = CellTable.from_arrays(pair, position, np.full(len(pair), n), np.zeros(len(pair)))
    assert contrasts_of(cells).resistance[0, -1] == pytest.approx((k - 1) * 2 / (each * n))


def epsilon_greedy(queries: int, sessions: float, n: int, tau: float) -> CellTable:
    """Expected impressions: Q queries of n documents, T sessions each."""
    share = np.full((n, n), tau / n) + (1 - tau) * np.eye(n)
    shown = np.tile(share * sessions, (queries, 1))
    pair, position = np.divmod(np.arange(shown.size), n)
    return CellTable.from_arrays(pair, position + 1, shown.reshape(-1), np.zeros(shown.size))


@pytest.mark.parametrize("tau", [0.05, 1 / 3, 1.0])
def test_exploration_closed_form_is_exact_on_expected_cells(tau: float) -> None:
    found = contrasts_of(epsilon_greedy(6, 50, 8, tau)).resistance
    assert found[0, 1:] == pytest.approx(exploration_resistance(6 * 50, tau), rel=1e-12)
    assert exploration_resistance(1, 1.0) / exploration_resistance(1, 0.05) == pytest.approx(0.0975)


def test_exploration_closed_form_holds_on_sampled_sessions() -> None:
    rng = np.random.default_rng(3)
    n, sessions, queries, tau = 8, 200_000, 20, 1 / 3
    query = rng.integers(0, queries, sessions)
    shuffled = rng.permuted(np.tile(np.arange(n), (sessions, 1)), axis=1)
    order = np.where(rng.random((sessions, 1)) < tau, shuffled, np.arange(n))
    pair = (query[:, None] * n + order).reshape(-1)
    cells = CellTable.from_arrays(pair, np.tile(np.arange(1, n + 1), sessions), np.ones(len(pair)), np.zeros(len(pair)))
    assert contrasts_of(cells).resistance[0, 1:] == pytest.approx(exploration_resistance(sessions, tau), rel=0.03)


def test_a_link_many_magnitudes_weaker_than_the_rest_is_not_taken_for_none() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1], [1, 2, 2, 3], [1e9, 1e9, 1e-3, 1e-3], [0, 0, 0, 0])
    found = contrasts_of(cells).resistance
    assert found[0, 1] == pytest.approx(2e-9)
    assert found[0, 2] == pytest.approx(2e3 + 2e-9)


def test_contrasts_across_components_are_infinite_and_unseen_positions_undefined() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1], [1, 2, 3, 5], [1] * 4, [0] * 4)
    found = contrasts_of(cells)
    assert np.isinf(found.resistance[0, 2])
    assert np.isnan(found.resistance[0, 3])
    assert found.connectivity == pytest.approx([1.0, 1.0])


def connected_log(seed: int) -> CellTable:
    rng = np.random.default_rng(seed)
    k, n = 6, 12
    pair = np.concatenate([np.repeat(np.arange(k - 1), 2), rng.integers(0, n, 20)])
    chain = np.column_stack([np.arange(1, k), np.arange(2, k + 1)]).reshape(-1)
    position = np.concatenate([chain, rng.integers(1, k, 20)])
    return CellTable.from_arrays(pair, position, rng.integers(1, 40, len(pair)), np.zeros(len(pair)))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_best_swap_is_what_refitting_every_swap_finds(seed: int) -> None:
    cells = connected_log(seed)
    laplacian = swap_laplacian(cells, np.ones(cells.n_cells))
    component = position_graph(cells).component
    swap = best_swap(resistances(laplacian, component), component, np.ones(6))
    assert swap is not None
    worst = {}
    for a in range(6):
        for b in range(a + 1, 6):
            added = laplacian.copy()
            edge = np.eye(6)[a] - np.eye(6)[b]
            added += 250 * np.outer(edge, edge)  # 500 impressions at each of the two, v = 1
            worst[a, b] = resistances(added, component).standard_errors.max()
    assert swap.worst_after == pytest.approx(min(worst.values()), rel=1e-9)
    assert worst[swap.first, swap.second] == pytest.approx(min(worst.values()), rel=1e-9)


def test_bridges_connect_the_busiest_positions_with_the_precision_they_promise() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1, 2], [1, 2, 3, 4, 5], [9, 5, 3, 7, 2], [0] * 5)
    graph = position_graph(cells)
    bridges = bridging_swaps(graph, np.full(5, 0.2), target=0.1)
    assert [(swap.first, swap.second) for swap in bridges] == [(0, 3), (0, 4)]
    half = bridges[0].impressions / 2
    joined = CellTable.from_arrays([0, 0], [1, 2], [half, half], [0, 0])
    assert contrasts_of(joined, np.full(2, 0.2)).standard_errors[1] == pytest.approx(0.1, rel=1e-3)
    assert [(merge.first, merge.second) for merge in merges(graph)] == [(1, 2), (3, 4)]


def test_exploration_advice_reaches_its_target_at_full_randomisation() -> None:
    variance = np.linspace(0.05, 0.2, 6)
    wanted = exploration_for(0.1, 1e9, variance)
    cells = epsilon_greedy(10, wanted.sessions / 10, 6, 1.0)
    found = contrasts_of(cells, variance[cells.index]).resistance
    assert np.sqrt(found.max()) == pytest.approx(0.1)
    assert exploration_for(0.1, wanted.sessions * 0.99, variance).temperature is None
