"""The audit: can this click log identify the position effects of this model, how well, and what would repair it."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from ir_shared.console import DataWarning, UserError

from twotower_ident.audit_report import AuditReport, Repairs, Settings
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog
from twotower_ident.contrasts import Contrasts, Link, Weights, cell_variances, resistances, swap_laplacian
from twotower_ident.features import PairFeatures, feature_key, log_features
from twotower_ident.overlap import ClassifierKind
from twotower_ident.overlap_range import FeatureOverlap, feature_overlap
from twotower_ident.repair import best_swap, bridging_swaps, exploration_for, merges
from twotower_ident.swap_graph import Shares, SwapGraph, informative_pairs, position_graph, query_verdicts

__all__ = ["audit"]

FEW_IMPRESSIONS = 10
"""Below this median of impressions an informative pair, fitting a value for each pair biases the position effects."""

_BY_FEATURES = ("classifier", "linear")


def audit(
    log: ClickLog | CellTable,
    *,
    keys: str = "pair",
    weights: Weights = "plugin",
    link: Link = "logit",
    max_se: float = 0.2,
    min_impressions: float = 0.0,
    partitions: int = 1,
    features: PairFeatures | None = None,
    classifier: ClassifierKind | Literal["none"] = "trees",
    seed: int = 0,
) -> AuditReport:
    """Audits a log.

    Args:
        log: a log, or its cells.
        keys: what the verdict rests on: ``pair``, ``doc``, ``exact`` or ``bucket:COLUMN`` (see
            :meth:`ClickLog.cells`; given ``features``, :func:`twotower_ident.features.feature_key`), or the features'
            ``classifier`` overlap or ``linear`` rank.
        weights: ``plugin`` gives standard errors of θ; ``unit`` looks at the design alone.
        link: ``logit`` for the additive two-tower model, ``log`` for products of probabilities.
        max_se: largest standard error of a contrast to the reference that counts as identified.
        min_impressions: cells with fewer make no link.
        partitions: passes over the log; memory falls in proportion.
        features: of the pairs of ``log.cells()``; the log's own feature columns where not given.
        classifier: how overlap of features is measured, or ``none``.
        seed: of the classifier.

    Raises:
        UserError: no impressions, or keys that need what the log lacks.
    """
    by_features = keys in _BY_FEATURES
    cells = _graph_cells(log, keys, partitions, features)
    if features is None and isinstance(log, ClickLog) and log.columns.features:
        features = log_features(log)
    if features is not None and not features.names:
        features = None
    if by_features and features is None:
        raise UserError(f"keys {keys!r} need features that vary; give them with --features or --feature-column")
    kept = cells.keep_cells(cells.impressions >= min_impressions) if min_impressions > 0 else cells
    if kept.n_cells == 0:
        raise UserError("audit: no impressions are left; lower --min-impressions")
    graph = position_graph(kept)
    variances = cell_variances(kept, weights, link)
    laplacian = swap_laplacian(kept, variances)
    contrasts = resistances(laplacian, graph.component)
    _, shares = informative_pairs(kept)
    overlap = None
    if features is not None:
        pairs = kept if by_features or keys == "pair" else _pair_cells(log, partitions)
        overlap = feature_overlap(pairs, features, weights=weights, link=link, classifier=classifier, seed=seed)
    verdict, reasons = _verdict(keys, graph, contrasts, shares, overlap, max_se)
    report = AuditReport(
        verdict=verdict,
        reasons=reasons,
        settings=Settings(keys, weights, link, max_se, min_impressions),
        labels=kept.labels(),
        n_cells=kept.n_cells,
        n_pairs=kept.n_pairs,
        n_queries=kept.n_queries,
        graph=graph,
        laplacian=laplacian,
        contrasts=contrasts,
        shares=shares,
        queries=query_verdicts(kept, graph.component),
        query_labels=kept.queries,
        repairs=_repairs(kept, graph, contrasts, variances, max_se),
        overlap=overlap,
        notes=_notes(keys, kept, graph, shares, overlap),
    )
    for note in report.notes:
        warnings.warn(note, DataWarning, stacklevel=2)
    return report


def _graph_cells(log: ClickLog | CellTable, keys: str, partitions: int, features: PairFeatures | None) -> CellTable:
    """The cells under the notion of a pair that the verdict rests on; with features beside the log, by those."""
    kind, _, names = keys.partition(":")
    if features is not None and kind in ("exact", "bucket"):
        pairs = log if isinstance(log, CellTable) else log.cells(partitions=partitions, labels="queries")
        return pairs.rekey(feature_key(features, kind, names))
    if isinstance(log, CellTable):
        return log
    return log.cells(keys="pair" if keys in _BY_FEATURES else keys, partitions=partitions, labels="queries")


def _pair_cells(log: ClickLog | CellTable, partitions: int) -> CellTable:
    if isinstance(log, CellTable):
        return log
    return log.cells(partitions=partitions)


def _verdict(
    keys: str, graph: SwapGraph, contrasts: Contrasts, shares: Shares, overlap: FeatureOverlap | None, max_se: float
) -> tuple[str, list[str]]:
    if keys == "linear" and overlap is not None:
        return _linear_verdict(overlap, max_se)
    if keys == "classifier" and overlap is not None:
        if overlap.classifier is None:
            raise UserError(f"keys 'classifier': {overlap.notes[0]}")
        n = int(overlap.classifier.component.max()) + 1
        if n > 1:
            return "split", [f"positions fall into {n} groups whose documents' features hardly overlap"]
        return "identified", ["the features of documents at different positions overlap"]
    if int(graph.seen.sum()) == 1:
        return "identified", ["the log has one position, so there is no position effect to tell from relevance"]
    if graph.n_components > 1:
        reason = f"swaps link the positions into {graph.n_components} components; contrasts between them are arbitrary"
        return "split", [reason]
    if graph.n_strong > 1:
        reason = (
            f"the positions are linked, but clicks go one way only between {graph.n_strong} groups of them: "
            "maximum likelihood pushes those contrasts to infinity"
        )
        return "one-sided", [reason]
    reasons = []
    worst = float(contrasts.standard_errors[graph.seen].max())
    if worst > max_se:
        reasons.append(f"the largest standard error of a contrast is {worst:.3f}, above {max_se:g}")
    if shares.impressions_each < FEW_IMPRESSIONS and keys == "pair":
        reasons.append(
            f"half of the informative pairs have at most {shares.impressions_each:g} impressions: a tower with a value "
            "for each pair overstates position effects (up to twofold); the conditional estimator does not"
        )
    return ("weak", reasons) if reasons else ("identified", [f"one component; largest standard error {worst:.3f}"])


def _linear_verdict(overlap: FeatureOverlap, max_se: float) -> tuple[str, list[str]]:
    linear = overlap.linear
    if linear.verdict != "identified":
        lost = linear.full_rank - linear.rank
        what = "; ".join(", ".join(names) for names in linear.null_features)
        return "split", [f"a linear tower can trade features for positions in {lost} directions: {what}"]
    worst = float(linear.se.max())
    if worst > max_se:
        return "weak", [f"a linear tower identifies all contrasts, the largest standard error being {worst:.3f}"]
    return "identified", [f"full rank with a linear tower; largest standard error {worst:.3f}"]


def _repairs(cells: CellTable, graph: SwapGraph, contrasts: Contrasts, variances: np.ndarray, max_se: float) -> Repairs:
    shown = np.maximum(graph.impressions, np.finfo(float).tiny)
    variance = cells.by_position(cells.impressions * variances) / shown
    swap = best_swap(contrasts, graph.component, variance)
    if swap is not None and swap.worst_before <= max_se:
        swap = None
    sessions = float(cells.sessions().sum())
    several = int(graph.seen.sum()) > 1
    return Repairs(
        bridges=bridging_swaps(graph, variance, max_se),
        merges=merges(graph),
        swap=swap,
        exploration=exploration_for(max_se, sessions, variance[graph.seen]) if several else None,
    )


def _notes(keys: str, cells: CellTable, graph: SwapGraph, shares: Shares, overlap: FeatureOverlap | None) -> list[str]:
    notes = []
    if keys == "doc":
        notes.append("keys 'doc' suppose that a document is equally relevant to every query; no test here can tell")
    if shares.swapped_pairs == 0 and int(graph.seen.sum()) > 1:
        notes.append(
            "no pair was seen at two positions: the log is deterministic, and placement weights change nothing"
        )
    silent = graph.seen & (graph.clicks <= 0)
    if silent.any():
        names = [label for label, quiet in zip(cells.labels(), silent, strict=True) if quiet]
        notes.append(f"no clicks at {len(names)} positions ({', '.join(names[:5])}): their effect is -inf")
    if cells.n_queries == 1 and cells.n_pairs > 1:
        notes.append("the log has one query, so errors cannot be clustered by query")
    return notes + (overlap.notes if overlap is not None else [])
