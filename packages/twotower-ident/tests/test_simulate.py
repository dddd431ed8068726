"""The three levels of simulation have one distribution, which is that of a literal loop over sessions."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from ir_shared.console import UserError
from scipy.stats import chisquare
from twotower_ident.click_log import ClickLog
from twotower_ident.contrasts import resistances, swap_laplacian
from twotower_ident.generators import factor_log, gaussian_letor, interval_features
from twotower_ident.letor import RankingData
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy, Gumbel, PivotSwap
from twotower_ident.simulate import (
    ClickWorld,
    cell_frame,
    expected_cells,
    iter_sessions,
    make_world,
    simulate_cells,
    simulate_sessions,
)
from twotower_ident.user_models import UserModel


def world_of(sizes: list[int], *, strength: float = 1.0, k: int | None = None) -> ClickWorld:
    rng = np.random.default_rng(7)
    n = sum(sizes)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    labels = rng.integers(0, 5, n).astype(float)
    data = RankingData(rng.standard_normal((n, 2)), labels, offsets, tuple(f"q{i}" for i in range(len(sizes))))
    return make_world(data, ExpertPolicy(strength), UserModel(), seed=1, k=k)


def dense(world: ClickWorld, cells) -> tuple[np.ndarray, np.ndarray]:
    shape = len(world.relevance), world.n_positions
    impressions, clicks = np.zeros(shape), np.zeros(shape)
    impressions[cells.pair, cells.index] = cells.impressions
    clicks[cells.pair, cells.index] = cells.clicks
    return impressions, clicks


def test_without_exploration_every_pair_keeps_its_position() -> None:
    world = world_of([5, 5, 4, 3])
    cells = simulate_cells(world, EpsilonGreedy(0.0), sessions=2000, seed=0)
    assert np.bincount(cells.pair).tolist() == [1] * 17
    order = np.lexsort((-world.scores, world.pair_query))
    placed = np.concatenate([np.arange(1, n + 1) for n in (5, 5, 4, 3)])
    np.testing.assert_array_equal(cells.position[np.argsort(cells.pair)][order], placed)


def test_full_exploration_is_uniform_over_cells() -> None:
    world = world_of([5])
    cells = simulate_cells(world, EpsilonGreedy(1.0), sessions=20_000, seed=3)
    assert chisquare(dense(world, cells)[0].reshape(-1)).pvalue > 1e-3


def test_minus_one_is_the_reverse_of_plus_one() -> None:
    distinct = np.array([3.0, 1.0, 2.0, 0.0])
    for strength, expected in ((1.0, [1, 3, 2, 4]), (-1.0, [4, 2, 3, 1])):
        data = RankingData(np.zeros((4, 1)), distinct, np.array([0, 4]), ("q",))
        cells = expected_cells(make_world(data, ExpertPolicy(strength), UserModel()), EpsilonGreedy(0))
        assert cells.position.tolist() == expected


@pytest.mark.parametrize("sampler", [EpsilonGreedy(1 / 3), PivotSwap(0.5), EpsilonGreedy(0.0)])
def test_sampled_cells_scatter_around_the_expected_ones(sampler) -> None:
    world = world_of([4, 4, 6])
    sessions = 60_000
    expected, expected_clicks = dense(world, expected_cells(world, sampler, sessions=sessions))
    found, clicks = dense(world, simulate_cells(world, sampler, sessions=sessions, seed=5))
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected) + 1e-6).all()
    assert (np.abs(clicks - expected_clicks) <= 5 * np.sqrt(expected_clicks) + 1e-6).all()


def test_click_rates_of_cells_are_those_of_the_users() -> None:
    world = world_of([6])
    cells = simulate_cells(world, EpsilonGreedy(1.0), sessions=50_000, seed=2)
    truth = 1 / (1 + np.exp(-(world.relevance[cells.pair] - np.log(cells.position))))
    error = np.sqrt(truth * (1 - truth) / cells.impressions)
    assert (np.abs(cells.clicks / cells.impressions - truth) < 4.5 * error).all()


def test_cells_are_distributed_as_a_literal_loop_over_sessions() -> None:
    world, sampler, sessions = world_of([3, 4]), 0.5, 20_000
    rng = np.random.default_rng(0)
    shape = len(world.relevance), world.n_positions
    impressions, clicks = np.zeros(shape), np.zeros(shape)
    for _ in range(sessions):
        query = rng.integers(2)
        pairs = np.arange(world.offsets[query], world.offsets[query + 1])
        order = pairs[np.argsort(-world.scores[pairs], kind="stable")]
        shown = rng.permutation(pairs) if rng.random() < sampler else order
        for k, pair in enumerate(shown):
            impressions[pair, k] += 1
            clicks[pair, k] += rng.random() < 1 / (1 + np.exp(-(world.relevance[pair] + world.position_bias[k])))
    found, found_clicks = dense(world, simulate_cells(world, EpsilonGreedy(sampler), sessions=sessions, seed=1))
    for ours, literal in ((found, impressions), (found_clicks, clicks)):
        assert (np.abs(ours - literal) <= 5 * np.sqrt(ours + literal) + 1e-9).all()


def test_sessions_hold_every_document_once_and_aggregate_to_cells_of_the_same_law() -> None:
    world = world_of([4, 6])
    frame = simulate_sessions(world, EpsilonGreedy(0.5), sessions=30_000, seed=2)
    assert frame["session"].n_unique() == 30_000
    shown = frame.group_by("session").agg(pl.len(), pl.col("docid").n_unique(), pl.col("qid").n_unique().alias("q"))
    assert set(shown.select("len", "docid", "q").unique().rows()) == {(4, 4, 1), (6, 6, 1)}
    expected, expected_clicks = dense(world, expected_cells(world, EpsilonGreedy(0.5), sessions=30_000))
    start = {"q0": 0, "q1": 4}
    pair = frame["docid"].str.split("-").list.get(1).cast(int).to_numpy() + np.array([start[q] for q in frame["qid"]])
    found, clicks = np.zeros(expected.shape), np.zeros(expected.shape)
    np.add.at(found, (pair, frame["position"].to_numpy() - 1), 1)
    np.add.at(clicks, (pair, frame["position"].to_numpy() - 1), frame["click"].to_numpy())
    assert (np.abs(found - expected) <= 5 * np.sqrt(expected) + 1e-6).all()
    assert (np.abs(clicks - expected_clicks) <= 5 * np.sqrt(expected_clicks) + 1e-6).all()


def test_a_seed_gives_the_same_log_and_another_seed_another() -> None:
    world = world_of([4, 4])
    for draw in (
        lambda seed: cell_frame(world, simulate_cells(world, EpsilonGreedy(0.5), sessions=500, seed=seed)),
        lambda seed: simulate_sessions(world, Gumbel(1.0), sessions=500, seed=seed),
    ):
        assert draw(1).equals(draw(1))
        assert not draw(1).equals(draw(2))


def test_only_the_first_k_are_shown() -> None:
    world = world_of([5, 2], k=3)
    cells = expected_cells(world, EpsilonGreedy(0.5))
    assert cells.n_positions == 3
    assert world.list_lengths.tolist() == [3] * 5 + [2] * 2
    frame = simulate_sessions(world, EpsilonGreedy(0.5), sessions=400, seed=0)
    assert frame["position"].max() == 3
    shown = simulate_cells(world, EpsilonGreedy(0.5), sessions=400, seed=0)
    assert shown.impressions.sum() == 3 * shown.query_sessions[0] + 2 * shown.query_sessions[1]


def test_simulated_logs_are_what_the_log_reader_takes() -> None:
    world = world_of([4, 5])
    frame = simulate_sessions(world, EpsilonGreedy(0.3), sessions=500, seed=0)
    read = ClickLog.scan(frame).cells()
    assert read.impressions.sum() == frame.height
    assert read.clicks.sum() == frame["click"].sum()
    cells = simulate_cells(world, EpsilonGreedy(0.3), sessions=500, seed=0)
    again = ClickLog.scan(cell_frame(world, cells)).cells()
    assert (again.n_cells, again.clicks.sum()) == (cells.n_cells, cells.clicks.sum())


def test_large_logs_come_in_parts() -> None:
    world = world_of([2])
    parts = list(iter_sessions(world, EpsilonGreedy(0.5), sessions=120_000, seed=0))
    assert len(parts) == 3
    assert np.array_equal(np.unique(np.concatenate([part["session"] for part in parts])), np.arange(120_000))


def test_exploration_of_tau_gives_the_closed_form_of_information() -> None:
    queries, n, tau, sessions = 30, 5, 0.2, 200_000
    rng = np.random.default_rng(0)
    # Own ranks evenly spread: every query has one document at each rank.
    data = RankingData(
        np.zeros((queries * n, 1)), rng.permuted(np.tile(np.arange(5.0), (queries, 1)), axis=1).reshape(-1),
        np.arange(queries + 1) * n, tuple(str(q) for q in range(queries)),
    )  # fmt: skip
    world = make_world(data, ExpertPolicy(1), UserModel())
    closed = 2 / (sessions * tau * (2 - tau))
    exact = expected_cells(world, EpsilonGreedy(tau), sessions=sessions)
    sampled = simulate_cells(world, EpsilonGreedy(tau), sessions=sessions, seed=1)
    one = np.zeros(n, dtype=np.int64)
    apart = np.triu_indices(n, 1)
    for cells, tolerance in ((exact, 1e-9), (sampled, 0.03)):
        found = resistances(swap_laplacian(cells, np.ones(cells.n_cells)), one).resistance
        np.testing.assert_allclose(found[apart], closed, rtol=tolerance)


def test_no_session_is_refused() -> None:
    with pytest.raises(UserError, match="at least one session"):
        simulate_cells(world_of([3]), EpsilonGreedy(0), sessions=0, seed=0)


def test_designs_of_factor_logs_show_pairs_where_they_say() -> None:
    fixed = factor_log(n_pairs=200, n_positions=5, impressions=3, design="fixed")
    assert np.bincount(fixed.pair).max() == 1
    two = factor_log(n_pairs=200, n_positions=5, impressions=2, design="two-random")
    assert set(np.bincount(two.pair)) == {2}
    uniform = factor_log(n_pairs=20_000, n_positions=5, impressions=2, design="uniform")
    assert chisquare(uniform.by_position(uniform.impressions)).pvalue > 1e-3
    rare = factor_log(n_pairs=20_000, n_positions=5, impressions=2, design="epsilon-greedy", temperature=0.1)
    assert 0.12 < np.mean(np.bincount(rare.pair) == 2) < 0.18


def test_interval_features_lie_in_their_intervals() -> None:
    for overlap, least in ((-0.3, 0.3), (0.3, 0.7)):
        feature, position = interval_features(n_queries=500, overlap=overlap)
        for j in range(1, 11):
            own = feature[position == j]
            assert own.min() >= (0 if j == 1 else max(0, j - 1 - overlap)) - 1e-9
            assert own.max() <= (10 if j == 10 else min(10, j + overlap)) + 1e-9
            assert np.ptp(own) > least
    with pytest.raises(UserError):
        interval_features(n_queries=1, overlap=-0.6)


def test_gaussian_data_has_five_even_grades() -> None:
    for kind in ("linear", "tanh"):
        data = gaussian_letor(n_queries=40, kind=kind)
        assert np.bincount(data.labels.astype(int)).tolist() == [200] * 5
