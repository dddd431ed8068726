"""Intervals and tests agree with scipy, with enumeration and with worked examples."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared import _resampling
from ir_shared.console import UserError
from ir_shared.run_dir import to_jsonable
from ir_shared.stats import (
    bootstrap_interval,
    holm,
    paired_bootstrap,
    permutation_test,
    t_interval,
    wilson_interval,
)

SAMPLE = np.random.default_rng(0).normal(0.3, 0.2, 40)
FIRST = np.random.default_rng(1).normal(0.50, 0.2, 30)
SECOND = FIRST - np.random.default_rng(2).normal(0.05, 0.1, 30)
FIGURES = st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=2, max_size=12)


@pytest.mark.parametrize("n", [2, 3, 40])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_the_t_interval_is_scipys(n: int, level: float) -> None:
    values = SAMPLE[:n]
    low, high = scipy.stats.t.interval(level, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    found = t_interval(values, level=level)
    assert (found.estimate, found.low, found.high) == pytest.approx((values.mean(), low, high), rel=1e-12)
    assert (found.n, found.level) == (n, level)


def test_the_bootstrap_interval_is_scipys_on_the_same_draws() -> None:
    expected = scipy.stats.bootstrap(
        (SAMPLE,), np.mean, n_resamples=2000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    found = bootstrap_interval(SAMPLE, resamples=2000, seed=5)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert found.estimate == pytest.approx(SAMPLE.mean())


def test_the_bootstrap_matches_the_enumeration_of_all_resamples() -> None:
    differences = np.array([0.3, -0.1, 0.25, 0.05])
    means = np.array([np.mean(draw) for draw in itertools.product(differences, repeat=4)])
    observed = differences.mean()
    exact = float(np.mean(np.abs(means - observed) >= observed - 1e-12))
    found = paired_bootstrap(differences, np.zeros(4), resamples=200_000)
    # Three standard deviations of a share among 200,000 draws.
    assert found.p_value == pytest.approx(exact, abs=3 * math.sqrt(exact * (1 - exact) / 200_000))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=1e-9)


def test_the_paired_bootstrap_resamples_the_differences() -> None:
    found = paired_bootstrap(FIRST, SECOND, resamples=3000, seed=4)
    interval = bootstrap_interval(FIRST - SECOND, resamples=3000, seed=4)
    assert (found.difference, found.low, found.high) == (interval.estimate, interval.low, interval.high)
    assert 1 / 3001 <= found.p_value <= 1


def test_swapping_the_systems_mirrors_the_bootstrap() -> None:
    there, back = paired_bootstrap(FIRST, SECOND), paired_bootstrap(SECOND, FIRST)
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert back.p_value == there.p_value


def test_equal_systems_have_no_difference_and_a_p_value_of_one() -> None:
    assert paired_bootstrap(FIRST, FIRST).p_value == 1.0
    assert permutation_test(FIRST, FIRST).p_value == 1.0
    assert permutation_test(FIRST[:5], FIRST[:5]).p_value == 1.0


def test_the_false_alarm_rate_of_the_bootstrap_is_near_its_level() -> None:
    rng = np.random.default_rng(11)
    alarms = [
        paired_bootstrap(rng.normal(size=50), rng.normal(size=50), resamples=400).p_value <= 0.05 for _ in range(400)
    ]
    assert 0.02 <= np.mean(alarms) <= 0.09


def test_memory_is_bounded_without_a_change_of_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = paired_bootstrap(FIRST, SECOND, resamples=500), permutation_test(FIRST, SECOND, resamples=500)
    monkeypatch.setattr(_resampling, "_DRAWS_AT_ONCE", 64)
    assert (paired_bootstrap(FIRST, SECOND, resamples=500), permutation_test(FIRST, SECOND, resamples=500)) == whole


@pytest.mark.parametrize("n", [2, 5, 14])
def test_the_exact_permutation_test_is_scipys(n: int) -> None:
    expected = scipy.stats.permutation_test(
        (FIRST[:n], SECOND[:n]), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    found = permutation_test(FIRST[:n], SECOND[:n])
    assert found.exact
    assert found.permutations == 2**n
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert found.difference == pytest.approx(expected.statistic)


def test_the_sampled_permutation_test_is_near_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = permutation_test(FIRST[:12], SECOND[:12]).p_value
    monkeypatch.setattr("ir_shared.stats._EXACT_LIMIT", 0)
    sampled = permutation_test(FIRST[:12], SECOND[:12], resamples=50_000)
    assert not sampled.exact
    assert sampled.permutations == 50_000
    assert sampled.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 50_000) + 1 / 50_000)


def test_enumeration_stops_at_the_limit() -> None:
    zeros = np.zeros(15)
    assert permutation_test(FIRST[:14], zeros[:14]).exact
    assert not permutation_test(FIRST[:15], zeros, resamples=100).exact


def test_ties_by_rounding_count_as_equal() -> None:
    # 0.1 + 0.2 - 0.3 is not zero in floating point, so patterns that tie on paper differ in the last bit.
    found = permutation_test([0.1, 0.2, 0.3], [0.0, 0.0, 0.0])
    assert found.p_value == 2 / 8
    assert permutation_test([0.3, 0.1, 0.2, 0.3], [0.0, 0.3, 0.0, 0.0]).p_value == pytest.approx(
        np.mean([abs(a * 3 + b * -2 + c * 2 + d * 3) >= 6 for a, b, c, d in itertools.product((1, -1), repeat=4)])
    )


@given(FIGURES, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_the_permutation_p_value_ignores_sign_and_scale(values: list[float], seed: int) -> None:
    zeros = [0.0] * len(values)
    p = permutation_test(values, zeros, seed=seed).p_value
    assert 0 < p <= 1
    assert permutation_test(zeros, values, seed=seed).p_value == p
    assert permutation_test([4 * value for value in values], zeros, seed=seed).p_value == p


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 20), (20, 20), (3, 17), (480, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_the_wilson_interval_is_scipys(successes: int, n: int, level: float) -> None:
    expected = scipy.stats.binomtest(successes, n).proportion_ci(level, method="wilson")
    found = wilson_interval(successes, n, level=level)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.estimate == successes / n


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_holds_the_share_and_stays_in_the_scale(counts: tuple[int, int]) -> None:
    found = wilson_interval(*counts)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    mirrored = wilson_interval(counts[1] - counts[0], counts[1])
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx((found.low, found.high), abs=1e-12)


def test_holm_by_hand() -> None:
    # Ascending .005 .01 .03 .04 with m = 4: .02, .03, .06, and .04 is raised to the .06 before it.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_lies_between_the_raw_and_the_bonferroni_value_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value <= min(1.0, len(p_values) * raw)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_results_are_json() -> None:
    assert to_jsonable(wilson_interval(1, 2))["n"] == 2
    assert set(paired_bootstrap(FIRST, SECOND, resamples=10).to_json()) >= {"difference", "low", "high", "p_value"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: t_interval([1.0]), "at least two"),
        (lambda: t_interval([[1.0, 2.0]]), "shape"),
        (lambda: t_interval([1.0, 2.0], level=1.0), "between 0 and 1"),
        (lambda: bootstrap_interval([1.0, math.nan]), "value 1 is nan"),
        (lambda: bootstrap_interval([1.0, 2.0], resamples=0), "at least 1"),
        (lambda: paired_bootstrap([1.0, 2.0], [1.0, 2.0, 3.0]), "same units"),
        (lambda: permutation_test([1.0, math.inf], [0.0, 0.0]), "not finite"),
        (lambda: wilson_interval(3, 2), "3 of 2"),
        (lambda: wilson_interval(0, 0), "0 of 0"),
        (lambda: holm([0.1, math.nan]), "p-value nan"),
        (lambda: holm([1.1]), "p-value 1.1"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        call()  # type: ignore[operator]
