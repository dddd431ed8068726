"""Bias curves of a linear tower under the policies that the claims compare, and their spread over queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from twotower_ident.exact_fit import ExactFit, fit_exact
from twotower_ident.placement import empirical_propensities
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world, simulate_cells
from twotower_ident.user_models import UserModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twotower_ident.cells import CellTable
    from twotower_ident.letor import RankingData

__all__ = ["Policy", "expected", "fit", "name", "query_bootstrap", "sampled", "truth"]

Policy = tuple[float, float]
"""Strength α and exploration τ of an expert policy."""


def expected(data: RankingData, policy: Policy) -> CellTable:
    """The population limit of a policy's log."""
    strength, temperature = policy
    return expected_cells(make_world(data, ExpertPolicy(strength), UserModel()), EpsilonGreedy(temperature))


def sampled(data: RankingData, policy: Policy, sessions: int, seed: int) -> CellTable:
    """A simulated log of a policy."""
    strength, temperature = policy
    world = make_world(data, ExpertPolicy(strength), UserModel(), seed=seed)
    return simulate_cells(world, EpsilonGreedy(temperature), sessions=sessions, seed=seed)


def fit(
    cells: CellTable,
    data: RankingData,
    *,
    weighted: bool = False,
    copies: NDArray[np.int64] | None = None,
    start: ExactFit | None = None,
) -> ExactFit:
    """The linear tower's maximum-likelihood fit.

    Args:
        cells: the log.
        data: its documents.
        weighted: whether to weigh impressions by the inverse of their placement propensity.
        copies: how often each query is in the sample, shape [Q].
        start: an earlier fit to begin at.
    """
    weights = 1 / empirical_propensities(cells) if weighted else np.ones(cells.n_cells)
    if copies is not None:
        weights = weights * copies[cells.pair_query[cells.pair]]
    return fit_exact(cells, "linear", features=data.features, weights=weights, start=start)


def truth(data: RankingData) -> NDArray[np.float64]:
    """The users' bias curve, shape [K]."""
    return UserModel().position_bias(int(data.sizes.max()))


def name(policy: Policy) -> str:
    """How a policy is called in a report."""
    strength, temperature = policy
    return f"α = {strength:+.2f}, τ = {temperature:.2f}"


def query_bootstrap(
    data: RankingData,
    policies: Sequence[Policy],
    statistic: Callable[[NDArray[np.float64]], float],
    *,
    draws: int,
    progress: Callable[[int, int], None],
) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Population curves of some policies, and the 95 % interval of a statistic of them when queries are resampled.

    Args:
        data: documents.
        policies: some.
        statistic: takes the curves, shape [number of policies, K].
        draws: resamples.
        progress: told how many draws are done.

    Returns:
        The curves of all queries, shape [number of policies, K], and the ends of the interval.
    """
    logs = [expected(data, policy) for policy in policies]
    full = [fit(cells, data) for cells in logs]
    rng = np.random.default_rng(0)
    values = []
    for draw in range(draws):
        copies = np.bincount(rng.integers(0, data.n_queries, data.n_queries), minlength=data.n_queries)
        fits = [fit(cells, data, copies=copies, start=start) for cells, start in zip(logs, full, strict=True)]
        values.append(statistic(np.array([one.position_bias for one in fits])))
        progress(draw + 1, draws)
    low, high = np.percentile(values, (2.5, 97.5))
    return np.array([one.position_bias for one in full]), (float(low), float(high))
