"""Thresholds tested without another collection, or with several: topic-wise k-fold, and leaving one collection out.

With few judged topics and no second collection, :func:`cross_validate` selects the threshold on some topics and labels
the others, so that every label comes from a threshold that its topic had no part in. With several collections,
:func:`leave_one_out` selects on all but one: kappa pooled over their pairs, tau averaged over the collections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Int64

from rerank_judge.calibration import (
    KAPPA,
    Selection,
    best_selection,
    parse_target,
    select_threshold,
    target_values,
    threshold_for,
)
from rerank_judge.collection import BoolArray, Collection, FloatArray, IndexArray, IntArray
from rerank_judge.grids import ThresholdGrid
from rerank_judge.judged import JudgedCollection
from rerank_judge.kappa_curve import kappa_at
from rerank_judge.labeling import Coverage, LabelSet, ScoreSet
from rerank_judge.leaderboard import BoardOptions
from rerank_judge.plateau import TieBreak
from rerank_judge.transfer import direct_value, value_at

__all__ = ["CrossValidation", "LeftOut", "cross_validate", "leave_one_out", "take_topics", "topic_folds"]


@dataclass(frozen=True)
class CrossValidation:
    """What k-fold calibration finds.

    Attributes:
        judge: the judge.
        target: "kappa" or "tau:METRIC".
        folds: qids of each fold.
        selections: for each fold, the threshold selected on the other folds; its value is in-sample.
        value: the target for the labels of all folds together, each made with its fold's threshold.
        labels: these labels.
    """

    judge: str
    target: str
    folds: tuple[tuple[str, ...], ...]
    selections: tuple[Selection, ...]
    value: float
    labels: LabelSet

    def to_json(self) -> dict[str, Any]:
        """All but the labels."""
        return {
            "judge": self.judge,
            "target": self.target,
            "value": self.value,
            "thresholds": [selection.threshold for selection in self.selections],
            "in_sample": [selection.value for selection in self.selections],
            "folds": self.folds,
        }


@dataclass(frozen=True)
class LeftOut:
    """A threshold selected on all collections but one.

    Attributes:
        to: the collection left out.
        sources: the others.
        selection: the threshold; its value is the pooled kappa or the mean tau of the sources, in-sample.
        threshold: the threshold applied.
        value: the target there; None where that collection has no runs for it.
    """

    to: str
    sources: tuple[str, ...]
    selection: Selection
    threshold: float
    value: float | None


def topic_folds(n_topics: int, k: int, seed: int = 0) -> list[Int64[IntArray, " topics"]]:
    """Places of the topics in k folds whose sizes differ by one at most, shuffled.

    Raises:
        UserError: fewer than two folds, or more folds than topics.
    """
    if not 2 <= k <= n_topics:
        raise UserError(f"{k} folds of {n_topics} topics: give at least 2 folds and at most one for each topic")
    order = np.random.default_rng(seed).permutation(n_topics)
    return [np.sort(order[i::k]) for i in range(k)]


def cross_validate(
    collection: Collection,
    scores: ScoreSet,
    target: str = KAPPA,
    grid: ThresholdGrid | str = "exact",
    *,
    k: int = 5,
    seed: int = 0,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> CrossValidation:
    """Calibrates inside one collection, topic by topic held out.

    Args:
        collection: the pairs, with runs for a target tau:METRIC.
        scores: the judge's scores.
        target: "kappa" or "tau:METRIC".
        grid: which thresholds to choose from.
        k: number of folds.
        seed: seed of the assignment of topics to folds.
        tie_break: see :func:`~rerank_judge.plateau.best_plateau`.
        board: for tau, the options of a leaderboard.

    Raises:
        UserError: too few topics, or nothing can be selected without a fold.
    """
    folds = topic_folds(len(collection.topics), k, seed)
    labels = np.zeros(collection.n_pairs, dtype=np.int64)
    selections = []
    for fold in folds:
        rest = np.setdiff1d(np.arange(len(collection.topics)), fold)
        selection = select_threshold(*take_topics(collection, scores, rest), target, grid, tie_break=tie_break, **board)
        held_out = np.isin(collection.pair_topic, fold)
        kept = replace(scores, known=scores.known & held_out)
        labels[held_out & scores.known & (scores.scores >= threshold_for(selection, kept))] = 1
        selections.append(selection)
    judge = LabelSet(scores.name, labels, scores.known, 1, scores.coverage)
    value = direct_value(JudgedCollection("folds", collection, {scores.name: judge}), scores.name, target, **board)
    assert value is not None, "a target that could be selected on can be evaluated"
    named = tuple(tuple(collection.topics[t] for t in fold) for fold in folds)
    return CrossValidation(scores.name, parse_target(target), named, tuple(selections), value, judge)


def leave_one_out(
    collections: Sequence[JudgedCollection],
    judge: str,
    target: str = KAPPA,
    grid: ThresholdGrid | str = "exact",
    *,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> list[LeftOut]:
    """For each collection, the threshold selected on all others and what it attains there.

    A threshold at which tau is undefined in one source is never selected. Sources without the runs that tau needs are
    left out of the selection.

    Args:
        collections: at least two.
        judge: a judge with scores in all of them.
        target: "kappa" or "tau:METRIC".
        grid: which thresholds to choose from.
        tie_break: see :func:`~rerank_judge.plateau.best_plateau`.
        board: for tau, the options of a leaderboard.

    Raises:
        UserError: fewer than two collections, a judge without scores in one, or nothing can be selected.
    """
    if len(collections) < 2:
        raise UserError(f"leaving one collection out needs at least two, found {len(collections)}")
    target = parse_target(target)
    grid = ThresholdGrid.parse(grid) if isinstance(grid, str) else grid
    found = []
    for to in collections:
        sources = [one for one in collections if one is not to and (target == KAPPA or one.collection.systems)]
        if not sources:
            raise UserError(f"{target}: no collection but {to.name} has runs to select a threshold with")
        selection = _select_jointly(sources, judge, target, grid, tie_break, **board)
        threshold = threshold_for(selection, _scores(to, judge))
        value = value_at(to, judge, threshold, target, **board)
        found.append(LeftOut(to.name, tuple(one.name for one in sources), selection, threshold, value))
    return found


def take_topics(
    collection: Collection, scores: ScoreSet, topics: Int64[IntArray, " chosen"]
) -> tuple[Collection, ScoreSet]:
    """The part of a collection, and of a judge's scores, that some topics make up; places in ascending order."""
    pairs = np.isin(collection.pair_topic, topics)
    sizes = np.diff(collection.offsets)[topics]
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    shift = (collection.offsets[topics] - offsets[:-1]).astype(np.int32)
    part = replace(
        collection,
        topics=tuple(collection.topics[t] for t in topics),
        docids=tuple(docid for docid, kept in zip(collection.docids, pairs, strict=True) if kept),
        offsets=offsets,
        grades=collection.grades[pairs],
        judged=collection.judged[pairs],
        runs=_shift(collection.runs[:, topics], shift),
        file_cut=_shift(collection.file_cut[:, topics], shift),
    )
    judged, shared = int(part.judged.sum()), int((part.judged & scores.known[pairs]).sum())
    coverage = Coverage(judged, shared, judged - shared, 0)
    return part, replace(scores, scores=scores.scores[pairs], known=scores.known[pairs], coverage=coverage)


def _shift(lists: IndexArray, shift: IndexArray) -> IndexArray:
    """Lists [S, T, K] whose pairs moved down by ``shift`` [T]."""
    return np.where(lists >= 0, lists - shift[None, :, None], lists).astype(np.int32)


def _scores(judged: JudgedCollection, judge: str) -> ScoreSet:
    scores = judged.judges.get(judge)
    if not isinstance(scores, ScoreSet):
        raise UserError(f"{judge}: has no scores in {judged.name}, so no threshold can be selected or applied there")
    return scores


def _select_jointly(
    sources: Sequence[JudgedCollection],
    judge: str,
    target: str,
    grid: ThresholdGrid,
    tie_break: TieBreak,
    **board: Unpack[BoardOptions],
) -> Selection:
    parts = [_scores(source, judge) for source in sources]
    if len({part.scale for part in parts}) > 1:
        raise UserError(f"{judge}: its scores are of different scales; say which with --scale")
    both = [source.collection.judged & part.known for source, part in zip(sources, parts, strict=True)]
    human = np.concatenate([s.collection.relevant[kept] for s, kept in zip(sources, both, strict=True)])
    values = np.concatenate([part.scores[kept] for part, kept in zip(parts, both, strict=True)])
    total = Coverage(len(human), len(human), 0, 0)
    joint = ScoreSet(judge, values, np.ones(len(values), dtype=np.bool_), parts[0].scale, total)
    rate = float(human.mean())
    thresholds = grid.thresholds(joint, rate)
    attained = _attained(sources, parts, target, thresholds, human, values, **board)
    if np.isnan(attained).all():
        names = ", ".join(source.name for source in sources)
        raise UserError(f"{judge}: {target} is undefined at all {len(thresholds)} thresholds on {names}")
    return best_selection(joint, joint.known, thresholds, attained, target, grid, tie_break, rate)


def _attained(
    sources: Sequence[JudgedCollection],
    parts: Sequence[ScoreSet],
    target: str,
    thresholds: FloatArray,
    human: BoolArray,
    values: FloatArray,
    **board: Unpack[BoardOptions],
) -> FloatArray:
    if target == KAPPA:
        return kappa_at(human, values, thresholds)
    each = [target_values(s.collection, p, thresholds, target, **board) for s, p in zip(sources, parts, strict=True)]
    return np.asarray(np.mean(each, axis=0), dtype=np.float64)
