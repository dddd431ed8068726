"""A judge's scores and labels, aligned to the pairs of a collection, and the two ways from a score to a label.

*Direct generation* takes the model's own decision, probability >= 0.5 or log-odds >= 0; *score thresholding* labels a
pair relevant where its score is at least a threshold.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from ir_shared.console import DataWarning, UserError
from jaxtyping import Bool, Float64, Int64

from rerank_judge.collection import BoolArray, Collection, FloatArray, IntArray

__all__ = [
    "SCALES",
    "Coverage",
    "LabelSet",
    "OnMissing",
    "Scale",
    "ScoreSet",
    "align_labels",
    "align_scores",
    "as_scale",
    "detect_scale",
    "direct",
    "human_labels",
    "same_scale",
    "threshold",
]

OnMissing = Literal["error", "skip", "non-relevant"]
Scale = Literal["probability", "log-odds", "logit"]
"""What a score is: a probability, a log-odds with its decision at 0, or a number without a decision of its own."""
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True)
class Coverage:
    """How a judge's pairs meet the human ones.

    Attributes:
        human: pairs that humans judged.
        shared: of these, pairs that the judge has too.
        missing: of these, pairs that it lacks.
        extra: pairs that only the judge has.
    """

    human: int
    shared: int
    missing: int
    extra: int

    def __str__(self) -> str:
        return f"{self.shared} of {self.human} human pairs ({self.missing} missing, {self.extra} extra)"


@dataclass(frozen=True, eq=False)
class ScoreSet:
    """A judge's scores for the pairs of a collection.

    Attributes:
        name: the judge.
        scores: score of each pair, -inf where ``known`` is false or a missing pair counts as not relevant, [N].
        known: whether the pair takes part, [N].
        scale: what the scores are.
        coverage: how the judge's pairs meet the human ones.
    """

    name: str
    scores: Float64[FloatArray, " pairs"]
    known: Bool[BoolArray, " pairs"]
    scale: Scale
    coverage: Coverage

    @property
    def direct_threshold(self) -> float | None:
        """The threshold of the judge's own decision; None where it makes none."""
        return {"probability": 0.5, "log-odds": 0.0, "logit": None}[self.scale]


@dataclass(frozen=True, eq=False)
class LabelSet:
    """A judge's labels for the pairs of a collection.

    Attributes:
        name: the judge.
        labels: grade of each pair, 0 where ``known`` is false, [N].
        known: whether the pair takes part, [N]; the others are unjudged for this judge.
        binarize_at: lowest grade that counts as relevant, 1 for binary labels.
        coverage: how the judge's pairs meet the human ones.
    """

    name: str
    labels: Int64[IntArray, " pairs"]
    known: Bool[BoolArray, " pairs"]
    binarize_at: int
    coverage: Coverage

    @property
    def relevant(self) -> Bool[BoolArray, " pairs"]:
        """Whether the judge labels the pair relevant, [N]."""
        return self.known & (self.labels >= self.binarize_at)


def human_labels(collection: Collection) -> LabelSet:
    """The human judgements of a collection in the form of a judge's."""
    n = int(collection.judged.sum())
    return LabelSet("human", collection.grades, collection.judged, collection.binarize_at, Coverage(n, n, 0, 0))


def align_scores(
    collection: Collection,
    scores: Mapping[str, Mapping[str, float]],
    name: str,
    *,
    on_missing: OnMissing = "error",
    scale: Scale | Literal["auto"] = "auto",
) -> ScoreSet:
    """Brings a judge's scores to the order of the collection's pairs.

    Args:
        collection: the pairs.
        scores: score by qid and docid; pairs outside the collection are counted and ignored.
        name: the judge's name, for messages.
        on_missing: what becomes of human pairs without a score.
        scale: what the scores are; "auto" asks :func:`detect_scale`.

    Raises:
        UserError: human pairs are missing and ``on_missing`` is "error", a score is NaN, no pair is shared, or the
            scores cannot be of the scale.
    """
    values, found, coverage = _align(collection, scores, name, on_missing)
    aligned = np.where(found, values, -np.inf)
    if np.isnan(aligned).any():
        raise UserError(
            f"{name}: {int(np.isnan(aligned).sum())} score(s) are NaN; score these pairs again or leave them out"
        )
    known = found if on_missing == "skip" else found | collection.judged
    detected = ScoreSet(name, aligned, known, detect_scale(aligned[found]), coverage)
    return detected if scale == "auto" else as_scale(detected, scale)


def align_labels(
    collection: Collection,
    labels: Mapping[str, Mapping[str, int]],
    name: str,
    *,
    binarize_at: int = 1,
    on_missing: OnMissing = "error",
) -> LabelSet:
    """Brings a judge's labels to the order of the collection's pairs; arguments and errors as :func:`align_scores`.

    Args:
        collection: the pairs.
        labels: grade by qid and docid.
        name: the judge's name, for messages.
        binarize_at: lowest grade of this judge that counts as relevant.
        on_missing: what becomes of human pairs without a label.
    """
    values, found, coverage = _align(collection, labels, name, on_missing)
    known = found if on_missing == "skip" else found | collection.judged
    aligned = LabelSet(name, values.astype(np.int64), known, binarize_at, coverage)
    if not aligned.relevant.any():
        highest = int(aligned.labels[found].max())
        message = (
            f"{name}: no positives after binarisation: the highest grade is {highest}, and relevant means "
            f">= {binarize_at}; binary labels need --binarize-judge 1"
        )
        warnings.warn(message, DataWarning, stacklevel=2)
    return aligned


def detect_scale(scores: Float64[FloatArray, " pairs"]) -> Scale:
    """Takes scores that all lie in [0, 1] for probabilities, any others for logits, which decide nothing themselves."""
    return "probability" if len(scores) and scores.min() >= 0 and scores.max() <= 1 else "logit"


def as_scale(scores: ScoreSet, scale: Scale) -> ScoreSet:
    """The same scores taken for another scale; warns where log-odds look like probabilities.

    Raises:
        UserError: they cannot be probabilities, because some lie outside [0, 1].
    """
    given = scores.scores[scores.known & np.isfinite(scores.scores)]
    within = detect_scale(given) == "probability"
    if scale == "probability" and len(given) and not within:
        raise UserError(
            f"{scores.name}: scores from {given.min():g} to {given.max():g} are no probabilities; "
            "say --scale log-odds or logit"
        )
    if scale == "log-odds" and within:
        message = f"{scores.name}: called log-odds, but all scores lie in [0, 1] as probabilities do"
        warnings.warn(message, DataWarning, stacklevel=2)
    return replace(scores, scale=scale)


def same_scale(a: Scale, b: Scale) -> bool:
    """Whether a threshold means the same on both: logits and log-odds are one scale, of which only 0 may mean more."""
    return (a == "probability") == (b == "probability")


def direct(scores: ScoreSet) -> LabelSet:
    """The judge's own decisions: probability >= 0.5, log-odds >= 0.

    Raises:
        UserError: the scores are logits, which have no decision of their own.
    """
    decision = scores.direct_threshold
    if decision is None:
        raise UserError(
            f"{scores.name}: these scores are not probabilities, so they hold no decision of their own; "
            "give a threshold, or say --scale log-odds if 0 is the model's decision"
        )
    return threshold(scores, decision)


def threshold(scores: ScoreSet, at: float) -> LabelSet:
    """Labels 1 where the score is at least ``at``, else 0.

    Warns where ``at`` and the scores seem to be on different scales, or where all labels come out equal.

    Raises:
        UserError: ``at`` is NaN.
    """
    if np.isnan(at):
        raise UserError(f"{scores.name}: the threshold is NaN")
    labels = (scores.known & (scores.scores >= at)).astype(np.int64)
    given = scores.scores[scores.known & np.isfinite(scores.scores)]
    _warn_scale(scores, given, at)
    return LabelSet(scores.name, labels, scores.known, 1, scores.coverage)


def _warn_scale(scores: ScoreSet, given: FloatArray, at: float) -> None:
    if not len(given):
        return
    problem = None
    if at == 0.5 and scores.scale == "logit":
        problem = "threshold 0.5 on scores that are not probabilities; the decision of a log-odds is at 0"
    elif at == 0.0 and scores.scale == "probability":
        problem = "threshold 0 on probabilities labels every pair relevant; the decision of a probability is at 0.5"
    elif not given.min() < at <= given.max():
        problem = (
            f"threshold {at:g} is outside the scores ({given.min():g} to {given.max():g}), so all labels are equal"
        )
    if problem:
        warnings.warn(f"{scores.name}: {problem}", DataWarning, stacklevel=3)


def _align(
    collection: Collection, values: Mapping[str, Mapping[str, float]], name: str, on_missing: OnMissing
) -> tuple[FloatArray, BoolArray, Coverage]:
    empty: Mapping[str, float] = {}
    given = [values.get(qid, empty).get(docid) for qid, docid in collection.pairs()]
    found = np.array([value is not None for value in given], dtype=np.bool_)
    missing = np.flatnonzero(collection.judged & ~found)
    shared = int((collection.judged & found).sum())
    total = sum(len(docs) for docs in values.values())
    coverage = Coverage(int(collection.judged.sum()), shared, len(missing), total - shared)
    if not shared:
        raise UserError(f"{name}: shares no pair with the human judgements; qids and docids are compared as text")
    if len(missing) and on_missing == "error":
        pairs = list(collection.pairs())
        shown = ", ".join(" ".join(pairs[i]) for i in missing[:3]) + (", …" if len(missing) > 3 else "")
        raise UserError(
            f"{name}: {len(missing)} of {coverage.human} human pairs are missing ({shown}); "
            "complete the file, or use --on-missing skip or non-relevant"
        )
    return np.array([0.0 if value is None else value for value in given], dtype=np.float64), found, coverage
