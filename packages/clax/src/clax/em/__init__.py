"""Estimators other than gradient descent: expectation-maximisation, and counts in closed form."""

from __future__ import annotations

from clax.em.counting import count_estimates
from clax.em.expectation import EMResult, expected_counts, fit_em

__all__ = ["EMResult", "count_estimates", "expected_counts", "fit_em"]
