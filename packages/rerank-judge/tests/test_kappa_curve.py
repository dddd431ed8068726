from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.agreement import confusion
from rerank_judge.collection import Collection
from rerank_judge.kappa_curve import cut_points, kappa_at, kappa_curve
from rerank_judge.labeling import ScoreSet

tied = st.lists(st.tuples(st.booleans(), st.sampled_from([-1.5, 0.0, 0.1, 0.25, 3.0, 1e9])), min_size=1, max_size=40)


def split(pairs: Any) -> Any:
    return np.array([y for y, _ in pairs]), np.array([s for _, s in pairs], dtype=np.float64)


@given(tied)
def test_curve_equals_brute_force_over_all_distinct_scores(pairs: Any) -> None:
    human, scores = split(pairs)
    curve = kappa_curve(human, scores)
    assert curve.scores.tolist() == sorted(set(scores.tolist()))
    for i, cut in enumerate(curve.scores):
        expected = confusion(human, scores >= cut)
        assert (int(curve.tp[i]), int(curve.m[i])) == (expected.tp, expected.tp + expected.fp)
        assert curve.kappa[i] == pytest.approx(expected.kappa, abs=1e-15, nan_ok=True)


@given(tied)
def test_reported_thresholds_attain_what_they_promise(pairs: Any) -> None:
    human, scores = split(pairs)
    curve = kappa_curve(human, scores)
    attained = [confusion(human, scores >= t).kappa for t in curve.thresholds]
    assert attained == pytest.approx(curve.kappa.tolist(), abs=1e-15, nan_ok=True)


@given(tied, st.lists(st.floats(-5, 5), min_size=1, max_size=8))
def test_kappa_at_any_threshold_is_that_of_its_labels(pairs: Any, thresholds: list[float]) -> None:
    human, scores = split(pairs)
    expected = [confusion(human, scores >= t).kappa for t in thresholds]
    assert kappa_at(human, scores, np.array(thresholds)).tolist() == pytest.approx(expected, abs=1e-15, nan_ok=True)


@given(tied, st.randoms())
def test_order_of_pairs_and_increasing_maps_change_no_kappa(pairs: Any, random: Any) -> None:
    human, scores = split(pairs)
    curve = kappa_curve(human, scores)
    random.shuffle(pairs)
    shuffled, moved = split(pairs)
    assert kappa_curve(shuffled, moved).kappa.tolist() == pytest.approx(curve.kappa.tolist(), nan_ok=True)
    mapped = kappa_curve(human, np.cbrt(scores) * 2 + 1)
    assert mapped.kappa.tolist() == pytest.approx(curve.kappa.tolist(), nan_ok=True)
    assert mapped.scores.tolist() == pytest.approx((np.cbrt(curve.scores) * 2 + 1).tolist())


def test_best_beats_every_grid(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    best = kappa_curve(collection.relevant, scores.scores).best()
    for step in (0.01, 0.1, 0.25):
        grid = np.arange(-10, 10, step)
        assert best.value >= np.nanmax(kappa_at(collection.relevant, scores.scores, grid))


def test_thresholds_of_neighbouring_floats_still_separate() -> None:
    low = 1.0
    high = np.nextafter(low, 2)
    scores = np.array([low, high])
    assert (scores >= cut_points(scores)[1]).tolist() == [False, True]
    huge = np.array([-1.7e308, 1.7e308])
    assert np.isfinite(cut_points(huge)).all()


def test_missing_scores_are_never_relevant_and_nan_is_refused() -> None:
    curve = kappa_curve(np.array([True, False, True]), np.array([1.0, 0.0, -np.inf]))
    assert curve.scores.tolist() == [0.0, 1.0]
    assert curve.m.tolist() == [2, 1]
    with pytest.raises(UserError, match="NaN"):
        kappa_curve(np.array([True]), np.array([np.nan]))
    with pytest.raises(UserError, match="finite"):
        kappa_curve(np.array([True]), np.array([-np.inf]))
