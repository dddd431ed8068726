"""What panels decide, and that no system meets judges of its own family."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ir_shared.console import UserError
from rerank_judge.collection import Collection
from rerank_judge.families import Families
from rerank_judge.labeling import LabelSet, align_labels, align_scores
from rerank_judge.leaderboard import leaderboard
from rerank_judge.panels import leave_family_out_board, majority, mean_log_odds, tied_votes

QRELS = {"q": {"a": 2, "b": 0, "c": 1, "d": 3}}
RUNS = {
    "s1": {"q": {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}},
    "s2": {"q": {"d": 4.0, "c": 3.0, "b": 2.0, "a": 1.0}},
    "bm25": {"q": {"b": 4.0, "d": 3.0, "a": 2.0, "c": 1.0}},
}


@pytest.fixture
def collection() -> Collection:
    return Collection.from_mappings(QRELS, RUNS)


def labels(collection: Collection, name: str, **grades: int) -> LabelSet:
    return align_labels(collection, {"q": grades}, name, on_missing="skip")


def test_the_majority_wins_and_a_tie_goes_where_it_is_told(collection: Collection) -> None:
    members = [labels(collection, "x", a=1, b=0, c=1), labels(collection, "y", a=1, b=0, c=0)]
    panel = majority(collection, members)
    assert panel.labels.tolist() == [1, 0, 1, 0]
    assert panel.known.tolist() == [True, True, True, False]  # nobody knows d
    assert (panel.coverage.shared, panel.coverage.missing) == (3, 1)
    assert majority(collection, members, ties="non-relevant").labels.tolist() == [1, 0, 0, 0]
    assert tied_votes(members) == 1


def test_graded_members_vote_by_their_own_grade(collection: Collection) -> None:
    graded = align_labels(collection, {"q": {"a": 1, "b": 0, "c": 2, "d": 3}}, "g", binarize_at=2)
    assert majority(collection, [graded]).labels.tolist() == [0, 0, 1, 1]


def test_mean_log_odds_averages_both_scales_and_decides_at_zero(collection: Collection) -> None:
    p = align_scores(collection, {"q": {"a": 0.9, "b": 0.5, "c": 1.0, "d": 0.2}}, "p", scale="probability")
    z = align_scores(collection, {"q": {"a": -1.0, "b": 0.0, "c": 3.0}}, "z", scale="log-odds", on_missing="skip")
    panel = mean_log_odds(collection, [p, z])
    expected = [(np.log(9) - 1) / 2, 0.0, (40 + 3) / 2, np.log(0.25)]
    np.testing.assert_allclose(panel.scores, expected, atol=1e-12)
    assert (panel.scale, panel.direct_threshold) == ("log-odds", 0.0)
    alone = mean_log_odds(collection, [p])
    np.testing.assert_array_equal(alone.scores >= 0, p.scores >= 0.5)


def test_logits_and_empty_panels_are_refused(collection: Collection) -> None:
    logits = align_scores(collection, {"q": dict.fromkeys("abcd", 3.0)}, "rl", scale="logit")
    with pytest.raises(UserError, match="rl: logits have no decision"):
        mean_log_odds(collection, [logits])
    with pytest.raises(UserError, match="at least one judge"):
        majority(collection, [])


def test_each_system_is_judged_without_its_own_family(collection: Collection) -> None:
    families = Families({"A": ("s1", "ja"), "B": ("s2", "jb")}, baselines=("bm25",))
    ja, jb = labels(collection, "ja", a=1, b=0, c=0, d=0), labels(collection, "jb", a=0, b=0, c=1, d=1)
    board = leave_family_out_board(collection, [ja, jb], families, ["AP@100"])
    by_a, by_b = leaderboard(collection, ja, ["AP@100"]), leaderboard(collection, jb, ["AP@100"])
    both = leaderboard(collection, majority(collection, [ja, jb]), ["AP@100"])
    rows = {s: i for i, s in enumerate(collection.systems)}
    assert board.values[rows["s1"]] == by_b.values[rows["s1"]] != by_a.values[rows["s1"]]
    assert board.values[rows["s2"]] == by_a.values[rows["s2"]] != by_b.values[rows["s2"]]
    assert board.values[rows["bm25"]] == both.values[rows["bm25"]]
    with pytest.raises(UserError, match="without A has no members"):
        leave_family_out_board(collection, [replace(ja)], families, ["AP@100"])
