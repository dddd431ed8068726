"""nDCG and MRR are those of rax where scores differ, and their expectation over tied orders where they do not."""

from __future__ import annotations

from itertools import pairwise, permutations

import numpy as np
import pytest
import rax
from hypothesis import given, settings
from hypothesis import strategies as st
from twotower_ident.ranking_metrics import click_nll, curve_error, mrr, ndcg, perplexity


@pytest.mark.parametrize("k", [None, 3, 10])
def test_tie_free_scores_give_what_rax_gives(k: int | None) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.standard_normal((30, 12)), rng.integers(0, 5, (30, 12)).astype(float)
    labels[3] = 0
    offsets = np.arange(31) * 12
    ours = ndcg(scores.reshape(-1), labels.reshape(-1), offsets, k=k)
    theirs = [rax.ndcg_metric(s, y, topn=k) for s, y in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    ours = mrr(scores.reshape(-1), labels.reshape(-1), offsets, k=k)
    theirs = [rax.mrr_metric(s, (y >= 1).astype(float), topn=k) for s, y in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=6),
    st.sampled_from([None, 1, 2, 4]),
)
def test_ties_count_as_the_mean_over_their_orders(docs: list[tuple[int, int]], k: int | None) -> None:
    scores, labels = np.array(docs, dtype=float).T
    offsets = np.array([0, len(docs)])
    gain_at, first_at = [], []
    for order in permutations(range(len(docs))):
        if any(scores[a] < scores[b] for a, b in pairwise(order)):
            continue
        cut = list(order)[:k]
        gain_at.append(sum((2 ** labels[d] - 1) / np.log2(2 + rank) for rank, d in enumerate(cut)))
        first_at.append(next((1 / (rank + 1) for rank, d in enumerate(cut) if labels[d] >= 1), 0.0))
    ideal = sum((2**y - 1) / np.log2(2 + rank) for rank, y in enumerate(sorted(labels, reverse=True)[:k]))
    assert ndcg(scores, labels, offsets, k=k)[0] == pytest.approx(np.mean(gain_at) / ideal if ideal else 0.0)
    assert mrr(scores, labels, offsets, k=k)[0] == pytest.approx(np.mean(first_at))


def test_constant_scores_are_a_random_order_and_not_perfect() -> None:
    labels, offsets = np.array([4.0, 2, 0, 0]), np.array([0, 4])
    gain, discount = 2**labels - 1, 1 / np.log2(2 + np.arange(4))
    assert ndcg(np.zeros(4), labels, offsets)[0] == pytest.approx(gain.mean() * discount.sum() / (gain @ discount))
    assert ndcg(np.zeros(4), labels, offsets, ties="index")[0] == 1.0


def test_the_order_in_which_documents_are_stored_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.integers(0, 3, 40).astype(float), rng.integers(0, 5, 40).astype(float)
    offsets = np.array([0, 15, 40])
    by_label = np.concatenate([np.argsort(-labels[:15]), 15 + np.argsort(-labels[15:])])
    shuffled = np.concatenate([rng.permutation(15), 15 + rng.permutation(25)])
    for metric in (ndcg, mrr):
        for k in (None, 5):
            values = [metric(scores[order], labels[order], offsets, k=k) for order in (by_label, shuffled)]
            np.testing.assert_allclose(values[0], values[1], atol=1e-12)


def test_queries_without_relevance_count_zero_or_are_dropped() -> None:
    scores, labels, offsets = np.arange(4.0), np.array([0, 0, 1, 0.0]), np.array([0, 2, 4])
    assert ndcg(scores, labels, offsets).tolist()[0] == 0
    assert len(ndcg(scores, labels, offsets, drop_empty=True)) == 1
    assert mrr(scores, labels, offsets).tolist() == [0, 0.5]


def test_infinite_scores_rank_first_and_last() -> None:
    labels = np.array([1.0, 0, 2])
    best = ndcg(np.array([0.0, -np.inf, np.inf]), labels, np.array([0, 3]))
    assert best[0] == 1


def test_nll_and_perplexity_of_cells() -> None:
    n, c, p = np.array([4.0, 2]), np.array([1.0, 2]), np.array([0.25, 1.0])
    expected = -(np.log(0.25) + 3 * np.log(0.75)) / 6
    assert click_nll(n, c, p) == pytest.approx(expected)
    assert perplexity(n, c, p) == pytest.approx(np.exp(expected))
    assert perplexity(n, np.array([2.0, 1]), np.array([0.5, 0.5])) == pytest.approx(2)
    assert click_nll(n, c, np.array([0.0, 1])) == np.inf


def test_the_error_of_a_curve_knows_no_level() -> None:
    truth = -np.log(np.arange(1, 6))
    assert curve_error(truth + 3, truth) == pytest.approx(0)
    assert curve_error(np.array([0, 1.0, np.nan]), np.zeros(3)) == pytest.approx(0.5)
