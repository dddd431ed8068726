"""Thresholds selected on one collection and applied to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from ir_shared.console import UserError

from rerank_judge.agreement import agree
from rerank_judge.calibration import KAPPA, Selection, parse_target, select_threshold, target_values, threshold_for
from rerank_judge.collection import Collection
from rerank_judge.grids import ThresholdGrid
from rerank_judge.judged import JudgedCollection
from rerank_judge.labeling import LabelSet, ScoreSet, human_labels, same_scale
from rerank_judge.leaderboard import BoardOptions, leaderboard
from rerank_judge.ordering import tau_b
from rerank_judge.plateau import TieBreak

__all__ = ["Transferred", "direct_value", "shared_judges", "transfer", "value_at"]


@dataclass(frozen=True)
class Transferred:
    """A threshold selected on one collection and what it attains on another.

    Attributes:
        source: name of the collection it was selected on.
        to: name of the collection it was applied to.
        selection: the threshold and how it was selected; its value is in-sample.
        threshold: the threshold applied.
        value: the target's value there; None where that collection has no runs for it, NaN where it is undefined.
        in_sample: whether both collections hold the same judgements, so that the value is no evidence of transfer.
    """

    source: str
    to: str
    selection: Selection
    threshold: float
    value: float | None
    in_sample: bool


def transfer(
    source: JudgedCollection,
    to: JudgedCollection,
    judge: str,
    target: str = KAPPA,
    grid: ThresholdGrid | str = "exact",
    *,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> Transferred:
    """Selects a judge's threshold on ``source`` and applies the number itself to ``to``.

    Arguments as :func:`~rerank_judge.calibration.select_threshold`.

    Raises:
        UserError: the judge has no scores in one of them or scores of two scales, or nothing can be selected.
    """
    scores, others = source.judges.get(judge), to.judges.get(judge)
    if not isinstance(scores, ScoreSet) or not isinstance(others, ScoreSet):
        raise UserError(f"{judge}: no scores in both {source.name} and {to.name}, so no threshold can be carried over")
    if not same_scale(scores.scale, others.scale):
        raise UserError(
            f"{judge}: scores look like {scores.scale} in {source.name} and {others.scale} in {to.name}, "
            f"so no threshold can be carried over; say --scale {judge}=logit or log-odds if they are the same"
        )
    selection = select_threshold(source.collection, scores, target, grid, tie_break=tie_break, **board)
    threshold = threshold_for(selection, others)
    value = value_at(to, judge, threshold, target, **board)
    return Transferred(source.name, to.name, selection, threshold, value, _same(source.collection, to.collection))


def shared_judges(source: JudgedCollection, to: JudgedCollection) -> list[str]:
    """Judges that both collections know by one name.

    Raises:
        UserError: there is none.
    """
    shared = [judge for judge in source.judges if judge in to.judges]
    if not shared:
        names = f"{', '.join(source.judges)} against {', '.join(to.judges)}"
        raise UserError(f"{source.name} and {to.name} share no judge ({names}); give a judge's files one name")
    return shared


def value_at(
    judged: JudgedCollection, judge: str, threshold: float, target: str = KAPPA, **board: Unpack[BoardOptions]
) -> float | None:
    """The target for a judge's scores at a threshold; None for labels, or where the collection has no runs for it."""
    scores = judged.judges[judge]
    if isinstance(scores, LabelSet) or not _has_runs_for(judged, target):
        return None
    return float(target_values(judged.collection, scores, np.array([threshold]), target, **board)[0])


def direct_value(
    judged: JudgedCollection, judge: str, target: str = KAPPA, **board: Unpack[BoardOptions]
) -> float | None:
    """The target for a judge's labels, or its own decisions on scores; None where it makes none, or without runs."""
    known = judged.judges[judge]
    if isinstance(known, ScoreSet):
        decision = known.direct_threshold
        return None if decision is None else value_at(judged, judge, decision, target, **board)
    if not _has_runs_for(judged, target):
        return None
    if parse_target(target) == KAPPA:
        return agree(judged.collection, known).confusion.kappa
    metric = target.removeprefix("tau:")
    boards = [
        leaderboard(judged.collection, labels, [metric], **board) for labels in (human_labels(judged.collection), known)
    ]
    return tau_b(boards[0].mean(metric), boards[1].mean(metric))[0]


def _has_runs_for(judged: JudgedCollection, target: str) -> bool:
    return parse_target(target) == KAPPA or bool(judged.collection.systems)


def _same(a: Collection, b: Collection) -> bool:
    return a.topics == b.topics and a.docids == b.docids and np.array_equal(a.grades, b.grades)
