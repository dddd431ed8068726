from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rerank_judge.agreement import Confusion, agree, compare_kappa, confusion, kappa_interval, topic_counts
from rerank_judge.collection import Collection
from rerank_judge.labeling import ScoreSet, align_labels, threshold
from sklearn.metrics import accuracy_score, cohen_kappa_score, precision_recall_fscore_support

labels = st.integers(2, 60).flatmap(lambda n: st.tuples(arrays(np.bool_, n), arrays(np.bool_, n)))


@given(labels)
def test_measures_equal_sklearn(pair: Any) -> None:
    human, judge = pair
    assume(len({*human.tolist(), *judge.tolist()}) == 2)
    table = confusion(human, judge)
    assert table.kappa == pytest.approx(cohen_kappa_score(human, judge), abs=1e-12)
    assert table.accuracy == pytest.approx(accuracy_score(human, judge))
    macro = precision_recall_fscore_support(human, judge, labels=[False, True], average="macro", zero_division=0)
    assert [table.precision, table.recall, table.f1] == pytest.approx(macro[:3])


@given(labels, st.integers(2, 5))
def test_kappa_is_symmetric_and_knows_no_sample_size(pair: Any, times: int) -> None:
    human, judge = pair
    kappa = confusion(human, judge).kappa
    again = [confusion(judge, human).kappa, confusion(np.tile(human, times), np.tile(judge, times)).kappa]
    assert again == pytest.approx([kappa, kappa], nan_ok=True)


@given(st.integers(1, 30), st.booleans())
def test_kappa_is_undefined_exactly_where_both_are_constant_and_equal(n: int, value: bool) -> None:
    constant = np.full(n, value)
    assert math.isnan(confusion(constant, constant).kappa)
    assert confusion(constant, ~constant).kappa == 0
    mixed = np.append(constant, not value)
    assert confusion(mixed, mixed).kappa == 1


@pytest.mark.parametrize(
    ("table", "kappa"),
    [
        ((1634, 1344, 867, 5415), 0.428736),  # Rank1-7B on DL19
        ((2259, 4316, 2179, 14768), 0.238742),  # monoT5 base on DL22
        ((2243, 1200, 1184, 6201), 0.491752),  # UMBRELA on DL21
    ],
)
def test_kappa_of_real_tables(table: tuple[int, int, int, int], kappa: float) -> None:
    assert Confusion(*table).kappa == pytest.approx(kappa, abs=5e-7)


def test_kappa_is_exact_where_floats_would_round() -> None:
    table = Confusion(tp=3 * 10**15, fp=1, fn=1, tn=10**15)
    n, p, m = table.n, 3 * 10**15 + 1, 3 * 10**15 + 1
    assert table.kappa == 2 * (n * table.tp - p * m) / (n * (p + m) - 2 * p * m)


def test_per_topic_kappa_is_kappa_of_the_topic(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    result = agree(collection, threshold(scores, 0.0))
    for t, qid in enumerate(collection.topics):
        pairs = slice(collection.offsets[t], collection.offsets[t + 1])
        expected = cohen_kappa_score(collection.relevant[pairs], scores.scores[pairs] >= 0)
        assert result.per_topic[qid] == pytest.approx(expected)


def test_interval_is_that_of_resampled_pairs(loaded11: tuple[Collection, ScoreSet]) -> None:
    """The sums over topics give what pooling the pairs of the drawn topics gives."""
    from rerank_judge.bootstrap import topic_weights

    collection, scores = loaded11
    labels = threshold(scores, 0.0)
    n_boot = 50
    pooled = []
    for row in topic_weights(len(collection.topics), n_boot, seed=3):
        drawn = np.repeat(np.arange(len(row)), row)
        pairs = np.concatenate([np.arange(collection.offsets[t], collection.offsets[t + 1]) for t in drawn])
        pooled.append(cohen_kappa_score(collection.relevant[pairs], labels.relevant[pairs]))
    interval = kappa_interval(topic_counts(collection, labels), n_boot, seed=3)
    assert [interval.low, interval.high] == pytest.approx(np.quantile(pooled, [0.025, 0.975]).tolist())
    assert interval.n_valid == n_boot


def test_interval_covers_the_pooled_kappa_and_repeats(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    first, second = (agree(collection, threshold(scores, 0.0), n_boot=500, seed=1) for _ in range(2))
    assert first == second
    assert first.interval is not None
    assert first.interval.low < first.confusion.kappa < first.interval.high
    assert first.interval != agree(collection, threshold(scores, 0.0), n_boot=500, seed=2).interval


def test_paired_comparison_sees_what_single_intervals_cannot(loaded11: tuple[Collection, ScoreSet]) -> None:
    collection, scores = loaded11
    better, worse = (topic_counts(collection, threshold(scores, t)) for t in (1.463, 0.4))
    difference = compare_kappa(better, worse)
    assert difference.low > 0
    assert kappa_interval(better).low < kappa_interval(worse).high
    same = compare_kappa(better, better)
    assert (same.low, same.high) == (0, 0)


def test_pairs_that_one_side_lacks_take_no_part() -> None:
    qrels = {"q": {"a": 2, "b": 0, "c": 2}}
    judge = {"q": {"a": 1, "b": 0, "x": 1}}
    collection = Collection.from_mappings(qrels, extra_pairs=judge)
    result = agree(collection, align_labels(collection, judge, "j", on_missing="skip"))
    assert result.confusion == Confusion(tp=1, fp=0, fn=0, tn=1)
