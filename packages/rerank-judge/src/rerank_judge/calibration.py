"""Selecting a threshold on one collection, so that it can be applied to another.

A selection evaluates the target (kappa, or the tau of a metric's system ordering) at all thresholds of a grid and takes
the best by the plateau rule. What is carried over is the number itself, whether or not the other collection's grid has
it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from ir_shared.console import UserError
from ir_shared.run_dir import read_json, write_json
from jaxtyping import Bool, Float64

from rerank_judge.collection import BoolArray, Collection, FloatArray, require_ordering
from rerank_judge.grids import ThresholdGrid, prevalence_threshold
from rerank_judge.kappa_curve import kappa_at
from rerank_judge.labeling import SCALES, Scale, ScoreSet, human_labels
from rerank_judge.leaderboard import BoardOptions, leaderboard
from rerank_judge.metrics import parse_metric
from rerank_judge.ordering import tau_b_many
from rerank_judge.plateau import TieBreak, best_plateau
from rerank_judge.sweep import sweep

__all__ = [
    "KAPPA",
    "Selection",
    "best_selection",
    "parse_target",
    "read_calibration",
    "select_threshold",
    "target_values",
    "threshold_for",
    "write_calibration",
]

KAPPA = "kappa"
_FORMAT = "rerank-judge calibration 1"


@dataclass(frozen=True)
class Selection:
    """A selected threshold and how it came about.

    Attributes:
        judge: the judge.
        scale: what its scores are.
        target: "kappa" or "tau:METRIC".
        grid: the grid, as :meth:`ThresholdGrid.parse` reads it.
        tie_break: how equally good thresholds were decided.
        threshold: the threshold.
        value: what it attains on the collection it was selected on: in-sample, not a result.
        plateau: lowest and highest threshold of the plateau it lies on.
        n_best: thresholds that attain the value, on any plateau.
        n_candidates: thresholds in the grid.
        positive_rate: share of the pairs that humans call relevant, which ``prevalence`` carries over.
    """

    judge: str
    scale: Scale
    target: str
    grid: str
    tie_break: TieBreak
    threshold: float
    value: float
    plateau: tuple[float, float]
    n_best: int
    n_candidates: int
    positive_rate: float


def parse_target(text: str) -> str:
    """The canonical form of a target: "kappa", or "tau:" and a metric.

    Raises:
        UserError: anything else.
    """
    name, _, metric = text.strip().partition(":")
    if name == KAPPA and not metric:
        return KAPPA
    if name == "tau" and metric:
        return f"tau:{parse_metric(metric)}"
    raise UserError(f"unknown target {text!r}; use kappa or tau:METRIC, for example tau:AP@100")


def select_threshold(
    collection: Collection,
    scores: ScoreSet,
    target: str = KAPPA,
    grid: ThresholdGrid | str = "exact",
    *,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> Selection:
    """Selects the threshold that is best for a target on this collection.

    Args:
        collection: the source, with human grades and, for tau, at least three runs.
        scores: the judge's scores for its pairs.
        target: "kappa" or "tau:METRIC".
        grid: which thresholds to choose from.
        tie_break: see :func:`~rerank_judge.plateau.best_plateau`.
        board: for tau, the options of a leaderboard.

    Raises:
        UserError: the target is undefined at every threshold, or the collection lacks what the target needs.
    """
    target = parse_target(target)
    grid = ThresholdGrid.parse(grid) if isinstance(grid, str) else grid
    both = collection.judged & scores.known
    rate = float(collection.relevant[both].mean())
    thresholds = grid.thresholds(scores, rate)
    values = target_values(collection, scores, thresholds, target, **board)
    if np.isnan(values).all():
        why = "all labels are of one class" if target == KAPPA else "all systems tie"
        raise UserError(
            f"{scores.name}: {target} is undefined at all {len(values)} thresholds ({why}); nothing can be selected"
        )
    return best_selection(scores, both, thresholds, values, target, grid, tie_break, rate)


def best_selection(
    scores: ScoreSet,
    kept: Bool[BoolArray, " pairs"],
    thresholds: Float64[FloatArray, " thresholds"],
    values: Float64[FloatArray, " thresholds"],
    target: str,
    grid: ThresholdGrid,
    tie_break: TieBreak,
    positive_rate: float,
) -> Selection:
    """The best of thresholds whose values are known, by the plateau rule.

    Args:
        scores: the judge's scores.
        kept: the pairs that take part; the median of their scores decides where the judge makes no decision itself.
        thresholds: the candidates.
        values: what each attains; not all NaN.
        target: "kappa" or "tau:METRIC".
        grid: where the candidates are from.
        tie_break: see :func:`~rerank_judge.plateau.best_plateau`.
        positive_rate: share of the kept pairs that humans call relevant.
    """
    anchor = scores.direct_threshold
    if anchor is None:
        anchor = float(np.median(scores.scores[kept & np.isfinite(scores.scores)]))
    best = best_plateau(thresholds, values, tie_break=tie_break, anchor=anchor)
    return Selection(
        judge=scores.name,
        scale=scores.scale,
        target=target,
        grid=str(grid.resolve(scores.scale)),
        tie_break=tie_break,
        threshold=best.threshold,
        value=best.value,
        plateau=(best.low, best.high),
        n_best=best.n_best,
        n_candidates=len(thresholds),
        positive_rate=positive_rate,
    )


def target_values(
    collection: Collection,
    scores: ScoreSet,
    thresholds: Float64[FloatArray, " thresholds"],
    target: str,
    **board: Unpack[BoardOptions],
) -> Float64[FloatArray, " thresholds"]:
    """The target at each threshold, NaN where undefined, [n]; arguments and errors as :func:`select_threshold`."""
    target = parse_target(target)
    if target == KAPPA:
        both = collection.judged & scores.known
        return kappa_at(collection.relevant[both], scores.scores[both], thresholds)
    require_ordering(collection.systems)
    metric = target.removeprefix("tau:")
    human = leaderboard(collection, human_labels(collection), [metric], **board)
    judge = sweep(collection, scores, thresholds, [metric], **board)
    return tau_b_many(human.mean(metric), judge[:, :, 0])


def threshold_for(selection: Selection, scores: ScoreSet) -> float:
    """The threshold a selection means for other scores: its number, or the one that keeps the share (prevalence)."""
    if selection.grid != "prevalence":
        return selection.threshold
    return prevalence_threshold(scores.scores[scores.known & np.isfinite(scores.scores)], selection.positive_rate)


def write_calibration(path: str | Path, selection: Selection, provenance: dict[str, Any]) -> None:
    """Writes a selection with the hashes of the files it was made from, for :func:`read_calibration`."""
    write_json(path, {"format": _FORMAT, "selection": selection, "provenance": provenance})


def read_calibration(path: str | Path) -> tuple[Selection, dict[str, Any]]:
    """Reads what :func:`write_calibration` wrote: the selection and its provenance.

    Raises:
        UserError: the file is missing or no calibration.
    """
    document = read_json(path)
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise UserError(f"{path}: not a calibration; make one with 'rerank-judge calibrate'")
    try:
        fields = dict(document["selection"])
        fields["plateau"] = tuple(fields["plateau"])
        selection = Selection(**fields)
        if selection.scale not in SCALES or not np.isfinite([selection.threshold, selection.positive_rate]).all():
            raise ValueError("a scale or number that is none")
        return selection, dict(document["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: the calibration is damaged ({error}); make it again with 'rerank-judge calibrate'"
        ) from error
