"""Placement weights: the inverse of the probability that the logging policy shows a document at a position.

Weighting by 1 / π̂(k | q, d) makes a misspecified model answer for uniform placement instead of the policy's. It cannot
create swaps: a cell that was never shown gets nothing. It aims at the uniform-placement projection of a wrong model,
not at the truth.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64

from twotower_ident.cells import CellTable, FloatArray
from twotower_ident.click_log import ClickLog
from twotower_ident.features import PairFeatures
from twotower_ident.jsonable import plain
from twotower_ident.overlap import ClassifierKind, position_probabilities

__all__ = [
    "PlacementWeights",
    "Scheme",
    "empirical_propensities",
    "epsilon_greedy_ess",
    "logged_propensities",
    "modelled_propensities",
    "placement_weights",
    "weighted_rows",
]

Scheme = Literal["raw", "clip", "self-normalised", "stabilised"]

_LARGE = 1000.0
_COVERED = 0.99


@dataclass(frozen=True, eq=False)
class PlacementWeights:
    """A weight for each cell, and what it costs.

    Attributes:
        scheme: how the weights were made.
        weight: of each impression of a cell, shape [C].
        propensity: π̂ of each cell, shape [C].
        ess_share: effective sample size ``(Σ w)² / Σ w²`` over impressions, as a share of them.
        max_weight: the largest.
        top_mass: share of all weight on the 1 % of impressions that weigh most.
        by_position: effective share and mean weight of each position, K rows.
        notes: what should be known before use.
    """

    scheme: Scheme
    weight: Float64[FloatArray, " cells"]
    propensity: Float64[FloatArray, " cells"]
    ess_share: float
    max_weight: float
    top_mass: float
    by_position: pl.DataFrame
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The report; not the weights themselves."""
        return {
            "scheme": self.scheme,
            "ess_share": self.ess_share,
            "max_weight": self.max_weight,
            "top_1_percent_mass": self.top_mass,
            "by_position": plain(self.by_position.to_dicts()),
            "notes": self.notes,
        }


def placement_weights(
    log: ClickLog | CellTable,
    scheme: Scheme = "raw",
    *,
    clip: float | None = None,
    propensities: FloatArray | None = None,
) -> PlacementWeights:
    """Weights for every cell.

    ``raw`` is 1 / π̂, unclipped and unnormalised, as in the paper's code; ``clip`` limits it; ``self-normalised`` makes
    the weights of each position average 1; ``stabilised`` is π̄(k) / π̂ with the share π̄ of sessions that show a document
    at k, averaged over pairs.

    Args:
        log: a log, or its cells with keys ``pair``.
        scheme: which.
        clip: the largest weight; for ``clip``.
        propensities: π̂ of each cell, shape [C]; :func:`empirical_propensities` where not given.

    Raises:
        UserError: a propensity that is none, or a clip that is missing or not positive.
    """
    cells = log if isinstance(log, CellTable) else log.cells(count_sessions=True)
    if (scheme == "clip") != (clip is not None) or (clip is not None and clip <= 0):
        raise UserError("weights: scheme 'clip' goes with a positive clip, and no other scheme with one")
    propensity = empirical_propensities(cells) if propensities is None else propensities
    wrong = ~((propensity > 0) & (propensity <= 1 + 1e-9))
    if wrong.any():
        cell = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"weights: propensity {propensity[cell]:g} of cell {cell} (pair {cells.pair[cell]}, position "
            f"{cells.position[cell]}) is not in (0, 1]; what was logged was possible"
        )
    weight = _scheme(cells, scheme, propensity, clip)
    return _report(cells, scheme, weight, propensity)


def empirical_propensities(cells: CellTable) -> Float64[FloatArray, " cells"]:
    """Share of a query's sessions that showed the document at the position, ``n_ik / n_q``, shape [C].

    The weights of a cell's impressions then sum to n_q: all observed cells of a query count the same. A query with one
    session gets weights of 1 everywhere, so the tail needs modelled propensities.

    Raises:
        UserError: pairs that span queries.
    """
    if cells.members is not None:
        raise UserError("weights: placement is a matter of a query's documents; aggregate with keys 'pair'")
    return np.minimum(cells.impressions / cells.sessions()[cells.pair_query[cells.pair]], 1.0)


def modelled_propensities(
    cells: CellTable, features: PairFeatures, *, kind: ClassifierKind = "trees", seed: int = 0
) -> Float64[FloatArray, " cells"]:
    """π̂(k | x) of a classifier, cross-fitted by query, shape [C]; for queries with few sessions.

    It is the probability of the position given that the document is shown; see
    :func:`twotower_ident.overlap.position_probabilities`.
    """
    probability = position_probabilities(cells, features, kind=kind, seed=seed)
    own: FloatArray = probability[np.arange(cells.n_cells), cells.index]
    return np.maximum(own, 1e-6)


def logged_propensities(log: ClickLog) -> Float64[FloatArray, " cells"]:
    """The log's own propensities, their harmonic mean over each cell, in the order of ``log.cells()``, shape [C].

    Raises:
        UserError: the log has no such column, or its positions are merged or split by a bias column.
    """
    from twotower_ident.aggregate import doc_key, query_key

    names = log.frame.collect_schema().names()
    if "propensity" not in names:
        raise UserError("log: no column of propensities; name it with --column propensity=NAME")
    if log.merge or log.columns.bias:
        raise UserError("log: its propensities are of plain positions; leave out merged positions and bias columns")
    shown = pl.col("impressions") if "impressions" in names else pl.lit(1.0)
    by = [query_key().alias("q"), doc_key("pair", log.columns, names).alias("d"), pl.col("position")]
    mean = pl.col("n").sum() / (pl.col("n") / pl.col("propensity")).sum()
    found = log.frame.with_columns(shown.cast(pl.Float64).alias("n")).group_by(by).agg(mean.alias("p"))
    ordered = found.collect(engine="streaming").sort("q", "d", "position")
    return ordered["p"].to_numpy()


def weighted_rows(log: ClickLog, cells: CellTable, weights: PlacementWeights) -> pl.LazyFrame:
    """The log's rows with a column ``weight``, in their order.

    Args:
        log: the log.
        cells: its cells with ``labels="pairs"``.
        weights: of those cells.
    """
    assert cells.pairs is not None
    from twotower_ident.aggregate import merged_position

    named = cells.pairs[cells.pair].with_columns(
        pl.Series("group", cells.position), pl.Series("weight", weights.weight)
    )
    rows = log.frame.with_columns(merged_position(log.merge).alias("group"))
    return rows.join(named.lazy(), on=["qid", "docid", "group"], how="left", maintain_order="left").drop("group")


def epsilon_greedy_ess(n: int, temperature: float) -> float:
    """Effective share of impressions under true propensities of ε-greedy logging.

    ``n² / [ 1 / (1 − τ + τ/n) + n (n − 1) / τ ]`` for n documents: the own rank has propensity 1 − τ + τ/n, each other
    τ/n.

    Args:
        n: documents of a page.
        temperature: τ, share of shuffled pages, above 0.
    """
    own = 1 - temperature + temperature / n
    return n**2 / (1 / own + n * (n - 1) / temperature)


def _scheme(cells: CellTable, scheme: Scheme, propensity: FloatArray, clip: float | None) -> FloatArray:
    raw = 1 / propensity
    if scheme == "clip":
        assert clip is not None
        return np.minimum(raw, clip)
    shown = cells.by_position(cells.impressions)
    if scheme == "self-normalised":
        mean = cells.by_position(cells.impressions * raw) / np.maximum(shown, np.finfo(float).tiny)
        return raw / mean[cells.index]
    if scheme == "stabilised":
        share = shown / max(float(cells.sessions()[cells.pair_query].sum()), np.finfo(float).tiny)
        return raw * share[cells.index]
    return raw


def _report(cells: CellTable, scheme: Scheme, weight: FloatArray, propensity: FloatArray) -> PlacementWeights:
    n = cells.impressions
    total, square = cells.by_position(n * weight), cells.by_position(n * weight**2)
    shown = cells.by_position(n)
    with np.errstate(invalid="ignore"):
        by_position = pl.DataFrame(
            {
                "position": cells.labels(),
                "impressions": shown,
                "mean_weight": total / shown,
                "ess_share": total**2 / (square * shown),
            }
        )
    ess_share = float(total.sum() ** 2 / (square.sum() * n.sum()))
    notes = _notes(cells, propensity, weight, ess_share)
    return PlacementWeights(
        scheme, weight, propensity, ess_share, float(weight.max()), _top_mass(n, weight), by_position, notes
    )


def _top_mass(impressions: FloatArray, weight: FloatArray) -> float:
    order = np.argsort(-weight, kind="stable")
    n, w = impressions[order], weight[order]
    left = 0.01 * n.sum()
    taken = np.minimum(n, np.maximum(left - (np.cumsum(n) - n), 0.0))
    return float((taken * w).sum() / (n * w).sum())


def _notes(cells: CellTable, propensity: FloatArray, weight: FloatArray, ess_share: float) -> list[str]:
    notes = []
    if (propensity >= 1 - 1e-12).all():
        notes.append("the log is deterministic: every placement has probability 1, so weighting changes nothing")
    single = float((cells.sessions() <= 1).mean())
    if single > 0:
        notes.append(
            f"{single:.1%} of the queries have one session, where empirical weights are 1; "
            "modelled propensities tell them apart"
        )
    covered = cells.by_pair(propensity)[np.unique(cells.pair)]
    short = float((covered < _COVERED).mean())
    if short > 0:
        notes.append(
            f"for {short:.1%} of the pairs the placement probabilities sum to less than 1: weighting aims at uniform "
            "placement over the positions that were shown, not over all"
        )
    if weight.max() > _LARGE:
        warnings.warn(
            f"weights: the largest is {weight.max():.0f}, effective sample size {ess_share:.1%}; consider clipping",
            DataWarning,
            stacklevel=4,
        )
    return notes
