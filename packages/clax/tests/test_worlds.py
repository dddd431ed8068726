"""Simulated worlds, recovery of their truth, and standard errors that mean what they say."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.batch import batches, make_batch
from clax.diagnostics import diagnose, recovery
from clax.em import fit_em
from clax.models import MODEL_NAMES, PBM, UBM, build_model
from clax.parameters import BrowsingTable, PositionParam, Table, row_probabilities
from clax.simulation import make_world
from clax.standard_errors import components, propensities, schur_covariance
from ir_shared.console import DataWarning, UserError


def test_every_model_has_a_world():
    for name in MODEL_NAMES:
        world = make_world(name, queries=2, documents=3, max_positions=3)
        assert jax.tree.structure(world.params) == jax.tree.structure(world.model.init(jax.random.key(0)))
        assert world.num_pairs == 6


@pytest.mark.parametrize("name", ["drctr", "ubm", "pbm+dbn"])
def test_sessions_come_from_their_world(name):
    world = make_world(name, queries=3, documents=5, max_positions=4, seed=1)
    log = world.sessions(300, seed=2)
    assert log.pair_ids.shape == (300, 4)
    assert ((log.pair_ids - 1) // 5 == log.query_ids[:, None]).all()
    np.testing.assert_allclose(log.labels, world.attraction.ravel()[log.pair_ids - 1], rtol=1e-6)
    assert 0 < log.clicks.mean() < 0.6
    again = world.sessions(300, seed=2)
    np.testing.assert_array_equal(log.clicks, again.clicks)
    assert not np.array_equal(log.clicks, world.sessions(300, seed=3).clicks)


def test_a_stream_is_cut_in_chunks_and_popularity_is_zipf():
    world = make_world("gctr", queries=4, documents=3, max_positions=3)
    chunks = list(world.stream(25_000, chunk=10_000))
    assert [len(c.mask) for c in chunks] == [10_000, 10_000, 5_000]
    shares = np.bincount(np.concatenate([c.query_ids for c in chunks]), minlength=4) / 25_000
    expected = np.arange(1, 5) ** -1.3
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.015)
    with pytest.raises(UserError, match="too few"):
        make_world("pbm", documents=3, max_positions=4)
    with pytest.raises(UserError, match="confounding 2"):
        world.sessions(3, confounding=2)


@pytest.fixture(scope="module")
def pbm_world():
    return make_world("pbm", queries=15, documents=8, max_positions=6, seed=7)


def test_g11_random_rankings_recover_propensities(pbm_world):
    log = [pbm_world.sessions(50_000, seed=1)]
    fit = fit_em(pbm_world.model, log, iterations=400, tolerance=1e-9)
    table = propensities(pbm_world.model, fit.params, log)
    truth = np.arange(1, 7) ** -0.8
    assert np.abs(table.ratio - truth).max() < 0.03
    assert (np.abs(table.ratio - truth) < 4 * np.maximum(table.standard_error, 1e-12)).all()
    assert (table.low <= table.ratio).all()
    assert (table.ratio <= table.high).all()
    assert table.impressions.tolist() == [50_000.0] * 6
    report = {r.parameter: r for r in recovery(pbm_world.model, fit.params, pbm_world.params, log)}
    assert report["attraction"].correlation > 0.99
    assert report["examination"].rmse < 0.02
    assert diagnose(log).identifiable


def test_documents_never_clicked_do_not_decide_the_scale_of_a_recovery(pbm_world):
    """Everything is estimated at 1.25 times the truth, but for two documents that EM has put at almost 0."""
    log, truth = [pbm_world.sessions(2000, seed=1)], pbm_world.params
    attraction = pbm_world.model.parameters()["attraction"]
    alpha = 0.8 * row_probabilities(attraction, truth["attraction"])
    as_truth = {**truth, "attraction": attraction.from_row_logits(np.log(alpha / (1 - alpha)))}
    estimate = 1.25 * alpha
    rare = np.argsort(alpha[1:9])[:2] + 1
    estimate[rare] = 1e-12
    fitted = {**truth, "attraction": attraction.from_row_logits(np.log(estimate / (1 - estimate)))}
    report = {r.parameter: r for r in recovery(pbm_world.model, fitted, as_truth, log)}
    assert report["attraction"].scale == pytest.approx(1.25, rel=0.01)
    assert report["attraction"].rmse < 0.02
    assert report["examination"].scale == pytest.approx(1.0)


def test_g11_confounded_rankings_are_warned_about(pbm_world):
    log = [pbm_world.sessions(3000, confounding=1.0, seed=1)]
    found = diagnose(log)
    assert not found.identifiable
    assert found.moving_pairs == 0
    assert "cannot be told apart" in found.warnings[0]
    fit = fit_em(pbm_world.model, log, iterations=5)
    with pytest.warns(DataWarning, match="6 components that no document links"):
        table = propensities(pbm_world.model, fit.params, log)
    assert np.isnan(table.ratio[1:]).all()
    assert table.component.tolist() == [0, 1, 2, 3, 4, 5]


def test_diagnose_names_groups_of_positions_and_thin_ones():
    batch = make_batch([[1, 2, 3, 4], [2, 1, 4, 3]], clicks=[[1, 0, 0, 0], [0, 0, 1, 0]])
    found = diagnose([batch])
    assert found.component == (0, 0, 1, 1)
    assert "[[1, 2], [3, 4]]" in found.warnings[0]
    assert "fewer than 10 clicks at positions [1, 2, 3, 4]" in found.warnings[1]
    assert (found.documents, found.clicks, found.pairs, found.moving_pairs, found.cells) == (8, 2, 4, 4, 8)
    silent = diagnose([batch._replace(clicks=batch.clicks & False)])
    assert silent.warnings[0] == "there is no click at all"


def test_components_of_a_chain_and_of_islands():
    assert components(np.array([1, 1, 2, 2]), np.array([0, 1, 1, 2])).tolist() == [0, 0, 0]
    assert components(np.array([9, 9, 2]), np.array([0, 2, 1])).tolist() == [0, 1, 0]


def test_g12_the_schur_complement_is_the_full_inverse():
    generator = np.random.default_rng(0)
    docs, rows = 7, 5
    w = generator.gamma(2, 10, (docs, rows))
    pair, row = (x.ravel() for x in np.indices(w.shape))
    covariance, variances = schur_covariance(pair, row, w.ravel(), docs, rows)
    information = np.block([[np.diag(w.sum(1)), w], [w.T, np.diag(w.sum(0))]])
    free = np.r_[np.arange(docs), np.arange(docs + 1, docs + rows)]
    full = np.linalg.inv(information[np.ix_(free, free)])
    np.testing.assert_allclose(covariance[1:, 1:], full[docs:, docs:], atol=1e-10)
    np.testing.assert_allclose(variances, np.diag(full)[:docs], atol=1e-10)


def test_the_information_is_the_hessian_of_the_likelihood():
    """At the expected clicks the observed information is the expected one; differentiated twice, theta_1 fixed."""
    generator = np.random.default_rng(1)
    docs, rows = 4, 3
    pair, row = (x.ravel() for x in np.indices((docs, rows)))
    shown = generator.integers(50, 500, docs * rows)
    alpha, theta = np.log(generator.uniform(0.1, 0.9, docs)), np.log(generator.uniform(0.2, 0.9, rows))
    p = np.exp(alpha[pair] + theta[row])
    with jax.enable_x64(True):

        def loss(x):
            log_p = x[:docs][pair] + jnp.concatenate([theta[:1], x[docs:]])[row]
            return -(shown * (p * log_p + (1 - p) * jnp.log1p(-jnp.exp(log_p)))).sum()

        full = np.linalg.inv(jax.jit(jax.hessian(loss))(jnp.concatenate([alpha, theta[1:]])))
    covariance, variances = schur_covariance(pair, row, shown * p / (1 - p), docs, rows)
    np.testing.assert_allclose(covariance[1:, 1:], full[docs:, docs:], rtol=1e-9)
    np.testing.assert_allclose(variances, np.diag(full)[:docs], rtol=1e-9)


def test_g12_intervals_cover_the_truth():
    """200 small logs: 8 documents, 4 positions, 1,500 sessions each."""
    generator = np.random.default_rng(3)
    theta, alpha = np.array([1.0, 0.75, 0.55, 0.4]), np.linspace(0.2, 0.8, 8)
    model = PBM(Table(8), PositionParam(4))
    inside = np.zeros(4)
    start = {n: p.from_row_logits(np.zeros(p.rows)) for n, p in model.parameters().items()}
    for _ in range(200):
        pairs = generator.permuted(np.tile(np.arange(1, 9), (1500, 1)), axis=1)[:, :4]
        clicks = generator.random(pairs.shape) < alpha[pairs - 1] * theta
        log = [make_batch(pairs, clicks=clicks)]
        fit = fit_em(model, log, iterations=150, tolerance=1e-7, params=start)
        table = propensities(model, fit.params, log)
        inside += (table.low <= theta) & (theta <= table.high)
    assert inside[0] == 200  # the reference
    assert (inside[1:] / 200 >= 0.90).all()
    assert (inside[1:] / 200 <= 0.99).all()


def test_ubm_has_a_propensity_for_every_browsing_state():
    world = make_world("ubm", queries=5, documents=4, max_positions=3, seed=2)
    log = [world.sessions(20_000, seed=3)]
    fit = fit_em(world.model, log, iterations=300, tolerance=1e-9)
    table = propensities(world.model, fit.params, log)
    assert table.positions.tolist() == [1, 2, 2, 3, 3, 3]
    assert table.last_clicks.tolist() == [0, 0, 1, 0, 1, 2]
    truth = row_probabilities(world.model.examination, world.params["examination"]).reshape(4, 4)
    expected = truth[table.positions, table.last_clicks] / truth[1, 0]
    assert (np.abs(table.ratio - expected) <= 4 * table.standard_error + 1e-12).all()
    assert table.rows()[2]["last_clicks"] == 1


def test_errors_of_relevance_shrink_with_impressions(pbm_world):
    """100 of 100 clicks must not outrank 9,000 of 10,000 unnoticed: the errors tell them apart."""
    log = [pbm_world.sessions(5000, seed=1)]
    fit = fit_em(pbm_world.model, log, iterations=50)
    errors = propensities(pbm_world.model, fit.params, log).pair_errors
    shown = np.bincount(log[0].pair_ids.ravel(), minlength=121)
    assert np.isinf(errors[0])
    assert np.median(errors[1:9]) < np.median(errors[-8:]) / 2  # query 1 is asked far more often than query 15
    assert shown[1] > shown[-1]


def test_standard_errors_refuse_other_models(pbm_world):
    log = [pbm_world.sessions(50, seed=1)]
    dbn = build_model("dbn", 120, 6)
    with pytest.raises(UserError, match="not for dbn"):
        propensities(dbn, dbn.init(jax.random.key(0)), log)
    biased = UBM(Table(120), BrowsingTable(6), bias=PositionParam(6))
    with pytest.raises(UserError, match="without bias"):
        propensities(biased, None, log)


def test_standard_errors_refuse_a_log_with_other_pairs(pbm_world):
    foreign = make_world("pbm", queries=200, documents=6, max_positions=6).sessions(500)
    with pytest.raises(UserError, match=r"attraction: pair id .* is outside the table"):
        propensities(pbm_world.model, pbm_world.params, [foreign])


def test_em_on_batches_equals_em_on_one_batch():
    world = make_world("dbn", queries=3, documents=4, max_positions=3)
    log = world.sessions(1000, seed=0)
    whole, cut = (fit_em(world.model, batches(log, size), iterations=3).objective for size in (1000, 300))
    np.testing.assert_allclose(whole, cut, rtol=1e-9)
