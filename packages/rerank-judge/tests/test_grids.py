from __future__ import annotations

import numpy as np
import pytest
from ir_shared.console import UserError
from rerank_judge.collection import Collection
from rerank_judge.grids import ThresholdGrid, prevalence_threshold
from rerank_judge.labeling import Scale, ScoreSet, align_scores


def score_set(values: list[float], scale: Scale) -> ScoreSet:
    docs = {f"d{i}": value for i, value in enumerate(values)}
    collection = Collection.from_mappings({"q": dict.fromkeys(docs, 0)})
    return align_scores(collection, {"q": docs}, "j", scale=scale)


def test_probability_grid_of_the_paper_is_the_hundred_and_one_hundredths() -> None:
    found = ThresholdGrid.parse("paper").thresholds(score_set([0.0012, 0.9999], "probability"), 0.5)
    assert found.tolist() == [round(k / 100, 2) for k in range(101)]


def test_logit_grid_of_the_paper_spans_the_scores_in_tenths() -> None:
    found = ThresholdGrid.parse("paper").thresholds(score_set([-0.31, 0.19], "logit"), 0.5)
    assert found.tolist() == [-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2]


def test_exact_grid_lies_between_the_distinct_scores() -> None:
    found = ThresholdGrid.parse("exact").thresholds(score_set([0.5, 0.1, 0.5, 0.9], "probability"), 0.5)
    assert found.tolist() == pytest.approx([0.1, 0.3, 0.7])


def test_log_odds_grid_resolves_saturated_probabilities() -> None:
    scores = score_set([1e-9, 0.5, 1 - 1e-9], "probability")
    found = ThresholdGrid.parse("logodds:1").thresholds(scores, 0.5)
    assert ((found > 0.999) & (found < 1)).sum() > 10
    assert 0.5 in found.tolist()
    assert (np.diff(found) > 0).all()
    extreme = ThresholdGrid.parse("logodds:20").thresholds(score_set([0.0, 1.0], "probability"), 0.5)
    assert len(extreme) == 5  # -40 to 40
    logits = ThresholdGrid.parse("logodds:0.5").thresholds(score_set([-0.6, 0.6], "log-odds"), 0.5)
    assert logits.tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]


def test_prevalence_takes_the_nearest_share_and_the_higher_of_two() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    assert prevalence_threshold(scores, 0.5) == 2.5
    assert prevalence_threshold(scores, 0.45) == 2.5
    assert prevalence_threshold(scores, 0.375) == 3.5
    grid = ThresholdGrid.parse("prevalence")
    assert grid.thresholds(score_set([1, 2, 3, 4], "logit"), 0.25).tolist() == [3.5]


@pytest.mark.parametrize("text", ["exact", "paper", "prevalence", "step:0.05", "logodds:0.25"])
def test_names_round_trip(text: str) -> None:
    assert str(ThresholdGrid.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "grid", "step", "step:x", "step:0", "step:-1", "step:0.3", "exact:2", "logodds:nan"]
)
def test_broken_grids_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="grid"):
        ThresholdGrid.parse(text)


def test_no_finite_score_leaves_no_threshold() -> None:
    collection = Collection.from_mappings({"q": {"a": 0, "b": 0}})
    scores = align_scores(collection, {"q": {"a": 1.0}}, "j", on_missing="non-relevant")
    empty = ScoreSet("j", np.full(2, -np.inf), scores.known, "logit", scores.coverage)
    with pytest.raises(UserError, match="no score is finite"):
        ThresholdGrid.parse("exact").thresholds(empty, 0.5)


@pytest.mark.parametrize("grid", ["step:0.0000001", "logodds:1e-9"])
def test_steps_too_small_for_memory_are_refused(grid: str) -> None:
    with pytest.raises(UserError, match=r"more than 1,000,000 thresholds.*larger step"):
        ThresholdGrid.parse(grid).thresholds(score_set([-9.0, 9.0], "logit"), 0.5)
