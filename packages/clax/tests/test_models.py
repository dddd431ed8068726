"""Every model against golden values, enumeration of its latents, and the identities between models."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.batch import Batch, make_batch, pad_batch
from clax.logprob import log_add
from clax.models import CCM, CM, DBN, DCM, DCTR, MODEL_NAMES, PBM, SDBN, UBM, Mixture, build_model
from clax.parameters import BrowsingTable, GlobalParam, PositionParam, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError

N = 5
ALL = (*MODEL_NAMES, "pbm+dbn")
MODELS = {name: build_model(name, N, N) for name in ALL}
CLICKS = np.array([[i >> r & 1 for r in range(N)] for i in range(2**N)], bool)
PAIRS = np.tile(np.arange(1, N + 1), (2**N, 1))

GOLDEN = {
    "pbm": (-2.84976186, (0.19, 0.35, 0.15, 0.245, 0.02), (0.19, 0.35, 0.15, 0.245, 0.02)),
    "ubm": (
        -2.26652519,
        (0.173913, 0.3846154, 0.24, 0.4666667, 0.08),
        (0.17391304, 0.38729097, 0.21899758, 0.46978172, 0.06844067),
    ),
    "dcm": (-2.18128824, (0.2, 0.5, 0.18, 0.3585366, 0.04), (0.2, 0.49, 0.2352, 0.46648, 0.0386512)),
    "ccm": (-2.48843987, (0.2, 0.45, 0.165, 0.290479, 0.049), (0.2, 0.424, 0.18444, 0.34988268, 0.03063973)),
    "dbn": (-2.4620609, (0.2, 0.4, 0.216, 0.36, 0.056), (0.2, 0.368, 0.167808, 0.25685811, 0.02319062)),
    "sdbn": (-1.80757183, (0.2, 0.5, 0.27, 0.6041096, 0.07), (0.2, 0.46, 0.2622, 0.501676, 0.05661772)),
    "cm": (-2.12026354, (0.2, 0.5, 0.3, 0, 0), (0.2, 0.4, 0.12, 0.196, 0.0084)),
    "pbm+dbn": (
        -2.67628293,
        (0.194, 0.36985112, 0.17833948, 0.29211612, 0.03817695),
        (0.194, 0.3572, 0.1571232, 0.24974324, 0.02127625),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_g1_golden_values(name, oracle, scored):
    likelihood, conditional, marginal = GOLDEN[name]
    row = 4 if name == "cm" else 10  # clicks 0,0,1,0,0 or 0,1,0,1,0 among all click vectors
    model = MODELS[name]
    weights = oracle.weights_of(model, oracle.golden_story())
    total, given_above, before = scored(model, weights, make_batch(PAIRS, clicks=CLICKS))
    assert float(total[row]) == pytest.approx(likelihood, abs=1e-6)
    np.testing.assert_allclose(np.exp(given_above.yes[row]), conditional, atol=1e-6)
    np.testing.assert_allclose(np.exp(before.yes[row]), marginal, atol=1e-6)


def test_g1_dbn_with_a_hidden_rank(oracle, scored):
    batch = make_batch(PAIRS, mask=np.tile([1, 1, 0, 1, 1], (2**N, 1)))._replace(clicks=CLICKS)
    total, _, _ = scored(MODELS["dbn"], oracle.weights_of(MODELS["dbn"], oracle.golden_story()), batch)
    assert float(total[10]) == pytest.approx(-1.88224241, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 10**6), visible=st.lists(st.booleans(), min_size=N, max_size=N))
@settings(max_examples=8, deadline=None)
def test_g2_g3_likelihood_marginals_and_chain_rule_equal_enumeration(name, oracle, scored, seed, visible):
    model, story = MODELS[name], oracle.random_story(N, seed)
    mask = np.tile(visible, (2**N, 1))
    batch = make_batch(PAIRS, mask=mask)._replace(clicks=CLICKS)  # clicks at hidden ranks must not be read
    total, conditional, marginal = scored(model, oracle.weights_of(model, story), batch)
    members, prior = name.split("+"), (0.6, 0.4) if "+" in name else (1.0,)
    each = [oracle.enumerate_story(member, story, visible) for member in members]
    truth = {c: sum(p * e[c] for p, e in zip(prior, each, strict=True)) for c in each[0]}
    assert sum(truth.values()) == pytest.approx(1, abs=1e-9)
    terms = np.where(mask, np.where(CLICKS, conditional.yes, conditional.no), 0).sum(1)
    for row, clicks in enumerate(CLICKS.astype(int)):
        seen = tuple(clicks * np.array(visible))
        if name == "cm" and sum(seen) > 1:
            continue  # impossible under CM; see the test of its floor
        assert float(total[row]) == pytest.approx(np.log(truth[seen]), abs=2e-5)
        assert terms[row] == pytest.approx(float(total[row]), abs=2e-5)
    rates = sum(p * np.array(c) for c, p in truth.items())
    np.testing.assert_allclose(np.exp(marginal.yes[0])[visible], rates[visible], atol=2e-6)


@pytest.mark.parametrize("name", [name for name in ALL if "ctr" not in name])
@pytest.mark.parametrize("scale", [1.0, 20.0, 60.0])
def test_g4_extreme_logits_keep_pairs_and_gradients_finite(name, scale, scored):
    model = MODELS[name]
    generator = np.random.default_rng(7)
    weights = jax.tree.map(lambda x: jnp.asarray(generator.uniform(-scale, scale, x.shape), x.dtype), _fresh(model))
    batch = make_batch(PAIRS, clicks=CLICKS)
    _, conditional, marginal = scored(model, weights, batch)
    for pair in (conditional, marginal):
        np.testing.assert_allclose(log_add(pair.yes, pair.no), 0, atol=1e-6)
    loss, gradients = _slope(model)(weights, batch)
    assert np.isfinite(float(loss))
    assert all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(gradients))


def test_g5_models_are_special_cases_of_each_other(oracle, scored):
    story = oracle.random_story(N, 5)
    batch = make_batch(PAIRS, clicks=CLICKS)

    def total(name, **changes):
        model = MODELS[name]
        return np.asarray(scored(model, oracle.weights_of(model, {**story, **changes}), batch)[0])

    sure, never, t = 1 - 1e-9, 1e-9, 0.37
    single = CLICKS.sum(1) <= 1
    np.testing.assert_allclose(total("dbn", gamma=sure), total("sdbn"), atol=1e-5)
    np.testing.assert_allclose(total("dcm", **{"lambda": (never,) * N})[single], total("cm")[single], atol=1e-5)
    np.testing.assert_allclose(total("ccm", tau=(sure, t, t)), total("dcm", **{"lambda": (t,) * N}), atol=1e-5)
    flat = {(k, n): story["theta"][k - 1] for k in range(1, N + 1) for n in range(k)}
    np.testing.assert_allclose(total("ubm", browsing=flat), total("pbm"), atol=1e-5)
    np.testing.assert_allclose(total("pbm", theta=(sure,) * N), total("dctr"), atol=1e-5)


@pytest.mark.parametrize("name", ["pbm", "dbn"])
def test_g5_a_mixture_of_one_is_its_member(name, oracle, scored):
    model = MODELS[name]
    weights = oracle.weights_of(model, oracle.random_story(N, 2))
    batch = make_batch(PAIRS, clicks=CLICKS)
    alone = scored(model, weights, batch)
    mixed = scored(Mixture((model,)), {"prior": jnp.zeros(1), "shared": {}, "members": {"0": weights}}, batch)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), alone, mixed)


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("gctr", "rctr", "drctr")])
def test_g8_padding_order_and_batch_size_change_nothing(name, oracle, scored):
    model = MODELS[name]
    weights = oracle.weights_of(model, oracle.random_story(N, 9))
    generator = np.random.default_rng(0)
    mask = generator.random((2**N, N)) < 0.7
    batch = make_batch(PAIRS, clicks=CLICKS & mask, mask=mask)
    total = np.asarray(scored(model, weights, batch)[0])
    order = generator.permutation(2**N)
    permuted = Batch(*(x if x is None else x[order] for x in batch))
    np.testing.assert_array_equal(np.asarray(scored(model, weights, permuted)[0]), total[order])
    alone_and_wider = Batch(*(x if x is None else np.pad(x[3:4], ((0, 0), (0, 2))) for x in batch))
    np.testing.assert_allclose(np.asarray(scored(model, weights, alone_and_wider)[0]), total[3:4], atol=1e-6)
    part = Batch(*(x if x is None else x[:7] for x in batch))
    padded = np.asarray(scored(model, weights, pad_batch(part, 2**N))[0])
    np.testing.assert_array_equal(padded[:7], total[:7])
    assert not padded[7:].any()


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("rctr", "drctr")])
def test_g9_samples_have_the_click_rates_of_the_model(name, oracle, scored):
    model = MODELS[name]
    weights = oracle.weights_of(model, oracle.golden_story())
    n = 200_000
    batch = make_batch(np.tile(np.arange(1, N + 1), (n, 1)), mask=np.tile([1, 1, 0, 1, 1], (n, 1)))
    clicks = np.asarray(jax.jit(model.sample)(weights, batch, jax.random.key(11)).clicks)
    few = Batch(*(x if x is None else x[: 2**N] for x in batch))
    rates = np.where(few.mask, np.exp(scored(model, weights, few)[2].yes), 0)[0]
    error = np.sqrt(rates * (1 - rates) / n)
    assert (np.abs(clicks.mean(0) - rates) <= 4 * error).all()
    assert not clicks[:, 2].any()
    assert len({row.tobytes() for row in clicks}) > 3


def test_samples_explain_themselves(oracle):
    model = MODELS["dbn"]
    weights = oracle.weights_of(model, oracle.golden_story())
    batch = make_batch(np.tile(np.arange(1, N + 1), (500, 1)))
    clicks, latents = model.sample(weights, batch, jax.random.key(0))
    np.testing.assert_array_equal(clicks, latents["examination"] & latents["attraction"])
    satisfied = np.asarray(clicks & latents["satisfaction"])
    after = np.cumsum(satisfied, 1) - satisfied > 0
    assert not np.asarray(latents["examination"])[after].any()


@pytest.mark.parametrize("kind", ["floor", "ignore"])
def test_cm_after_its_first_click(kind, oracle):
    model = replace(MODELS["cm"], after_first_click=kind)
    weights = oracle.weights_of(model, oracle.golden_story())
    batch = make_batch(PAIRS[:1], clicks=[[0, 1, 0, 1, 0]])
    expected = np.log(0.8) + np.log(0.5) + (np.log(1e-8) if kind == "floor" else 0.0)
    assert float(model.session_log_likelihood(weights, batch)[0]) == pytest.approx(expected, abs=1e-5)
    assert np.asarray(model.scored_mask(batch)).sum() == (5 if kind == "floor" else 2)


def test_relevance_is_what_each_model_ranks_by(oracle):
    story = oracle.golden_story()
    batch = make_batch(PAIRS[:1])
    alpha, sigma = np.array(story["alpha"]), np.array(story["sigma"])
    for name, expected in {"gctr": 0 * alpha, "rctr": 0 * alpha, "dbn": np.log(alpha * sigma)}.items():
        model = MODELS[name]
        np.testing.assert_allclose(model.relevance(oracle.weights_of(model, story), batch)[0], expected, atol=1e-6)
    for name in ("dctr", "cm", "pbm", "ubm", "dcm", "ccm"):
        model = MODELS[name]
        np.testing.assert_allclose(model.relevance(oracle.weights_of(model, story), batch)[0], np.log(alpha), atol=1e-6)
    mixture = MODELS["pbm+dbn"]
    expected = np.log(0.6 * alpha + 0.4 * alpha * sigma)
    np.testing.assert_allclose(mixture.relevance(oracle.weights_of(mixture, story), batch)[0], expected, atol=1e-6)
    drctr = MODELS["drctr"]
    weights = drctr.init(jax.random.key(0))
    mean = np.asarray(weights["rate"]["rows"]).reshape(N + 1, N + 1)[1:, 1:].mean(1)
    np.testing.assert_allclose(drctr.relevance(weights, batch)[0], -np.log1p(np.exp(-mean)), atol=1e-6)


def test_a_mixture_shares_and_refuses():
    table = Table(N)
    model = Mixture((PBM(table, PositionParam(N)), DCM(table, PositionParam(N)), CM(table)), shared=("attraction",))
    weights = model.init(jax.random.key(0))
    assert set(weights["shared"]) == {"attraction"}
    assert [set(weights["members"][str(i)]) for i in range(3)] == [{"examination"}, {"continuation"}, set()]
    with pytest.raises(UserError, match="defined alike"):
        Mixture((PBM(table, PositionParam(N)), CM(Table(N + 1))), shared=("attraction",))
    with pytest.raises(UserError, match="floor"):
        Mixture((CM(table, after_first_click="ignore"),))
    hot = replace(MODELS["pbm+dbn"], temperature=2.0)
    with pytest.raises(UserError, match="temperature"):
        hot.conditional_log_probs(hot.init(jax.random.key(0)), make_batch(PAIRS))


def test_build_model_names_what_it_knows():
    assert isinstance(build_model("ubm", 3, 4), UBM)
    assert {type(MODELS[n]) for n in ("ccm", "dbn", "sdbn", "dctr")} == {CCM, DBN, SDBN, DCTR}
    with pytest.raises(UserError, match="choose one of gctr"):
        build_model("ncm", 3, 4)


def test_ubm_takes_bias_columns():
    plain = UBM(Table(N), BrowsingTable(N))
    shifted = UBM(Table(N), BrowsingTable(N), bias=GlobalParam())
    batch = make_batch(PAIRS, clicks=CLICKS)
    weights = plain.init(jax.random.key(1))
    up = {**weights, "examination": {"rows": weights["examination"]["rows"] + 0.7}}
    moved = {**weights, "bias": {"rows": jnp.array([0.7])}}
    for f in ("conditional_log_probs", "log_click_probs"):
        a, b = (getattr(m, f)(w, batch) for m, w in ((plain, up), (shifted, moved)))
        np.testing.assert_allclose(a.yes, b.yes, atol=1e-6)


def _fresh(model):
    return model.init(jax.random.key(0))


_SLOPES = {}


def _slope(model):
    if model not in _SLOPES:
        _SLOPES[model] = jax.jit(jax.value_and_grad(lambda w, b: -model.session_log_likelihood(w, b).sum()))
    return _SLOPES[model]
