"""Weighted kappa, alpha and the Matthews coefficient against scikit-learn and krippendorff."""

from __future__ import annotations

import warnings

import krippendorff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.agreement import agree
from rerank_judge.coefficients import COEFFICIENTS, coefficient, rater_alpha
from rerank_judge.collection import Collection
from rerank_judge.labeling import LabelSet, align_labels, threshold
from sklearn.metrics import cohen_kappa_score, matthews_corrcoef

TABLES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=60)


def world(pairs: list[tuple[int, int]], binarize_at: int = 2) -> tuple[Collection, LabelSet]:
    """Pairs of a human and a judge grade, spread over three topics."""
    human: dict[str, dict[str, int]] = {}
    judge: dict[str, dict[str, int]] = {}
    for i, (h, j) in enumerate(pairs):
        human.setdefault(f"t{i % 3}", {})[f"d{i}"] = h
        judge.setdefault(f"t{i % 3}", {})[f"d{i}"] = j
    collection = Collection.from_mappings(human)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return collection, align_labels(collection, judge, "judge", binarize_at=binarize_at)


def expected(name: str, human: np.ndarray, judge: np.ndarray) -> float:
    kind, _, variant = name.partition(":")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if kind == "kappa":
            return float(cohen_kappa_score(human, judge, labels=[0, 1, 2, 3], weights=variant))
        if kind == "mcc":
            constant = len(set(human >= 2)) < 2 or len(set(judge >= 2)) < 2
            return float("nan") if constant else float(matthews_corrcoef(human >= 2, judge >= 2))
        if len({*human, *judge}) < 2:
            return float("nan")
        return float(krippendorff.alpha(np.stack([human, judge]), level_of_measurement=variant, value_domain=range(4)))


@pytest.mark.parametrize("name", COEFFICIENTS)
@settings(max_examples=60, deadline=None)
@given(pairs=TABLES)
def test_coefficients_equal_the_reference_libraries(name: str, pairs: list[tuple[int, int]]) -> None:
    human, judge = np.array(pairs).T
    found = coefficient(*world(pairs), name)
    assert found.value == pytest.approx(expected(name, human, judge), abs=1e-12, nan_ok=True)
    for t, value in enumerate(found.per_topic.values()):
        assert value == pytest.approx(expected(name, human[t::3], judge[t::3]), abs=1e-12, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(
    ratings=st.lists(st.tuples(*[st.none() | st.integers(0, 3)] * 4), min_size=3, max_size=40),
    level=st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_of_several_raters_with_gaps_equals_krippendorff(
    ratings: list[tuple[int | None, ...]], level: str
) -> None:
    human = {"t": {f"d{i}": 0 for i in range(len(ratings))}}
    collection = Collection.from_mappings(human)
    raters = []
    for r in range(4):
        grades = {"t": {f"d{i}": row[r] for i, row in enumerate(ratings) if row[r] is not None}}
        if not grades["t"]:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raters.append(align_labels(collection, grades, f"r{r}", binarize_at=2, on_missing="skip"))
    found = rater_alpha(collection, raters, level).value
    matrix = np.array([[np.nan if v is None else v for v in row] for row in ratings], dtype=float).T
    pairable = matrix[:, (~np.isnan(matrix)).sum(axis=0) > 1]
    if len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        assert np.isnan(found)
    else:
        reference = krippendorff.alpha(matrix, level_of_measurement=level, value_domain=range(4))
        assert found == pytest.approx(reference, abs=1e-12)


def test_a_binary_judge_makes_weighted_kappa_cohens(loaded11) -> None:
    collection, scores = loaded11
    labels = threshold(scores, 0.0)
    plain = agree(collection, labels).confusion.kappa
    for name in ("kappa:linear", "kappa:quadratic"):
        found = coefficient(collection, labels, name)
        assert not found.graded
        assert found.value == pytest.approx(plain, abs=1e-14)


def test_intervals_hold_the_value_and_repeat_with_their_seed(loaded11) -> None:
    collection, scores = loaded11
    labels = threshold(scores, 0.0)
    for name in COEFFICIENTS:
        found = coefficient(collection, labels, name, n_boot=200, seed=3)
        assert found.interval is not None
        assert found.interval.low < found.value < found.interval.high
        assert coefficient(collection, labels, name, n_boot=200, seed=3).interval == found.interval


def test_unknown_names_and_lone_raters_are_refused(loaded11) -> None:
    collection, scores = loaded11
    with pytest.raises(UserError, match="unknown coefficient 'kappa:cubic'"):
        coefficient(collection, threshold(scores, 0.0), "kappa:cubic")
    with pytest.raises(UserError, match="at least two raters"):
        rater_alpha(collection, [threshold(scores, 0.0)])
