"""Evaluation: perplexities by definition, errors by resampling, and ranking metrics against rax."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.aggregation import aggregate
from clax.batch import Batch, batches, make_batch
from clax.evaluation import evaluate
from clax.models import build_model
from clax.ranking import evaluate_ranking, ranking_metrics
from ir_shared.console import DataWarning, UserError

N, P = 6, 4
DBN = build_model("dbn", N, P)


@pytest.fixture(scope="module")
def log():
    generator = np.random.default_rng(2)
    pairs = np.stack([generator.permutation(N)[:P] + 1 for _ in range(400)])
    lengths = generator.integers(1, P + 1, (400, 1))
    mask = np.arange(P) < lengths
    clicks = (generator.random(pairs.shape) < [0.5, 0.3, 0.3, 0.2]) & mask
    return make_batch(pairs * mask, clicks=clicks)


def _half(model):
    return jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))


def test_g15_a_constant_half_has_perplexity_two(log):
    model = build_model("pbm", N, P)
    params = _half(model)
    params["examination"]["rows"] = jnp.full(P + 1, 30.0)  # theta = 1
    report = evaluate(model, params, batches(log, 128))
    assert report.perplexity.overall == pytest.approx(2, abs=1e-6)
    assert report.conditional_perplexity.overall == pytest.approx(2, abs=1e-6)
    assert report.log_likelihood == pytest.approx(-np.log(2), abs=1e-6)
    assert report.perplexity.standard_error == pytest.approx(0, abs=1e-6)


def test_g15_every_position_is_averaged_over_the_sessions_that_have_it(log):
    params = DBN.init(jax.random.key(5))
    report = evaluate(DBN, params, batches(log, 64))
    conditional, marginal = DBN.conditional_log_probs(params, log), DBN.log_click_probs(params, log)
    for figures, pair in ((report.conditional_perplexity, conditional), (report.perplexity, marginal)):
        terms = np.where(log.clicks, pair.yes, pair.no).astype(float)
        expected = [2 ** -(terms[log.mask[:, r], r] / np.log(2)).mean() for r in range(P)]
        np.testing.assert_allclose(figures.per_position, expected, rtol=1e-6)
        assert figures.overall == pytest.approx(np.mean(expected), rel=1e-6)
        np.testing.assert_array_equal(figures.counts, log.mask.sum(0))
    assert report.log_likelihood == pytest.approx(float(np.where(log.clicks, *conditional)[log.mask].mean()), rel=1e-5)
    assert (report.sessions, report.documents) == (400, log.mask.sum())
    np.testing.assert_allclose(report.click_rate, log.clicks.sum(0) / log.mask.sum(0))


def test_positions_are_those_of_the_data_and_absent_ones_are_left_out():
    batch = make_batch([[1, 2], [3, 4]], clicks=[[0, 1], [1, 0]], positions=[[1, 4], [1, 4]])
    report = evaluate(DBN, DBN.init(jax.random.key(0)), [batch])
    assert report.perplexity.counts.tolist() == [2, 0, 0, 2]
    assert np.isnan(report.perplexity.per_position[1:3]).all()
    assert report.perplexity.overall == pytest.approx(report.perplexity.per_position[[0, 3]].mean())


def test_standard_errors_agree_with_the_bootstrap_over_sessions(log):
    params = DBN.init(jax.random.key(5))
    report = evaluate(DBN, params, batches(log, 400))
    generator = np.random.default_rng(0)
    found = []
    for _ in range(300):
        rows = generator.integers(0, 400, 400)
        part = evaluate(DBN, params, [Batch(*(x if x is None else x[rows] for x in log))])
        found.append((part.log_likelihood, part.perplexity.overall, part.perplexity.per_position[2]))
    spread = np.std(found, axis=0)
    claimed = (report.log_likelihood_error, report.perplexity.standard_error, report.perplexity.per_position_errors[2])
    np.testing.assert_allclose(claimed, spread, rtol=0.15)


def test_a_true_model_is_calibrated(small_log):
    world, sessions = small_log
    report = evaluate(world.model, world.params, batches(sessions, 500))
    filled = report.calibration.counts > 200
    error = np.sqrt(0.25 / report.calibration.counts[filled])
    gap = np.abs(report.calibration.predicted - report.calibration.observed)[filled]
    assert (gap < 4 * error).all()
    assert report.calibration.counts.sum() == report.documents


def test_unseen_pairs_are_counted_and_wrong_data_is_refused(log):
    params = DBN.init(jax.random.key(0))
    seen = np.array([False, True, True, True, True, True, False])
    assert evaluate(DBN, params, [log], seen=seen).unseen == (log.pair_ids == 6).sum()
    with pytest.raises(UserError, match="not aggregated cells"):
        evaluate(build_model("pbm", N, P), None, [aggregate([log], build_model("pbm", N, P))])
    with pytest.raises(UserError, match="no session with a valid rank"):
        evaluate(DBN, params, [])
    with pytest.raises(UserError, match="pair id 7 is outside"):
        evaluate(DBN, params, [make_batch([[7, 1]])])


def test_ignored_ranks_of_a_cascade_model_are_outside_conditional_figures():
    from clax.models import CM
    from clax.parameters import Table

    batch = make_batch([[1, 2, 3]], clicks=[[0, 1, 1]])
    model = CM(Table(N), after_first_click="ignore")
    report = evaluate(model, model.init(jax.random.key(0)), [batch])
    assert report.conditional_perplexity.counts.tolist() == [1, 1, 0]
    assert report.perplexity.counts.tolist() == [1, 1, 1]


def test_ranking_metrics_equal_rax():
    import rax

    generator = np.random.default_rng(1)
    labels = generator.integers(0, 5, (50, 8)).astype(float)
    scores = generator.permuted(np.tile(np.arange(8.0), (50, 1)), axis=1)
    mask = generator.random((50, 8)) < 0.8
    labels = np.where(mask, labels, 0)
    labels[:, 0], mask[:, 0] = 3, True
    found = ranking_metrics(scores, labels, mask, at=(1, 3, 5, 10))
    for k in (1, 3, 5, 10):
        for name, metric in (("dcg", rax.dcg_metric), ("ndcg", rax.ndcg_metric), ("mrr", rax.mrr_metric)):
            expected = [
                float(metric(jnp.array(s), jnp.array(y), where=jnp.array(m), topn=k, reduce_fn=jnp.sum))
                for s, y, m in zip(scores, labels, mask, strict=True)
            ]
            np.testing.assert_allclose(found[f"{name}@{k}"], expected, rtol=1e-5)


def test_ties_keep_the_order_of_the_list():
    metrics = ranking_metrics(np.zeros((2, 3)), np.array([[0, 0, 1.0], [1, 0, 0]]), np.ones((2, 3), bool), at=(1,))
    assert metrics["mrr"].tolist() == [1 / 3, 1.0]


def test_ranking_by_relevance_skips_and_counts_unjudged_lists(small_log):
    world, sessions = small_log
    judged = sessions._replace(labels=np.where(sessions.query_ids[:, None] < 10, sessions.labels > 0.3, 0))
    ranking = evaluate_ranking(world.model, world.params, batches(judged, 500))
    without = ~((judged.labels > 0) & sessions.mask).any(1)
    assert ranking.skipped == without.sum() > 0
    assert ranking.means["ndcg@5"] == pytest.approx(1.0)  # the truth ranks perfectly
    assert set(ranking.to_json()["metrics"]["mrr"]) == {"mean", "low", "high"}
    with pytest.raises(UserError, match="need labels"):
        evaluate_ranking(world.model, world.params, batches(sessions._replace(labels=None), 500))


def test_labels_that_are_no_grades_have_an_mrr_only_from_a_stated_label_on(small_log):
    world, sessions = small_log
    with pytest.warns(DataWarning, match="MRR is left out"):
        ranking = evaluate_ranking(world.model, world.params, batches(sessions, 500))
    assert "ndcg@5" in ranking.means
    assert not any(name.startswith("mrr") for name in ranking.means)
    best = sessions.labels.max(1)
    for label in (0.3, 0.6):
        ranking = evaluate_ranking(world.model, world.params, batches(sessions, 500), relevant_from=label)
        assert ranking.means["mrr"] == pytest.approx((best >= label).mean())  # the truth ranks perfectly
        assert ranking.to_json()["relevant_from"] == label
    with pytest.raises(UserError, match="--relevant-from"):
        evaluate_ranking(world.model, world.params, batches(sessions, 500), relevant_from=0.0)


def test_ranking_by_a_constant_is_warned_about(small_log):
    _, sessions = small_log
    model = build_model("rctr", 120, 6)
    with pytest.warns(DataWarning, match="ranks nothing"):
        evaluate_ranking(model, model.init(jax.random.key(0)), batches(sessions, 500))
