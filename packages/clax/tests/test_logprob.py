"""Pairs of log-probabilities keep their digits and their gradients where naive formulas lose them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from clax.logprob import FLOOR, LogPair, log_add, log_and, log_bernoulli, log_choose
from hypothesis import given, settings
from hypothesis import strategies as st

TINY = float(np.finfo(np.float32).tiny)
finite = st.floats(-60, 60, width=32)


def _exact(x):
    with mpmath.workdps(80):
        return mpmath.log(1 / (1 + mpmath.exp(-mpmath.mpf(float(x)))))


@pytest.mark.parametrize("x", [-100.0, -50.0, -20.0, -1.0, 0.0, 0.3, 17.0, 50.0, 100.0])
def test_both_entries_agree_with_80_digit_arithmetic(x):
    pair = log_bernoulli(jnp.float32(x))
    assert float(pair.yes) == pytest.approx(float(_exact(x)), rel=2e-7, abs=TINY)
    assert float(pair.no) == pytest.approx(float(_exact(-x)), rel=2e-7, abs=TINY)


@pytest.mark.parametrize(("x", "y"), [(50, 50), (-50, 50), (50, -50), (100, 100), (-100, -100), (20, 20), (0.1, -3)])
def test_the_complement_of_a_product_loses_no_digit(x, y):
    pair = log_and(log_bernoulli(jnp.float32(x)), log_bernoulli(jnp.float32(y)))
    with mpmath.workdps(80):
        product = mpmath.exp(_exact(x)) * mpmath.exp(_exact(y))
        expected = float(mpmath.log(1 - product))
    assert float(pair.no) == pytest.approx(expected, rel=3e-7, abs=6e-8 if abs(y) < 10 else TINY)


@given(finite, finite, finite)
@settings(max_examples=60, deadline=None)
def test_g4_pairs_sum_to_one(x, y, z):
    a, b, c = (log_bernoulli(jnp.float32(v)) for v in (x, y, z))
    for pair in (a, log_and(a, b), log_choose(a, b, c)):
        assert float(log_add(pair.yes, pair.no)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("x", [-100.0, -20.0, 0.0, 20.0, 100.0])
def test_gradients_are_finite_and_right_at_extreme_logits(x):
    def f(v):
        return log_and(log_bernoulli(v[0]), log_bernoulli(v[1])).no

    gradient = np.asarray(jax.grad(f)(jnp.array([x, 0.5])))
    assert np.isfinite(gradient).all()
    with mpmath.workdps(60):
        exact = mpmath.diff(lambda v: mpmath.log(1 - 1 / (1 + mpmath.exp(-v)) / (1 + mpmath.exp(-0.5))), x)
    assert gradient[0] == pytest.approx(float(exact), rel=1e-5, abs=1e-30)


def test_the_floor_is_impossible_and_has_a_gradient():
    assert float(log_add(jnp.float32(FLOOR), jnp.float32(-3.0))) == -3.0
    both = jax.grad(lambda v: log_add(v, jnp.float32(FLOOR)))(jnp.float32(FLOOR))
    assert np.isfinite(float(both))
    certain = LogPair(jnp.float32(0), jnp.float32(FLOOR))
    assert float(log_and(certain, certain).no) <= FLOOR
