from __future__ import annotations

import warnings

import numpy as np
import pytest
from ir_shared.console import DataWarning, UserError
from rerank_judge.collection import Collection
from rerank_judge.labeling import align_labels, align_scores, detect_scale, direct, threshold

QRELS = {"q": {"a": 2, "b": 0, "c": 1}, "r": {"a": 3}}
SCORES = {"q": {"a": 0.9, "b": 0.5, "c": 0.49}, "r": {"a": 0.2}}


@pytest.fixture
def collection() -> Collection:
    return Collection.from_mappings(QRELS)


def test_scores_are_aligned_to_the_pairs_whatever_their_order(collection: Collection) -> None:
    shuffled = {"r": SCORES["r"], "q": dict(reversed(SCORES["q"].items()))}
    assert align_scores(collection, shuffled, "j").scores.tolist() == [0.9, 0.5, 0.49, 0.2]


def test_direct_labels_a_probability_of_one_half_relevant(collection: Collection) -> None:
    labels = direct(align_scores(collection, SCORES, "j"))
    assert labels.labels.tolist() == [1, 1, 0, 0]
    log_odds = {"q": {"a": 1.5, "b": 0.0, "c": -0.1}, "r": {"a": -3.0}}
    assert direct(align_scores(collection, log_odds, "j", scale="log-odds")).labels.tolist() == [1, 1, 0, 0]


def test_a_threshold_is_inclusive(collection: Collection) -> None:
    scores = align_scores(collection, SCORES, "j")
    assert threshold(scores, 0.49).labels.tolist() == [1, 1, 1, 0]
    assert threshold(scores, np.nextafter(0.49, 1)).labels.tolist() == [1, 1, 0, 0]


def test_logits_have_no_decision_of_their_own(collection: Collection) -> None:
    scores = align_scores(collection, {"q": {"a": 5.0, "b": -2.0, "c": 0.1}, "r": {"a": 1.0}}, "j")
    assert scores.scale == "logit"
    with pytest.raises(UserError, match="no decision of their own"):
        direct(scores)


def test_scale_is_probability_only_within_zero_and_one() -> None:
    assert detect_scale(np.array([0.0, 1.0])) == "probability"
    assert detect_scale(np.array([0.0, 1.0000001])) == "logit"
    assert detect_scale(np.array([-1e-9, 0.5])) == "logit"


@pytest.mark.parametrize(
    ("scores", "scale", "at", "message"),
    [
        ({"a": 5.0, "b": -2.0, "c": 0.1}, "auto", 0.5, "decision of a log-odds is at 0"),
        ({"a": 0.5, "b": 0.2, "c": 0.1}, "auto", 0.0, "decision of a probability is at 0.5"),
        ({"a": 0.5, "b": 0.2, "c": 0.1}, "log-odds", 0.3, "called log-odds"),
        ({"a": 5.0, "b": -2.0, "c": 0.1}, "auto", 9.0, "outside the scores"),
        ({"a": 5.0, "b": -2.0, "c": 0.1}, "auto", -2.0, "outside the scores"),
    ],
)
def test_thresholds_on_another_scale_are_warned_of(
    scores: dict[str, float], scale: str, at: float, message: str
) -> None:
    collection = Collection.from_mappings({"q": QRELS["q"]})
    with pytest.warns(DataWarning, match=message):  # when aligned, or when labelled
        threshold(align_scores(collection, {"q": scores}, "j", scale=scale), at)  # type: ignore[arg-type]


def test_what_cannot_be_probabilities_is_not_taken_for_them(collection: Collection) -> None:
    logits = {"q": {"a": 5.0, "b": -2.0, "c": 0.1}, "r": {"a": 1.0}}
    with pytest.raises(UserError, match=r"j: scores from -2 to 5 are no probabilities; say --scale log-odds or logit"):
        align_scores(collection, logits, "j", scale="probability")


def test_a_fitting_threshold_warns_of_nothing(collection: Collection) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threshold(align_scores(collection, SCORES, "j"), 0.5)


def test_missing_pairs_are_refused_with_the_first_of_them(collection: Collection) -> None:
    with pytest.raises(UserError, match=r"j: 2 of 4 human pairs are missing \(q c, r a\).*--on-missing"):
        align_scores(collection, {"q": {"a": 0.9, "b": 0.5}}, "j")


def test_missing_pairs_are_left_out_or_not_relevant(collection: Collection) -> None:
    partial = {"q": {"a": 0.9, "b": 0.5}, "s": {"z": 0.1}}
    skipped = align_scores(collection, partial, "j", on_missing="skip")
    assert skipped.known.tolist() == [True, True, False, False]
    taken = align_scores(collection, partial, "j", on_missing="non-relevant")
    assert taken.known.all()
    assert threshold(taken, 0.6).labels.tolist() == [1, 0, 0, 0]
    assert str(skipped.coverage) == "2 of 4 human pairs (2 missing, 1 extra)"


def test_nothing_in_common_and_nan_are_errors(collection: Collection) -> None:
    with pytest.raises(UserError, match="compared as text"):
        align_scores(collection, {"01": {"a": 0.9}}, "j", on_missing="skip")
    with pytest.raises(UserError, match=r"1 score\(s\) are NaN"):
        align_scores(collection, {"q": {"a": float("nan"), "b": 0.5, "c": 0.1}, "r": {"a": 0.2}}, "j")


def test_graded_labels_are_binarised_and_no_positives_are_warned_of(collection: Collection) -> None:
    binary = {"q": {"a": 1, "b": 0, "c": 0}, "r": {"a": 1}}
    assert align_labels(collection, binary, "j").relevant.tolist() == [True, False, False, True]
    with pytest.warns(DataWarning, match=r"no positives after binarisation.*highest grade is 1"):
        align_labels(collection, binary, "j", binarize_at=2)


def test_extra_pairs_of_a_judge_are_known_only_where_the_collection_has_them(collection: Collection) -> None:
    labels = {"q": {"a": 1, "b": 0, "c": 0, "x": 1}, "r": {"a": 1}}
    assert align_labels(collection, labels, "j").coverage.extra == 1
    wider = Collection.from_mappings(QRELS, extra_pairs=labels)
    aligned = align_labels(wider, labels, "j")
    assert aligned.known.all()
    assert wider.judged.sum() == 4
    assert aligned.relevant.sum() == 3
