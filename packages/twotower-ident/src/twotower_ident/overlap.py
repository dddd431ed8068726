"""How far the features of documents at two positions overlap, by a classifier of the position.

What overlap is worth depends on the relevance tower: a table of values profits from equal feature vectors only (the
pessimistic end), a linear tower from any (:mod:`twotower_ident.linear_design`, the optimistic end), a network from
something between. This measure lies between: 1 where two positions draw the same documents, 0 where their features are
disjoint.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from ir_shared.console import DataWarning, UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.features import PairFeatures
from twotower_ident.jsonable import plain
from twotower_ident.swap_graph import weak_components

__all__ = ["ClassifierKind", "ClassifierOverlap", "classifier_overlap", "position_probabilities"]

ClassifierKind = Literal["trees", "logistic"]

MAX_ROWS = 200_000
MAX_POSITIONS = 100
LINKED = 0.05
"""Overlap from which two positions count as linked in the component count."""


@dataclass(frozen=True, eq=False)
class ClassifierOverlap:
    """Overlap of each two positions.

    Attributes:
        positions: indices of the positions, shape [S].
        overlap: ``2 ∫ f_k f_k' / (f_k + f_k')``, estimated on held-out rows, shape [S, S].
        auc: how well the classifier tells two positions apart, shape [S, S].
        log_loss: of the classifier on held-out rows, in nats.
        prior_log_loss: of the positions' shares alone.
        component: of each position, linked at an overlap of 0.05, shape [S].
    """

    positions: Int64[IntArray, " seen"]
    overlap: Float64[FloatArray, "seen seen"]
    auc: Float64[FloatArray, "seen seen"]
    log_loss: float
    prior_log_loss: float
    component: IntArray

    def to_json(self) -> dict[str, Any]:
        """The figures, positions counted from 1."""
        return {
            "positions": (self.positions + 1).tolist(),
            "overlap": plain(self.overlap),
            "auc": plain(self.auc),
            "held_out_log_loss": self.log_loss,
            "prior_log_loss": self.prior_log_loss,
            "components": int(self.component.max(initial=-1)) + 1,
            "linked_from": LINKED,
        }


def classifier_overlap(
    cells: CellTable, features: PairFeatures, *, kind: ClassifierKind = "trees", seed: int = 0
) -> ClassifierOverlap:
    """Fits π(k | x) in two folds of queries and compares positions on the held-out rows.

    With position priors divided out and ``e = π̃_k / (π̃_k + π̃_k')``, the overlap is the mean of ``4 e (1 − e)``, rows of
    k and of k' weighing the same. A classifier that fits badly overstates it: compare the two log-losses.

    Args:
        cells: the aggregated log, keys ``pair``; at most 200,000 of its cells are used, drawn by ``seed``.
        features: of its pairs.
        kind: gradient-boosted trees, or multinomial logistic regression.
        seed: of the draw and of the trees.

    Raises:
        UserError: fewer than two queries or positions, or more than 100 positions.
    """
    cells = _sampled(cells, seed)
    positions = np.flatnonzero(cells.by_position(cells.impressions) > 0)
    held_out = position_probabilities(cells, features, kind=kind, seed=seed)
    held_out = held_out[:, positions]
    row = np.searchsorted(positions, cells.index)
    weight = cells.impressions
    share = np.bincount(row, weight, len(positions)) / weight.sum()
    scores = np.maximum(held_out, 1e-12) / share
    result = ClassifierOverlap(
        positions=positions,
        overlap=_overlaps(scores, row, weight),
        auc=_areas(scores, row, weight),
        log_loss=float(-np.average(np.log(np.maximum(held_out[np.arange(len(row)), row], 1e-12)), weights=weight)),
        prior_log_loss=float(-(share * np.log(share)).sum()),
        component=np.zeros(0, dtype=np.int64),
    )
    if result.log_loss >= result.prior_log_loss * 0.999 and float(np.median(result.auc)) < 0.9:
        warnings.warn(
            f"overlap: the classifier of positions predicts no better than their shares (held-out log-loss "
            f"{result.log_loss:.3f}, shares alone {result.prior_log_loss:.3f}); either positions are random or it "
            "underfits, which overstates the overlap",
            DataWarning,
            stacklevel=2,
        )
    linked = weak_components((result.overlap >= LINKED).astype(np.float64), np.ones(len(positions), dtype=bool))
    return ClassifierOverlap(**{**vars(result), "component": linked})


def position_probabilities(
    cells: CellTable, features: PairFeatures, *, kind: ClassifierKind = "trees", seed: int = 0
) -> Float64[FloatArray, "cells positions"]:
    """π̂(k | x) of each cell's pair from the fold that does not hold its query, shape [C, K].

    Raises:
        UserError: fewer than two queries or positions, or more than 100 positions.
    """
    from sklearn.model_selection import GroupKFold

    positions = np.flatnonzero(cells.by_position(cells.impressions) > 0)
    query = cells.pair_query[cells.pair]
    if len(positions) < 2 or len(np.unique(query)) < 2:
        raise UserError("overlap: a classifier of positions needs two positions and two queries at least")
    if not features.names:
        raise UserError("overlap: no feature varies from pair to pair; a classifier of positions needs one")
    if len(positions) > MAX_POSITIONS:
        raise UserError(f"overlap: {len(positions)} positions; merge them to {MAX_POSITIONS} at most with --merge")
    x = features.values[cells.pair]
    probabilities = np.zeros((cells.n_cells, cells.n_positions))
    for train, test in GroupKFold(n_splits=2).split(x, groups=query):
        model = _classifier(kind, seed)
        weights = cells.impressions[train] / cells.impressions[train].mean()
        model.fit(x[train], cells.index[train], **_weighted(kind, weights))
        probabilities[np.ix_(test, np.asarray(model.classes_))] = model.predict_proba(x[test])
    return probabilities


def _sampled(cells: CellTable, seed: int) -> CellTable:
    if cells.n_cells <= MAX_ROWS:
        return cells
    kept = np.zeros(cells.n_cells, dtype=bool)
    kept[np.random.default_rng(seed).choice(cells.n_cells, MAX_ROWS, replace=False)] = True
    return cells.keep_cells(kept)


def _classifier(kind: ClassifierKind, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    # Small leaves of many rows and an inner validation set: an overconfident classifier would understate the overlap.
    return HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=15, min_samples_leaf=50, early_stopping=True, random_state=seed
    )


def _weighted(kind: ClassifierKind, weights: FloatArray) -> dict[str, Any]:
    return {"logisticregression__sample_weight": weights} if kind == "logistic" else {"sample_weight": weights}


def _overlaps(scores: FloatArray, row: IntArray, weight: FloatArray) -> FloatArray:
    n = scores.shape[1]
    found = np.zeros((n, n))
    for k in range(n):
        own = row == k
        share = scores[own, k : k + 1] / (scores[own, k : k + 1] + scores[own])
        found[k] = np.average(4 * share * (1 - share), axis=0, weights=weight[own])
    both: FloatArray = (found + found.T) / 2
    return both


def _areas(scores: FloatArray, row: IntArray, weight: FloatArray) -> FloatArray:
    from sklearn.metrics import roc_auc_score

    n = scores.shape[1]
    areas = np.full((n, n), 0.5)
    members = [np.flatnonzero(row == k) for k in range(n)]
    for k in range(n):
        for j in range(k + 1, n):
            both = np.concatenate([members[k], members[j]])
            ratio = np.log(scores[both, k] / scores[both, j])
            areas[k, j] = areas[j, k] = roc_auc_score(row[both] == k, ratio, sample_weight=weight[both])
    return areas
