"""Holes: documents that systems retrieve and humans did not judge, and what can be done about them.

A leaderboard counts them as not relevant, for humans and judges alike. A system that retrieves what the pool lacks is
thereby pushed down, whoever judges. Two variants show how much of a finding is an effect of the pool: lists without the
unjudged documents, and holes that a judge fills.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64

from rerank_judge.collection import ABSENT, UNJUDGED, BoolArray, Collection, FloatArray, IndexArray
from rerank_judge.labeling import LabelSet, human_labels
from rerank_judge.leaderboard import leaderboard

__all__ = ["JUDGED_AT", "Holes", "condense", "fill_holes", "judged_shares", "on_judged"]

Holes = Literal["raw", "condensed", "filled"]
"""Unjudged documents count as not relevant, are taken out of the lists, or have the judge's label for both sides."""
JUDGED_AT = (10, 100)
"""The cut-offs of judged@k that stand beside every figure."""


def condense(collection: Collection) -> Collection:
    """The same collection with lists from which every document that no human judged is taken out.

    A list keeps at most as many documents as the collection holds of it, so load deeper lists than the metric looks at:
    ``Collection.load(..., depth=1000)`` for AP@100. Lists "cut in file order" are cut in trec_eval's order here.
    """
    runs = _without_holes(collection.runs, collection.judged)
    width = collection.file_cut.shape[2]
    cut = np.full_like(collection.file_cut, ABSENT)
    cut[:, :, : min(width, runs.shape[2])] = runs[:, :, :width]
    return replace(collection, runs=runs, file_cut=cut)


def fill_holes(collection: Collection, labels: LabelSet) -> tuple[LabelSet, LabelSet]:
    """The human labels and a judge's where the judge's labels stand in for the humans' wherever these are missing.

    Both sides agree on the filled pairs, so what differs between them comes from pairs that both judged.

    Args:
        collection: a collection with pairs that no human judged (``extra_pairs``).
        labels: the judge's labels, for such pairs too.

    Raises:
        UserError: the judge knows no pair that the humans do not.
    """
    filled = labels.known & ~collection.judged
    if not filled.any():
        raise UserError(
            f"{labels.name}: labels no pair that humans did not judge, so there is no hole it could fill; "
            "score the runs' unjudged documents with it (pool --holes) and give them"
        )
    human = human_labels(collection)
    stand_in = np.where(labels.relevant, collection.binarize_at, 0)
    grades = np.where(filled, stand_in, human.labels)
    return replace(human, labels=grades, known=human.known | filled), labels


def on_judged(collection: Collection, labels: LabelSet) -> LabelSet:
    """A judge's labels without those of pairs that no human judged."""
    return replace(labels, known=labels.known & collection.judged)


def judged_shares(collection: Collection) -> Float64[FloatArray, "systems 2"]:
    """Share of each system's top 10 and top 100 that humans judged, mean over topics, [S, 2].

    Lists that the collection holds less deep than 100 are looked at as far as they go.
    """
    names = [f"judged@{min(k, collection.depth)}" for k in JUDGED_AT]
    return leaderboard(collection, human_labels(collection), names).means


def _without_holes(lists: IndexArray, judged: BoolArray) -> IndexArray:
    """Lists [S, T, K] with the judged documents moved to the front, in order, and nothing behind them."""
    hole = (lists == UNJUDGED) | ((lists >= 0) & ~judged[np.maximum(lists, 0)])
    gone = np.where(hole, ABSENT, lists)
    order = np.argsort(gone == ABSENT, axis=2, kind="stable")
    return np.take_along_axis(gone, order, axis=2)
