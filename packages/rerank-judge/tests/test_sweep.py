from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet, align_scores, human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.sweep import sweep

pytestmark = pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
METRICS = ["AP@100", "AP@3", "RR@10", "RR@2", "nDCG@10", "nDCG@3"]


def separately(collection: Collection, scores: ScoreSet, thresholds: Any, metrics: list[str], **options: Any) -> Any:
    return np.stack(
        [leaderboard(collection, threshold(scores, float(t)), metrics, **options).means for t in thresholds]
    )


@pytest.mark.parametrize("missing_topics", ["zero", "skip"])
@pytest.mark.parametrize("rr_truncation", ["trec", "file-order"])
def test_sweep_equals_evaluating_each_threshold(
    loaded11: tuple[Collection, ScoreSet], missing_topics: str, rr_truncation: str
) -> None:
    collection, scores = loaded11
    thresholds = np.concatenate([np.arange(-90, 73, 6) / 10, scores.scores[:20], [np.inf]])
    metrics = METRICS if rr_truncation == "trec" else ["AP@100", "RR@10", "nDCG@10"]
    options: Any = {"missing_topics": missing_topics, "rr_truncation": rr_truncation}
    found = sweep(collection, scores, thresholds, metrics, **options)
    assert found == pytest.approx(separately(collection, scores, thresholds, metrics, **options), abs=1e-12)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Any, Any, Any, Any]:
    """Qrels, runs, scores and what becomes of missing ones; with ties, unjudged documents, missing topics and pairs."""
    docids = [f"d{i}" for i in range(10)]
    topics = [f"t{i}" for i in range(draw(st.integers(1, 3)))]
    qrels = {t: draw(st.dictionaries(st.sampled_from(docids), st.integers(0, 3), min_size=1)) for t in topics}
    score = st.sampled_from([-1.0, 0.0, 0.5, 2.0])
    runs = {
        f"s{i}": draw(st.dictionaries(st.sampled_from(topics), st.dictionaries(st.sampled_from(docids), score)))
        for i in range(3)
    }
    judge = {t: {d: draw(score) for d in docs if draw(st.integers(0, 4))} for t, docs in qrels.items()}
    first = topics[0]
    judge[first] = judge[first] or {next(iter(qrels[first])): 0.5}
    return qrels, runs, judge, draw(st.sampled_from(["skip", "non-relevant"]))


@given(worlds(), st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.25, 0.5, 2.0, 3.0]), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_sweep_equals_evaluating_each_threshold_in_any_order_and_repeated(
    world: tuple[Any, Any, Any, Any], thresholds: list[float]
) -> None:
    qrels, runs, judge, on_missing = world
    collection = Collection.from_mappings(qrels, runs)
    scores = align_scores(collection, judge, "judge", on_missing=on_missing)
    found = sweep(collection, scores, thresholds, METRICS)
    assert found == pytest.approx(separately(collection, scores, thresholds, METRICS), abs=1e-12)


def test_lowest_threshold_means_everything_judged_is_relevant(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    found = sweep(collection, scores, [-np.inf])
    everything = replace(collection, grades=np.ones_like(collection.grades), binarize_at=1)
    assert found[0] == pytest.approx(leaderboard(everything, human_labels(everything)).means, abs=1e-12)


def test_label_sets_are_nested_in_the_threshold(loaded11: tuple[Collection, ScoreSet]) -> None:
    _, scores = loaded11
    lower, higher = threshold(scores, 0.0).relevant, threshold(scores, 0.5).relevant
    assert (lower | ~higher).all()
    assert lower.sum() > higher.sum()


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_above_all_scores_everything_is_zero(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    assert not sweep(collection, scores, [100.0]).any()


def test_judged_and_nan_are_refused(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    with pytest.raises(UserError, match="judged@k does not depend"):
        sweep(collection, scores, [0.0], ["judged@10"])
    with pytest.raises(UserError, match="NaN"):
        sweep(collection, scores, [float("nan")])
