"""EM, counting and aggregation against plain loops, enumeration of latents, and autodiff."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from clax.aggregation import aggregate
from clax.batch import Batch, batches, make_batch
from clax.em import count_estimates, expected_counts, fit_em
from clax.models import PBM, build_model
from clax.parameters import L2, HashedTable, PositionParam, PseudoCounts, Table
from ir_shared.console import UserError

N, PAIRS = 4, 12
EM_MODELS = ("pbm", "ubm", "dcm", "ccm", "dbn", "sdbn")
MODELS = {name: build_model(name, PAIRS, N) for name in (*EM_MODELS, "cm", "dctr", "rctr", "gctr", "drctr")}


@pytest.fixture(scope="module")
def log():
    """300 sessions with hidden ranks whose clicks follow no model in particular."""
    generator = np.random.default_rng(5)
    pairs = np.stack([generator.permutation(PAIRS)[:N] + 1 for _ in range(300)])
    mask = generator.random(pairs.shape) < 0.9
    clicks = (generator.random(pairs.shape) < np.array([0.6, 0.4, 0.35, 0.2])) & mask
    return batches(make_batch(pairs, clicks=clicks, mask=mask), 300)


def _logits(model, seed=0):
    generator = np.random.default_rng(seed)
    return {name: generator.normal(0, 1, p.rows) for name, p in model.parameters().items()}


def _weights(model, logits):
    return {name: parameter.from_row_logits(logits[name]) for name, parameter in model.parameters().items()}


def _share(x):
    return 1 / (1 + np.exp(-x))


def _rows(log):
    for pair, position, click, valid in zip(*log.arrays[:4], strict=True):
        last = 0
        for d, k, c, v in zip(pair, position, click, valid, strict=True):
            if v:
                yield int(d), int(k), bool(c), last
                last = int(k) if c else last


@pytest.mark.parametrize("name", ["pbm", "ubm"])
def test_g10_em_equals_a_plain_double_loop(name, log):
    model = MODELS[name]
    start = _logits(model)
    alpha, theta = _share(start["attraction"]), _share(start["examination"])
    for _ in range(3):
        sums = [np.ones((len(x), 2)) for x in (alpha, theta)]  # prior of one success and one failure
        for d, k, click, last in _rows(log):
            row = k if name == "pbm" else k * (N + 1) + last
            a, t = alpha[d], theta[row]
            attracted, examined = (1.0, 1.0) if click else (a * (1 - t) / (1 - a * t), t * (1 - a) / (1 - a * t))
            sums[0][d] += attracted, 1 - attracted
            sums[1][row] += examined, 1 - examined
        alpha, theta = (s[:, 0] / s.sum(1) for s in sums)
    with jax.enable_x64(True):
        weights = _weights(model, start)
    fit = fit_em(model, log, iterations=3, prior=PseudoCounts(1, 1), params=weights)
    found = [_share(np.asarray(p.row_logits(fit.params[n]), float)) for n, p in model.parameters().items()]
    np.testing.assert_allclose(found[0], alpha, atol=1e-6)
    np.testing.assert_allclose(found[1], theta, atol=1e-6)


@pytest.mark.parametrize("name", EM_MODELS)
def test_g10_the_objective_never_falls(name, log):
    fit = fit_em(MODELS[name], log, iterations=40, prior=PseudoCounts(0.5, 0.5))
    assert (np.diff(fit.objective) >= -1e-9).all()
    assert fit.objective[-1] > fit.objective[0] + 1


@pytest.mark.parametrize("name", EM_MODELS)
def test_g6_expected_counts_give_the_score(name, log):
    """The score by a logit is events - p (events + non-events), whatever the latent variables (Fisher's identity)."""
    model = MODELS[name]
    logits = _logits(model, 3)
    _, _, counts = expected_counts(model, logits, log)
    with jax.enable_x64(True):
        weights = _weights(model, logits)
        slope = jax.jit(jax.grad(lambda w, b: model.session_log_likelihood(w, b).sum()))(weights, log.arrays)
    for n, (yes, no) in counts.items():
        score = np.asarray(slope[n].get("pair_rows", slope[n].get("rows")))
        np.testing.assert_allclose(yes - _share(logits[n]) * (yes + no), score, atol=1e-9)


@pytest.mark.parametrize("name", ["ubm", "ccm", "dbn", "cm"])
def test_g6_gradients_equal_central_differences(name, log):
    model = MODELS[name]
    generator = np.random.default_rng(8)
    with jax.enable_x64(True):
        weights = _weights(model, _logits(model, 1))
        run = jax.jit(jax.value_and_grad(lambda w, b: model.session_log_likelihood(w, b).sum()))
        _, slope = run(weights, log.arrays)
        for _ in range(3):
            way = jax.tree.map(lambda x: generator.normal(size=x.shape), weights)
            step = 1e-5
            up, down = (
                run(jax.tree.map(lambda x, d, s=s: x + s * d, weights, way), log.arrays)[0] for s in (step, -step)
            )
            along = sum(float((a * b).sum()) for a, b in zip(*map(jax.tree.leaves, (slope, way)), strict=True))
            assert along == pytest.approx(float(up - down) / (2 * step), rel=1e-6)


def test_g6_em_moves_nothing_at_an_interior_optimum(log):
    """Optimum found by scipy's L-BFGS on the autodiff score, not by EM."""
    from scipy.optimize import minimize

    model = MODELS["pbm"]
    cells = aggregate(log, model)
    with jax.enable_x64(True):
        names = {n: p.rows for n, p in model.parameters().items()}

        def split(x):
            return _weights(model, {"attraction": x[: PAIRS + 1], "examination": x[PAIRS + 1 :]})

        run = jax.jit(jax.value_and_grad(lambda w: -model.session_log_likelihood(w, cells).sum()))

        def objective(x):
            value, slope = run(split(x))
            return float(value), np.r_[slope["attraction"]["pair_rows"], slope["examination"]["rows"]].astype(float)

        best = minimize(
            objective,
            np.zeros(sum(names.values())),
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-9, "maxiter": 5000},
        )
        start = split(best.x)
    fit = fit_em(model, log, iterations=1, params=start)
    for name, parameter in model.parameters().items():
        before, after = (_share(np.asarray(parameter.row_logits(w[name]), float))[1:] for w in (start, fit.params))
        np.testing.assert_allclose(after, before, atol=1e-5)
        assert ((before > 0.01) & (before < 0.995)).mean() > 0.9


@pytest.mark.parametrize("name", ["dcm", "ccm", "dbn", "sdbn", "ubm"])
def test_the_evidence_is_the_likelihood_also_with_hidden_ranks(name, log):
    model = MODELS[name]
    total, weight, _ = expected_counts(model, _logits(model, 2), log)
    run = jax.jit(model.session_log_likelihood)
    assert total == pytest.approx(float(run(_weights(model, _logits(model, 2)), log.arrays).sum()), rel=1e-5)
    assert weight == log.arrays.mask.sum()


def test_dbn_counts_equal_a_walk_over_its_latents():
    """One session with clicks 0,1,0 and pairs 1,2,3: every path of attraction, satisfaction and continuation."""
    model = build_model("dbn", 3, 3)
    logits = _logits(model, 6)
    a, s, g = (_share(logits[n]) for n in ("attraction", "satisfaction", "continuation"))
    g = g[0]
    paths = []  # (probability, attraction failures at rank 3, satisfaction at rank 2, goes on, stops)
    first = (1 - a[1]) * g  # rank 1 is examined and not clicked, and the user goes on
    click = first * a[2]
    paths.append((click * s[2], 0, 1, 1, 0))
    paths.append((click * (1 - s[2]) * (1 - g), 0, 0, 1, 1))
    paths.append((click * (1 - s[2]) * g * (1 - a[3]), 1, 0, 2, 0))
    p = np.array([x[0] for x in paths])
    fails, satisfied, on, off = (p @ np.array([x[i] for x in paths]) / p.sum() for i in range(1, 5))
    batch = make_batch([[1, 2, 3]], clicks=[[0, 1, 0]])
    total, _, counts = expected_counts(model, logits, [batch])
    assert total == pytest.approx(np.log(p.sum()), abs=1e-12)
    np.testing.assert_allclose(counts["attraction"][1], [0, 1, 0, fails], atol=1e-12)
    np.testing.assert_allclose(counts["attraction"][0], [0, 0, 1, 0], atol=1e-12)
    assert counts["satisfaction"][0][2] == pytest.approx(satisfied, abs=1e-12)
    assert [float(x[0]) for x in counts["continuation"]] == pytest.approx([on, off], abs=1e-12)


@pytest.mark.parametrize("name", ["gctr", "rctr", "dctr", "drctr", "cm"])
def test_g7_counting_is_the_maximum_of_the_likelihood(name, log):
    model = MODELS[name]
    counted = count_estimates(model, log, prior=PseudoCounts(1, 2))
    fitted = fit_em(model, log, iterations=1, prior=PseudoCounts(1, 2)).params
    [parameter] = model.parameters().values()
    [key] = model.parameters()
    a, b = (np.asarray(parameter.row_logits(w[key])) for w in (counted, fitted))
    np.testing.assert_allclose(a, b, atol=1e-5)
    events, chances = np.zeros(parameter.rows), np.zeros(parameter.rows)
    for d, k, click, last in _rows(log):
        row = {"gctr": 0, "rctr": k, "dctr": d, "cm": d, "drctr": d * (N + 1) + k}[name]
        if name != "cm" or last == 0:
            events[row] += click
            chances[row] += 1
    expected = (events + 1) / (chances + 3)
    seen = chances > 0
    np.testing.assert_allclose(_share(a)[seen], expected[seen], atol=1e-6)


def test_counting_sdbn_and_dcm_equals_a_plain_loop(log):
    attraction, satisfaction, going_on = np.ones((PAIRS + 1, 2)), np.ones((PAIRS + 1, 2)), np.ones((N + 1, 2))
    for pair, position, click, valid in zip(*log.arrays[:4], strict=True):
        clicked = [i for i in range(N) if valid[i] and click[i]]
        last = clicked[-1] if clicked else N - 1
        for i in range(last + 1):
            if valid[i]:
                attraction[pair[i], 0 if click[i] else 1] += 1
        for i in clicked:
            satisfaction[pair[i], 0 if i == last else 1] += 1
            going_on[position[i], 1 if i == last else 0] += 1
    for name, other, expected in (("sdbn", "satisfaction", satisfaction), ("dcm", "continuation", going_on)):
        model = MODELS[name]
        weights = count_estimates(model, log, prior=PseudoCounts(1, 1))
        for key, sums in (("attraction", attraction), (other, expected)):
            found = _share(np.asarray(model.parameters()[key].row_logits(weights[key])))[1:]
            np.testing.assert_allclose(found, (sums[:, 0] / sums.sum(1))[1:], atol=1e-6)


def test_aggregation_is_exact_and_can_be_repeated(log):
    cells = aggregate(log, MODELS["ubm"])
    table = {}
    for d, k, click, last in _rows(log):
        table[d, k, last, click] = table.get((d, k, last, click), 0) + 1
    columns = (cells.pair_ids, cells.positions, cells.last_clicks, cells.clicks)
    keys = zip(*(x[:, 0].tolist() for x in columns), strict=True)
    assert dict(zip(keys, cells.weights[:, 0].tolist(), strict=True)) == table
    again = aggregate(batches(cells, 10), MODELS["pbm"])
    assert again.weights.sum() == log.arrays.mask.sum()
    direct = aggregate(log, MODELS["pbm"])
    np.testing.assert_array_equal(again.weights, direct.weights)
    for name in ("pbm", "ubm"):
        a, b = (expected_counts(MODELS[name], _logits(MODELS[name]), [x])[0] for x in (log.arrays, cells))
        assert a == pytest.approx(b, rel=1e-9)


def test_hashed_tables_work_with_em_and_signed_ones_are_refused(log):
    fit = fit_em(PBM(HashedTable(PAIRS, ratio=3), PositionParam(N)), log, iterations=5)
    assert (np.diff(fit.objective) >= -1e-9).all()
    with pytest.raises(UserError, match="HashedTable, but EM and counting need tables"):
        fit_em(PBM(HashedTable(PAIRS, signed=True), PositionParam(N)), log)


def test_what_em_and_counting_cannot_do_is_said(log):
    with pytest.raises(UserError, match="mixture cannot be fitted by EM"):
        fit_em(build_model("pbm+dbn", PAIRS, N), log)
    with pytest.raises(UserError, match="L2 prior"):
        fit_em(PBM(Table(PAIRS, L2(1.0)), PositionParam(N)), log)
    with pytest.raises(UserError, match="dbn has no estimate by counting"):
        count_estimates(MODELS["dbn"], log)
    with pytest.raises(UserError, match="dbn needs whole sessions"):
        aggregate(log, MODELS["dbn"])
    nothing = Batch(*(x if x is None else x & False if x.dtype == bool else x for x in log.arrays))
    with pytest.raises(UserError, match="no session"):
        aggregate([nothing], MODELS["pbm"])


@pytest.mark.parametrize("estimate", [fit_em, count_estimates])
@pytest.mark.parametrize("name", ["pbm", "sdbn", "dctr"])
def test_numbers_beyond_the_tables_are_refused(name, estimate, log):
    if (name, estimate) == ("pbm", count_estimates):
        return  # has no such estimate
    with pytest.raises(UserError, match=rf"{name}: .*: pair id {PAIRS} is outside the table of 1..5"):
        estimate(build_model(name, 5, N), log)


def test_data_that_is_empty_or_can_be_read_only_once_is_refused(log):
    for data in ([], iter(log)):
        with pytest.raises(UserError, match="no session with a valid rank"):
            fit_em(MODELS["dbn"], data, iterations=3)
