"""What a linear relevance tower leaves of the position effect: the optimistic end of feature overlap.

With relevance ``wᵀx`` positions need no shared documents: it is enough that no direction of w is constant within every
position. Eliminating w from the information leaves ``L = diag(m) − M G⁻¹ Mᵀ`` with ``m_k = Σ ω``, ``M_k = Σ_k ω xᵀ``
and ``G = Σ ω x xᵀ``; scaled by m, its eigenvalues are one minus the squared canonical correlations of positions and
features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from twotower_ident.cells import BoolArray, CellTable, FloatArray, IntArray
from twotower_ident.contrasts import Link, Weights, cell_variances
from twotower_ident.features import PairFeatures
from twotower_ident.jsonable import plain

__all__ = ["FeatureMoments", "LinearOverlap", "feature_moments", "generalised_inverse", "linear_overlap"]

_TOLERANCE = 1e-10
_CELLS_EACH = 1 << 16


@dataclass(frozen=True, eq=False)
class LinearOverlap:
    """Whether a linear tower identifies the position contrasts, and how well.

    Attributes:
        positions: indices of the seen positions, shape [S].
        rank: of the design of positions and features.
        full_rank: what it would be with all contrasts identified.
        identified: whether each contrast to the first position is, shape [S].
        se: standard error of each contrast, infinite where it is not identified, shape [S].
        inflation: that over the standard error if relevance were known, shape [S].
        null_features: for each direction that is not identified, the features that trade for positions, largest first.
    """

    positions: Int64[IntArray, " seen"]
    rank: int
    full_rank: int
    identified: Bool[BoolArray, " seen"]
    se: Float64[FloatArray, " seen"]
    inflation: Float64[FloatArray, " seen"]
    null_features: list[list[str]]

    @property
    def verdict(self) -> str:
        """``identified`` or ``unidentified``."""
        return "identified" if bool(self.identified.all()) else "unidentified"

    def to_json(self) -> dict[str, Any]:
        """The verdict and the figures of each position, counted from 1."""
        return {
            "verdict": self.verdict,
            "rank": self.rank,
            "full_rank": self.full_rank,
            "positions": (self.positions + 1).tolist(),
            "se": plain(self.se),
            "inflation": plain(self.inflation),
            "null_features": self.null_features,
        }


def linear_overlap(
    cells: CellTable, features: PairFeatures, *, weights: Weights = "plugin", link: Link = "logit"
) -> LinearOverlap:
    """Audits a linear tower in one pass over the cells.

    Features are centred: a constant shift of ``wᵀx`` moves all positions alike and no contrast.

    Args:
        cells: the aggregated log, keys ``pair``.
        features: of its pairs.
        weights: information of one impression, see :func:`twotower_ident.contrasts.cell_variances`.
        link: likewise.
    """
    information = cells.impressions * cell_variances(cells, weights, link)
    mass = cells.by_position(information)
    seen = np.flatnonzero(mass > 0)
    moments = feature_moments(cells, features.values, information)
    inverse, feature_rank = generalised_inverse(moments.gram)
    m, cross = mass[seen], moments.cross[seen]
    half = 1 / np.sqrt(m)
    scaled = np.eye(len(seen)) - half[:, None] * (cross @ inverse @ cross.T) * half[None, :]
    values, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    null = vectors[:, values < _TOLERANCE]
    contrast = np.eye(len(seen)) - np.eye(len(seen))[0]
    turned = contrast * half[None, :]
    identified = np.abs(turned @ null).max(axis=1, initial=0.0) < 1e-6 * np.linalg.norm(half)
    kept = values >= _TOLERANCE
    variance = ((turned @ vectors[:, kept]) ** 2 / values[kept]).sum(axis=1)
    known = 1 / m + 1 / m[0]
    se = np.where(identified, np.sqrt(variance), np.inf)
    inflation = np.where(identified, np.sqrt(variance / known), np.inf)
    inflation[0], se[0] = 1.0, 0.0
    return LinearOverlap(
        positions=seen,
        rank=int(kept.sum()) + feature_rank,
        full_rank=len(seen) + feature_rank,
        identified=identified,
        se=se,
        inflation=inflation,
        null_features=[_top(inverse @ cross.T @ (half * direction), features) for direction in null.T],
    )


@dataclass(frozen=True, eq=False)
class FeatureMoments:
    """Sums over the cells of features that are centred and scaled by the cells' weights.

    Attributes:
        cross: M, sums by position, shape [K, F].
        gram: G, shape [F, F].
        centre: weighted mean of each feature, shape [F].
        scale: weighted standard deviation, shape [F].
    """

    cross: Float64[FloatArray, "positions features"]
    gram: Float64[FloatArray, "features features"]
    centre: Float64[FloatArray, " features"]
    scale: Float64[FloatArray, " features"]

    def standardised(self, values: Float64[FloatArray, "rows features"]) -> Float64[FloatArray, "rows features"]:
        """Features on the scale of the sums, shape as given."""
        scaled: FloatArray = (values - self.centre) / self.scale
        return scaled


def feature_moments(
    cells: CellTable, values: Float64[FloatArray, "pairs features"], information: Float64[FloatArray, " cells"]
) -> FeatureMoments:
    """The sums M and G in one pass.

    Args:
        cells: whose rows are summed.
        values: features of each pair, shape [P, F].
        information: weight of each cell, shape [C].
    """
    from scipy.sparse import csr_array

    of_pair = cells.by_pair(information)
    total = max(float(of_pair.sum()), np.finfo(float).tiny)
    centre = of_pair @ values / total
    scale = np.sqrt(np.maximum(of_pair @ (values - centre) ** 2 / total, np.finfo(float).tiny))
    n_features = values.shape[1]
    cross, gram = np.zeros((cells.n_positions, n_features)), np.zeros((n_features, n_features))
    for start in range(0, cells.n_cells, _CELLS_EACH):
        part = slice(start, start + _CELLS_EACH)
        x = (values[cells.pair[part]] - centre) / scale
        own = information[part]
        at = (own, (cells.index[part], np.arange(len(own))))
        cross += csr_array(at, shape=(cells.n_positions, len(own))) @ x
        gram += (x * own[:, None]).T @ x
    return FeatureMoments(cross, gram, centre, scale)


def generalised_inverse(
    gram: Float64[FloatArray, "features features"],
) -> tuple[Float64[FloatArray, "features features"], int]:
    """Inverse of a Gram matrix on its range, and its rank; features that repeat others count once."""
    values, vectors = np.linalg.eigh(gram)
    kept = values > _TOLERANCE * max(float(values.max(initial=0.0)), np.finfo(float).tiny)
    return (vectors[:, kept] / values[kept]) @ vectors[:, kept].T, int(kept.sum())


def _top(direction: FloatArray, features: PairFeatures) -> list[str]:
    """The features with the largest part in a direction of standardised weights."""
    return [features.names[j] for j in np.argsort(-np.abs(direction), kind="stable")[:3]]
