"""The relevance-free estimator against Mantel–Haenszel, paired comparisons, conditional logits and known truths."""

from __future__ import annotations

from dataclasses import replace

import choix
import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.discrete.conditional_models import ConditionalLogit
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.tools.sm_exceptions import ModelWarning
from twotower_ident.additivity import additivity_test
from twotower_ident.cells import CellTable
from twotower_ident.conditional_bias import conditional_position_bias
from twotower_ident.exact_fit import fit_exact
from twotower_ident.generators import factor_log
from twotower_ident.intervention_harvesting import harvested_position_bias
from twotower_ident.paired_comparison import fit_paired_comparison
from twotower_ident.swap_graph import discordance, position_graph
from twotower_ident.tower_bias import tower_position_bias

TRUTH = -np.log(np.arange(1, 6))


def regroup(cells: CellTable, pairs_each: int) -> CellTable:
    return replace(cells, pair_query=np.arange(cells.n_pairs) // pairs_each)


def test_two_impressions_a_pair_give_the_log_ratio_where_the_joint_fit_doubles_it() -> None:
    first, second, both, none = 30, 12, 20, 40
    n = first + second + both + none
    one = np.repeat([1, 0, 1, 0], [first, second, both, none])
    other = np.repeat([0, 1, 1, 0], [first, second, both, none])
    pair, position = np.tile(np.arange(n), 2), np.repeat([1, 2], n)
    cells = CellTable.from_arrays(pair, position, np.ones(2 * n), np.concatenate([one, other]))
    expected = np.log(second / first)
    assert conditional_position_bias(cells).bias[1] == pytest.approx(expected, abs=1e-12)
    assert fit_exact(cells, "embedding").position_bias[1] == pytest.approx(2 * expected, abs=1e-8)


def test_two_positions_give_the_mantel_haenszel_odds_ratio() -> None:
    rng = np.random.default_rng(0)
    n = 40
    shown = rng.integers(1, 20, (n, 2))
    clicks = rng.binomial(shown, 1 / (1 + np.exp(-rng.normal(-0.5, 1, (n, 1)) + np.array([0, 0.8]))))
    cells = CellTable.from_arrays(np.repeat(np.arange(n), 2), np.tile([1, 2], n), shown.reshape(-1), clicks.reshape(-1))
    tables = [np.array([[c[1], m[1] - c[1]], [c[0], m[0] - c[0]]]) for c, m in zip(clicks, shown, strict=True)]
    expected = StratifiedTable([table.astype(float) for table in tables]).logodds_pooled
    assert conditional_position_bias(cells).bias[1] == pytest.approx(expected, abs=1e-10)


def test_the_paired_comparison_is_the_bradley_terry_maximum_likelihood() -> None:
    wins = np.random.default_rng(1).integers(1, 30, (6, 6))
    np.fill_diagonal(wins, 0)
    ours = fit_paired_comparison(wins.astype(float)).theta
    games = [(i, j) for i in range(6) for j in range(6) for _ in range(wins[i, j])]
    theirs = choix.opt_pairwise(6, games, tol=1e-12)
    assert ours == pytest.approx(theirs - theirs[0], abs=1e-5)
    pairs = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    x = np.array([np.eye(6)[i] - np.eye(6)[j] for i, j in pairs])[:, 1:]
    counts = np.array([[wins[i, j], wins[j, i]] for i, j in pairs])
    assert ours[1:] == pytest.approx(sm.GLM(counts, x, family=sm.families.Binomial()).fit(tol=1e-14).params, abs=1e-9)


def test_one_impression_at_each_of_two_positions_is_the_exact_conditional_logit() -> None:
    cells = factor_log(n_pairs=600, n_positions=4, impressions=2, design="two-random", seed=2)
    times = cells.impressions.astype(int)
    clicked = np.concatenate([np.arange(n) < c for n, c in zip(times, cells.clicks, strict=True)])
    positions = np.eye(4)[np.repeat(cells.index, times)][:, 1:]
    ours = conditional_position_bias(cells).bias[1:]
    with pytest.warns(ModelWarning, match="no within-group variance"):
        model = ConditionalLogit(clicked.astype(int), positions, groups=np.repeat(cells.pair, times))
    # Its optimiser stops early, so the stationarity of our estimate is checked with its score.
    assert model.score(ours) == pytest.approx(np.zeros(3), abs=1e-8)
    assert ours == pytest.approx(model.fit(disp=0).params, abs=1e-3)


@pytest.mark.parametrize("impressions", [2, 4])
def test_consistent_with_few_impressions_a_pair_where_the_joint_fit_is_not(impressions: int) -> None:
    cells = factor_log(n_pairs=40_000, n_positions=5, impressions=impressions, design="two-random", seed=7)
    ours = conditional_position_bias(cells, test_additivity=False)
    assert (np.abs(ours.bias - TRUTH)[1:] < 4 * ours.se[1:]).all()
    joint = tower_position_bias(cells)
    assert joint.bias[1:] / ours.bias[1:] == pytest.approx({2: 2.0, 4: 1.4}[impressions], rel=0.1)
    if impressions == 2:
        assert (np.abs(joint.bias - TRUTH)[1:] > 8 * ours.se[1:]).all()


def test_standard_errors_cover_the_truth_as_often_as_they_should() -> None:
    z = []
    for seed in range(80):
        cells = regroup(factor_log(n_pairs=1500, n_positions=5, impressions=4, design="two-random", seed=seed), 5)
        ours = conditional_position_bias(cells, test_additivity=False)
        z.append((ours.bias - TRUTH)[1:] / ours.se[1:])
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.04)


def test_sandwich_errors_agree_with_a_bootstrap_over_queries() -> None:
    cells = regroup(factor_log(n_pairs=3000, n_positions=4, impressions=6, design="uniform", seed=3), 10)
    ours = conditional_position_bias(cells)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(300):
        times = rng.multinomial(300, np.full(300, 1 / 300))[cells.pair_query].astype(float)
        drawn.append(fit_paired_comparison(discordance(cells, times)).theta)
    assert np.std(drawn, axis=0)[1:] == pytest.approx(ours.se[1:], rel=0.15)


def test_block_boundaries_do_not_change_the_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = regroup(factor_log(n_pairs=400, n_positions=4, impressions=6, design="uniform", seed=3), 7)
    whole = conditional_position_bias(cells)
    import twotower_ident.conditional_bias as module
    from twotower_ident.query_blocks import query_blocks

    monkeypatch.setattr(module, "query_blocks", lambda table: query_blocks(table, 10))
    assert conditional_position_bias(cells).se == pytest.approx(whole.se, rel=1e-12)


def test_additivity_test_keeps_its_level_and_finds_an_interaction() -> None:
    def p_value(seed: int, interaction: float) -> float:
        rng = np.random.default_rng(seed)
        n_pairs, k = 1200, 4
        pair, position = np.repeat(np.arange(n_pairs), 6), rng.integers(1, k + 1, 6 * n_pairs)
        kind = rng.integers(0, 2, n_pairs)[pair]
        # Half of the pairs swap positions 1, 2, 4 and have another decay: no single curve explains all links.
        position = np.where(kind & (position == 3), 4, position)
        logits = rng.normal(-0.3, 1, n_pairs)[pair] - np.log(position) + interaction * kind * (position == 2)
        click = rng.random(len(pair)) < 1 / (1 + np.exp(-logits))
        cells = CellTable.from_arrays(pair, position, np.ones(len(pair)), click, pair_query=np.arange(n_pairs) // 4)
        graph = position_graph(cells)
        test = additivity_test(cells, graph.discordance, graph.strong)
        assert test is not None
        assert test.degrees_of_freedom == 3
        return test.p_value

    null = np.array([p_value(seed, 0.0) for seed in range(200)])
    assert (null < 0.05).mean() < 0.10
    assert (null < 0.5).mean() == pytest.approx(0.5, abs=0.12)
    assert np.mean([p_value(seed, 2.0) < 0.05 for seed in range(20)]) > 0.9


def test_without_a_cycle_there_is_nothing_to_test() -> None:
    pair, position = np.repeat(np.arange(400), 2), np.tile([1, 2, 2, 3], 200)
    rng = np.random.default_rng(0)
    cells = CellTable.from_arrays(pair, position, np.full(800, 5.0), rng.integers(1, 5, 800))
    assert conditional_position_bias(cells).additivity is None


def test_separated_positions_are_infinite_with_a_reason_and_unlinked_ones_undefined() -> None:
    pair = [0, 0, 1, 1, 2, 2, 3]
    position = [1, 2, 1, 2, 2, 3, 4]
    cells = CellTable.from_arrays(pair, position, [10] * 7, [5, 3, 4, 6, 5, 0, 5], n_positions=6)
    found = conditional_position_bias(cells)
    assert found.bias[2] == -np.inf
    assert np.isnan(found.bias[[3, 4]]).all()
    assert "never wins" in found.reason[2]
    assert "no informative swap" in found.reason[3]
    assert found.reason[4] == "no impressions"
    assert found.to_json()["positions"][2]["bias"] == "-inf"


@pytest.mark.parametrize("estimator", ["pivot", "chain", "all-pairs"])
def test_click_rate_ratios_recover_examination_of_a_product_model(estimator: str) -> None:
    rng = np.random.default_rng(0)
    n, k = 3000, 5
    relevance, examined = rng.uniform(0.2, 0.8, n), 1 / np.arange(1, k + 1)
    expected = relevance[:, None] * examined
    kept = rng.random((n, k)) < 0.5
    pair, index = np.nonzero(kept)
    cells = CellTable.from_arrays(pair, index + 1, np.full(len(pair), 10.0), 10 * expected[pair, index])
    found = harvested_position_bias(cells, estimator)
    assert found.bias == pytest.approx(examined, rel=2e-3)
    assert found.scale == "ratio"


def test_click_rate_ratios_say_where_they_have_no_swaps() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1, 2], [1, 2, 2, 3, 5], [10] * 5, [5, 4, 4, 3, 2])
    assert np.isnan(harvested_position_bias(cells, "pivot").bias[[2, 4]]).all()
    assert harvested_position_bias(cells, "chain").bias[2] == pytest.approx(0.6)
    assert np.isnan(harvested_position_bias(cells, "all-pairs").bias[4])
