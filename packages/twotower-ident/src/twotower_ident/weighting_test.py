"""The weight test: an unweighted and a weighted fit agree when the model is right, so a difference is misspecification.

In the spirit of Hausman (1978): under the right model both curves estimate the same θ, under a wrong one each is the
projection for another distribution of placements.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.exact_fit import ExactFit, fit_exact
from twotower_ident.features import PairFeatures
from twotower_ident.jsonable import plain
from twotower_ident.linear_design import FeatureMoments, feature_moments, generalised_inverse

__all__ = ["WeightTest", "curve_influences", "resampled_covariance", "weight_test"]

_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class WeightTest:
    """The test of θ̂_weighted = θ̂_unweighted.

    Attributes:
        unweighted: curve without weights, shape [K].
        weighted: curve with weights, shape [K].
        positions: indices of the positions compared, the reference left out, shape [S].
        covariance: of the differences at those positions, clustered by query, shape [S, S].
        statistic: ``(θ̂_w − θ̂_u)ᵀ V⁻ (θ̂_w − θ̂_u)``, scaled to an F distribution (Hotelling).
        degrees_of_freedom: rank of V; 0 where weighting changes nothing.
        n_clusters: queries.
        p_value: small where the model is wrong; 1 where weighting changes nothing.
    """

    unweighted: Float64[FloatArray, " positions"]
    weighted: Float64[FloatArray, " positions"]
    positions: Int64[IntArray, " compared"]
    covariance: Float64[FloatArray, "compared compared"]
    statistic: float
    degrees_of_freedom: int
    n_clusters: int
    p_value: float

    def to_json(self) -> dict[str, Any]:
        """The test and both curves."""
        return {
            "unweighted": plain(self.unweighted),
            "weighted": plain(self.weighted),
            "positions": (self.positions + 1).tolist(),
            "difference_se": plain(np.sqrt(np.diag(self.covariance))),
            "statistic": self.statistic,
            "degrees_of_freedom": self.degrees_of_freedom,
            "n_clusters": self.n_clusters,
            "p_value": self.p_value,
        }


def weight_test(
    cells: CellTable, features: PairFeatures, weights: FloatArray, *, resamples: int = 0, seed: int = 0
) -> WeightTest:
    """Fits a linear tower with and without weights and tests the difference of the curves.

    Args:
        cells: the aggregated log.
        features: of its pairs.
        weights: of each cell, shape [C].
        resamples: 0 for the sandwich covariance clustered by query; else how many resamples of queries to refit.
        seed: of the resamples.

    Raises:
        UserError: a position with a separated effect only, or too few queries for the positions.
    """
    plain_fit = fit_exact(cells, "linear", features=features.values, names=features.names)
    weighted_fit = fit_exact(cells, "linear", features=features.values, weights=weights, start=plain_fit)
    both = np.isfinite(plain_fit.position_bias) & np.isfinite(weighted_fit.position_bias)
    positions = np.flatnonzero(both)
    reference, positions = int(positions[0]), positions[1:]
    difference = weighted_fit.position_bias - plain_fit.position_bias
    difference = (difference - difference[reference])[positions]
    if resamples:
        covariance = resampled_covariance(cells, features, weights, plain_fit, positions, resamples, seed)
    else:
        one = curve_influences(cells, features, plain_fit, None, reference)
        other = curve_influences(cells, features, weighted_fit, weights, reference)
        moved = (other - one)[:, positions]
        covariance = moved.T @ moved
    n_clusters = len(np.unique(cells.pair_query[cells.pair]))
    statistic, df, p_value = _wald(difference, covariance, n_clusters)
    return WeightTest(
        unweighted=plain_fit.position_bias,
        weighted=weighted_fit.position_bias,
        positions=positions,
        covariance=covariance,
        statistic=statistic,
        degrees_of_freedom=df,
        n_clusters=n_clusters,
        p_value=p_value,
    )


def curve_influences(
    cells: CellTable,
    features: PairFeatures,
    fit: ExactFit,
    weights: Float64[FloatArray, " cells"] | None,
    reference: int,
) -> Float64[FloatArray, "queries positions"]:
    """What each query adds to the error of θ̂_k − θ̂_reference under a linear tower, shape [Q, K].

    With residuals r = ω (c − n p) and curvatures h = ω n p (1 − p), the efficient score of a cell is
    ``r (e_k − M G⁻¹ x)``, and the influence is its product with ``(diag(m) − M G⁻¹ Mᵀ)⁻¹``. Zero for positions without
    a finite effect.

    Args:
        cells: the aggregated log.
        features: of its pairs.
        fit: the linear fit.
        weights: ω of each cell, shape [C]; 1 where None.
        reference: index of the reference position.

    Raises:
        UserError: the features determine positions, so that no curve is identified.
    """
    from scipy.special import expit

    omega = np.ones(cells.n_cells) if weights is None else weights
    finite = np.flatnonzero(np.isfinite(fit.position_bias))
    used = cells.keep_cells(np.isin(cells.index, finite))
    omega = omega[np.isin(cells.index, finite)]
    p = expit(fit.position_bias[used.index] + fit.relevance[used.pair])
    residual = omega * (used.clicks - used.impressions * p)
    curvature = omega * used.impressions * p * (1 - p)
    moments = feature_moments(used, features.values, curvature)
    inverse, _ = generalised_inverse(moments.gram)
    slope = (moments.cross @ inverse)[finite]
    profile = np.diag(used.by_position(curvature)[finite]) - slope @ moments.cross[finite].T
    try:
        influence = np.linalg.solve(profile, _scores(used, residual, moments, features.values, slope, finite).T).T
    except np.linalg.LinAlgError:
        raise UserError("weight test: features determine the position, so there is no curve to compare") from None
    found = np.zeros((cells.n_queries, cells.n_positions))
    found[:, finite] = influence
    centred: FloatArray = found - found[:, [reference]]
    return centred


def resampled_covariance(
    cells: CellTable,
    features: PairFeatures,
    weights: Float64[FloatArray, " cells"],
    fit: ExactFit,
    positions: Int64[IntArray, " compared"],
    resamples: int,
    seed: int,
) -> Float64[FloatArray, "compared compared"]:
    """Covariance of the differences at some positions over resamples of queries, each refitted from the given fit.

    Args:
        cells: the aggregated log.
        features: of its pairs.
        weights: of each cell, shape [C].
        fit: unweighted fit to begin at.
        positions: indices, the reference left out, shape [S].
        resamples: at least two.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    n = cells.n_queries
    drawn = []
    for _ in range(resamples):
        times = rng.multinomial(n, np.full(n, 1 / n))[cells.pair_query[cells.pair]].astype(np.float64)
        again = replace(cells, impressions=cells.impressions * times, clicks=cells.clicks * times)
        again, own = again.keep_cells(times > 0), weights[times > 0]
        one = fit_exact(again, "linear", features=features.values, start=fit)
        other = fit_exact(again, "linear", features=features.values, weights=own, start=fit)
        drawn.append((other.position_bias - one.position_bias)[positions])
    return np.atleast_2d(np.cov(np.array(drawn), rowvar=False))


def _scores(
    cells: CellTable,
    residual: FloatArray,
    moments: FeatureMoments,
    values: FloatArray,
    slope: FloatArray,
    finite: IntArray,
) -> FloatArray:
    """Efficient scores summed by query, shape [Q, S]."""
    from scipy.sparse import csr_array

    query = cells.pair_query[cells.pair]
    shape = (cells.n_queries, cells.n_positions)
    by_position = csr_array((residual, (query, cells.index)), shape=shape).toarray()[:, finite]
    of_pair = cells.by_pair(residual)
    owner = csr_array((of_pair, (cells.pair_query, np.arange(cells.n_pairs))), shape=(cells.n_queries, cells.n_pairs))
    scores: FloatArray = by_position - (owner @ moments.standardised(values)) @ slope.T
    return scores


def _wald(difference: FloatArray, covariance: FloatArray, n_clusters: int) -> tuple[float, int, float]:
    """Hotelling's statistic, its degrees of freedom and the p-value, on the range of the covariance."""
    from scipy.stats import f as f_distribution

    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(_RANK_TOLERANCE * float(values.max(initial=0.0)), 1e-18)
    df = int(kept.sum())
    if df == 0:
        return 0.0, 0, 1.0
    if n_clusters <= df + 1:
        raise UserError(
            f"weight test: {n_clusters} queries for {df} positions; merge positions (--merge) or use a longer log"
        )
    wald = float(((vectors[:, kept].T @ difference) ** 2 / values[kept]).sum())
    statistic = wald * (n_clusters - df) / (df * (n_clusters - 1))
    return statistic, df, float(f_distribution.sf(statistic, df, n_clusters - df))
