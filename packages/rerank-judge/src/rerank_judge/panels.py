"""Panels: several judges' labels or scores combined into one judge's.

A judge that does not know a pair abstains, and a pair that none of them knows is unknown to the panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

import numpy as np
from ir_shared.console import UserError

from rerank_judge.collection import BoolArray, Collection, FloatArray
from rerank_judge.families import Families
from rerank_judge.labeling import Coverage, LabelSet, ScoreSet
from rerank_judge.leaderboard import Board, BoardOptions, leaderboard
from rerank_judge.metrics import DEFAULT_METRICS, Metric

__all__ = ["Ties", "leave_family_out", "leave_family_out_board", "majority", "mean_log_odds", "tied_votes"]

Ties = Literal["relevant", "non-relevant"]
"""What a pair is that as many members call relevant as not; "relevant" follows the rule probability >= 0.5."""
_LARGEST_LOG_ODDS = 40.0
"""A probability of 0 or 1 counts as this log-odds, beyond which float64 cannot tell it from 0 or 1."""


def majority(
    collection: Collection, members: Sequence[LabelSet], *, ties: Ties = "relevant", name: str = "majority"
) -> LabelSet:
    """The label that most members give.

    Args:
        collection: the pairs.
        members: the judges' labels, grades binarised at each one's own grade.
        ties: what decides where votes are equal.
        name: the panel's name.

    Raises:
        UserError: there are no members.
    """
    for_, against = _votes(members)
    relevant = for_ >= against if ties == "relevant" else for_ > against
    known = for_ + against > 0
    return LabelSet(name, (relevant & known).astype(np.int64), known, 1, _coverage(collection, known))


def tied_votes(members: Sequence[LabelSet]) -> int:
    """How many pairs have equal votes, so that ``ties`` decides them.

    Raises:
        UserError: there are no members.
    """
    for_, against = _votes(members)
    return int(((for_ == against) & (for_ > 0)).sum())


def mean_log_odds(collection: Collection, members: Sequence[ScoreSet], *, name: str = "mean of log-odds") -> ScoreSet:
    """The mean of the members' log-odds, which decides at 0 as each of them does.

    Equal weights: judges that are surer than others count for more. A probability of exactly 0 or 1 counts as
    log-odds -40 or 40.

    Args:
        collection: the pairs.
        members: the judges' probabilities or log-odds.
        name: the panel's name.

    Raises:
        UserError: there are no members, or one has logits, which do not say where its decision lies.
    """
    _require_members(members)
    logits = [member.name for member in members if member.scale == "logit"]
    if logits:
        raise UserError(
            f"{', '.join(logits)}: logits have no decision of their own and no scale in common with others; "
            "label them at a threshold and take the majority"
        )
    known = np.stack([member.known for member in members])
    odds = np.where(known, np.stack([_log_odds(member) for member in members]), 0.0)
    voters = known.sum(axis=0)
    scores = np.where(voters > 0, odds.sum(axis=0) / np.maximum(voters, 1), -np.inf)
    return ScoreSet(name, scores, voters > 0, "log-odds", _coverage(collection, voters > 0))


def leave_family_out(members: Sequence[LabelSet], families: Families, family: str) -> list[LabelSet]:
    """The members outside a family.

    Raises:
        UserError: nobody is left.
    """
    left = [member for member in members if families.of(member.name) != family]
    if not left:
        raise UserError(f"a panel without {family} has no members; add a judge of another family")
    return left


def leave_family_out_board(
    collection: Collection,
    members: Sequence[LabelSet],
    families: Families,
    metrics: Sequence[str | Metric] = DEFAULT_METRICS,
    *,
    ties: Ties = "relevant",
    **board: Unpack[BoardOptions],
) -> Board:
    """Each system evaluated by the majority of the judges that are not of its family.

    No system is judged by its own kind; in return, systems of different families meet different panels, and these may
    differ in leniency. Systems without a family meet the whole panel.

    Args:
        collection: pairs and runs.
        members: the judges' labels.
        families: which judges and systems belong together.
        metrics: names such as "AP@100".
        ties: what decides where votes are equal.
        board: the options of a leaderboard.

    Raises:
        UserError: a family leaves no judge.
    """
    groups = families.groups(collection.systems)
    values: FloatArray | None = None
    whole = None
    for family, systems in groups.items():
        panel = leave_family_out(members, families, family) if family in families.members else members
        whole = leaderboard(collection, majority(collection, panel, ties=ties), metrics, **board)
        values = np.empty_like(whole.values) if values is None else values
        values[systems] = whole.values[systems]
    if whole is None or values is None:
        raise UserError("a leaderboard needs runs, but the collection has none; give run files")
    return Board("panel without own family", whole.metrics, whole.systems, whole.topics, values)


def _votes(members: Sequence[LabelSet]) -> tuple[FloatArray, FloatArray]:
    _require_members(members)
    known = np.stack([member.known for member in members])
    relevant = np.stack([member.relevant for member in members])
    for_ = relevant.sum(axis=0, dtype=np.float64)
    return for_, known.sum(axis=0, dtype=np.float64) - for_


def _require_members(members: Sequence[LabelSet] | Sequence[ScoreSet]) -> None:
    if not members:
        raise UserError("a panel needs at least one judge")


def _log_odds(scores: ScoreSet) -> FloatArray:
    if scores.scale == "log-odds":
        return np.clip(scores.scores, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
    p = np.clip(scores.scores, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        odds: FloatArray = np.log(p) - np.log1p(-p)
    return np.clip(odds, -_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)


def _coverage(collection: Collection, known: BoolArray) -> Coverage:
    human, shared = int(collection.judged.sum()), int((known & collection.judged).sum())
    return Coverage(human, shared, human - shared, int((known & ~collection.judged).sum()))
