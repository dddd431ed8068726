from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.bootstrap import percentile_interval, topic_weights
from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet, human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.ordering import compare_judges, correlate, rbo, rho, tau_ap, tau_b, tau_b_many, tau_interval
from scipy.stats import kendalltau, spearmanr

values = st.integers(3, 12).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(0, 6), min_size=n, max_size=n) for _ in range(2)])
)


def floats(x: Any) -> Any:
    return np.array(x, dtype=np.float64) / 7


@given(values)
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_tau_and_rho_equal_scipy(pair: Any) -> None:
    x, y = map(floats, pair)
    expected = kendalltau(x, y)
    assert tau_b(x, y) == pytest.approx((expected.statistic, expected.pvalue), nan_ok=True)
    expected = spearmanr(x, y)
    assert rho(x, y) == pytest.approx((expected.statistic, expected.pvalue), nan_ok=True)


@given(st.lists(st.lists(st.integers(0, 4), min_size=6, max_size=6), min_size=2, max_size=8))
def test_many_taus_equal_scipy_one_by_one(rows: Any) -> None:
    reference, *others = map(floats, rows)
    expected = [kendalltau(reference, other).statistic for other in others]
    assert tau_b_many(reference, np.stack(others)).tolist() == pytest.approx(expected, nan_ok=True)


def test_many_taus_come_in_blocks_of_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random(9), rng.integers(0, 5, (50, 9)).astype(float)
    whole = tau_b_many(x, y)
    monkeypatch.setattr("rerank_judge.ordering._BLOCK", 100)
    assert tau_b_many(x, y).tolist() == whole.tolist()


def test_the_order_of_a_summation_breaks_no_tie() -> None:
    x = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.9])
    assert x[0] != x[1]
    y = np.array([1.0, 2.0, 3.0])
    assert tau_b(x, y)[0] == pytest.approx(kendalltau([1, 1, 2], y).statistic)
    assert tau_b_many(x, y[None]).item() == pytest.approx(tau_b(x, y)[0])


@pytest.mark.parametrize(
    ("predicted", "expected"), [((3, 4, 2, 1), 1 / 3), ((4, 3, 1, 2), 7 / 9), ((4, 3, 2, 1), 1), ((1, 2, 3, 4), -1)]
)
def test_tau_ap_of_published_examples(predicted: tuple[int, ...], expected: float) -> None:
    assert tau_ap(floats((4, 3, 2, 1)), floats(predicted)) == pytest.approx(expected)


def directed(truth: Any, ranking: Any) -> float:
    """AP correlation by its definition, item by item, items of a tie group not compared with one another."""
    shares = []
    for i in range(len(ranking)):
        above = [j for j in range(len(ranking)) if ranking[j] > ranking[i]]
        if above:
            shares.append(sum(truth[j] > truth[i] for j in above) / len(above))
    return 2 * sum(shares) / len(shares) - 1 if shares else float("nan")


@given(values)
def test_tau_ap_with_ties_is_the_mean_of_both_directions(pair: Any) -> None:
    x, y = pair
    expected = (directed(x, y) + directed(y, x)) / 2
    assert tau_ap(floats(x), floats(y)) == pytest.approx(expected, nan_ok=True)
    assert tau_ap(floats(y), floats(x)) == pytest.approx(expected, nan_ok=True)


def test_tau_ap_punishes_a_swap_at_the_top_more() -> None:
    truth = floats(range(10, 0, -1))
    top, bottom = truth.copy(), truth.copy()
    top[[0, 1]] = top[[1, 0]]
    bottom[[8, 9]] = bottom[[9, 8]]
    assert tau_ap(truth, top) < tau_ap(truth, bottom)
    assert tau_b(truth, top)[0] == tau_b(truth, bottom)[0]


def test_rbo_of_a_worked_example() -> None:
    # a>b>c against b>a>c: agreement 0, 1, 1 at depths 1, 2, 3 and 1 below.
    p = 0.5
    assert rbo(floats((3, 2, 1)), floats((2, 3, 1)), p) == pytest.approx((1 - p) * (p + p**2) + p**3)
    # a=b>c against a>b>c: both of the tie are at rank 1, so agreement is 2/3 at depth 1.
    assert rbo(floats((3, 3, 1)), floats((3, 2, 1)), p) == pytest.approx((1 - p) * (2 / 3 + p + p**2) + p**3)


@given(values)
def test_rbo_is_symmetric_bounded_and_one_for_equal_rankings(pair: Any) -> None:
    x, y = map(floats, pair)
    assert rbo(x, y) == pytest.approx(rbo(y, x))
    assert 0 <= rbo(x, y) <= 1 + 1e-12
    assert rbo(x, x) == pytest.approx(1)


def test_bootstrap_equals_resampling_topics_one_by_one(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    human, judge = (
        leaderboard(collection, labels, ["AP@100"]).values[:, :, 0]
        for labels in (human_labels(collection), threshold(scores, 0.0))
    )
    n_boot = 60
    taus = []
    for row in topic_weights(20, n_boot, seed=5):
        drawn = np.repeat(np.arange(20), row)
        taus.append(tau_b(human[:, drawn].mean(axis=1), judge[:, drawn].mean(axis=1))[0])
    found, expected = tau_interval(human, judge, n_boot, seed=5), percentile_interval(np.array(taus))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.n_valid == n_boot


def test_paired_comparison_is_zero_against_itself_and_orders_judges(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    human, good, poor = (
        leaderboard(collection, labels, ["AP@100"]).values[:, :, 0]
        for labels in (human_labels(collection), threshold(scores, 0.0), threshold(scores, 6.0))
    )
    same = compare_judges(human, good, good)
    assert (same.low, same.high, same.n_valid) == (0, 0, 1000)
    assert compare_judges(human, good, poor).low > 0


def test_resampling_weights_draw_as_many_topics_as_there_are() -> None:
    weights = topic_weights(7, 100, seed=0)
    assert weights.shape == (100, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert len(set(map(tuple, weights.tolist()))) > 90


def test_interval_counts_undefined_resamples() -> None:
    interval = percentile_interval(np.array([np.nan, 0.0, 1.0]), level=0.5)
    assert (interval.low, interval.high, interval.n_boot, interval.n_valid) == (0.25, 0.75, 3, 2)
    assert np.isnan(percentile_interval(np.array([np.nan])).low)


def test_a_constant_side_has_no_tau_and_no_warning() -> None:
    constant, other = np.zeros(4), np.arange(4.0)
    for measure in (
        lambda: tau_b(constant, other)[0],
        lambda: rho(constant, other)[0],
        lambda: tau_ap(constant, other),
    ):
        assert np.isnan(measure())


def test_orderings_need_three_systems_and_the_same_ones(loaded11: tuple[Collection, ScoreSet]) -> None:
    two = Collection.from_mappings({"q": {"a": 2}}, {s: {"q": {"a": 1.0}} for s in ("s", "t")})
    board = leaderboard(two, human_labels(two))
    with pytest.raises(UserError, match=r"at least 3 runs, found 2 \(s, t\)"):
        correlate(board, board)
    with pytest.raises(UserError, match="different systems"):
        correlate(board, leaderboard(loaded11[0], human_labels(loaded11[0])))


@settings(max_examples=20)
@given(st.permutations(range(5)))
def test_all_coefficients_are_one_for_equal_orderings_of_any_systems(order: Any) -> None:
    x = floats(order)
    for coefficient in itertools.chain((tau_b(x, x)[0], rho(x, x)[0]), (tau_ap(x, x), rbo(x, x))):
        assert coefficient == pytest.approx(1)


def test_means_that_differ_by_rounding_only_are_tied_whichever_is_larger() -> None:
    reference = np.array([3.0, 2.0, 1.0])
    nearly = np.array([[2.0, 1.0, 1.0 + 1e-15], [2.0, 1.0 + 1e-15, 1.0], [2.0, 1.0, 1.0]])
    assert tau_b_many(reference, nearly).tolist() == pytest.approx([2 / 6**0.5] * 3)
    assert [tau_b(reference, row)[0] for row in nearly] == pytest.approx([2 / 6**0.5] * 3)
