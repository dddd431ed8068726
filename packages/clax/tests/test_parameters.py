"""Parameters: shapes, gradients, sharing of rows, adapters to Flax, and refusals."""

from __future__ import annotations

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.batch import batches, make_batch
from clax.fit_result import TrainConfig
from clax.models import PBM, build_model
from clax.parameters import (
    L2,
    MLP,
    ColumnTable,
    DeepCross,
    FlaxParam,
    FunctionParam,
    GlobalParam,
    HashedTable,
    Linear,
    PairPositionTable,
    PositionParam,
    PseudoCounts,
    QRTable,
    Sum,
    Table,
)
from clax.training import train
from ir_shared.console import UserError

N, P, F = 50, 4, 3


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    pairs = generator.integers(1, N + 1, (6, P))
    features = generator.normal(size=(6, P, F))
    kinds = generator.integers(0, 3, (6, P, 1))
    return make_batch(pairs, clicks=generator.random((6, P)) < 0.4, features=features, bias_features=kinds)


def _linen():
    from flax import linen

    return FlaxParam(linen.Sequential([linen.Dense(5), linen.elu, linen.Dense(1)]), features=F)


def _nnx_linear(rngs):
    from flax import nnx

    return nnx.Linear(F, 1, rngs=rngs)


def _plain():
    return FunctionParam(lambda key: {"w": jax.random.normal(key, (F,))}, lambda p, b: b.features @ p["w"])


ANY = {
    "global": lambda: GlobalParam(),
    "position": lambda: PositionParam(P),
    "table": lambda: Table(N),
    "pair and position": lambda: PairPositionTable(N, P),
    "hashed": lambda: HashedTable(N),
    "hashed, signed": lambda: HashedTable(N, signed=True),
    "quotient-remainder": lambda: QRTable(N),
    "quotient-remainder, sum": lambda: QRTable(N, combine="sum"),
    "column": lambda: ColumnTable(0, 3),
    "linear": lambda: Linear(F),
    "mlp": lambda: MLP(F),
    "deep-cross": lambda: DeepCross(F),
    "deep-cross, parallel": lambda: DeepCross(F, parallel=True, hidden=(4,)),
    "bfloat16": lambda: MLP(F, precision="bfloat16"),
    "sum": lambda: Sum((PositionParam(P), Linear(1, source="bias_features"))),
    "linen": _linen,
    "nnx": lambda: FlaxParam(_nnx_linear, features=F),
    "function": _plain,
}


@pytest.mark.parametrize("kind", ANY)
def test_any_parameter_gives_a_logit_per_rank_and_learns(kind, batch):
    parameter = ANY[kind]()
    params = jax.jit(parameter.init)(jax.random.key(1))
    one = type(batch)(*(x if x is None else x[:1] for x in batch))
    assert jax.eval_shape(parameter.logits, params, batch).shape == (6, P)
    assert jax.eval_shape(parameter.logits, params, one).shape == (1, P)  # a batch of one keeps its axis
    slope = jax.jit(jax.grad(lambda p: (parameter.logits(p, batch) ** 2).sum()))(params)
    leaves = [np.asarray(x) for x in jax.tree.leaves(slope)]
    assert all(np.isfinite(x).all() for x in leaves)
    assert any((x != 0).any() for x in leaves)
    getattr(parameter, "check", lambda _: None)(batch)


@pytest.mark.parametrize("kind", ["deep-cross", "linen", "nnx", "function"])
def test_networks_of_every_origin_train_as_attraction(kind, batch):
    model = PBM(ANY[kind](), PositionParam(P))
    fit = train(model, batches(batch, 6), config=TrainConfig(epochs=15, lr=0.05))
    assert fit.history[-1].train_loss < fit.history[0].train_loss - 0.01


def test_bfloat16_products_stay_close_to_float32(batch):
    exact, rough = MLP(F), MLP(F, precision="bfloat16")
    params = jax.jit(exact.init)(jax.random.key(3))
    a, b = (jax.jit(p.logits)(params, batch) for p in (exact, rough))
    assert b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.05)
    assert not np.array_equal(a, b)


def test_hashing_spreads_pairs_evenly_and_differs_by_seed():
    table = HashedTable(100_000, ratio=100)
    ids = make_batch(np.arange(1, 100_001)[:, None])
    rows = np.asarray(table.index(ids)).ravel()
    counts = np.bincount(rows, minlength=1000)
    assert table.rows == 1000
    statistic = ((counts - 100) ** 2 / 100).sum()  # chi-squared, 999 degrees of freedom: mean 999, sd 45
    assert abs(statistic - 999) < 5 * 45
    assert (np.asarray(HashedTable(100_000, ratio=100, seed=1).index(ids)).ravel() != rows).mean() > 0.9


@pytest.mark.parametrize(
    ("kind", "ratio"), [(HashedTable, 0), (HashedTable, float("nan")), (QRTable, 0), (QRTable, -2)]
)
def test_a_smaller_table_has_a_pair_per_row_at_least(kind, ratio):
    with pytest.raises(UserError, match="at least 1 pair per row"):
        kind(10, ratio)


def test_no_two_pairs_share_both_rows_of_a_qr_table():
    table = QRTable(997, ratio=10)
    ids = np.arange(1, 998)
    places = Counter(zip((ids % table.quotients).tolist(), (ids // table.quotients).tolist(), strict=True))
    assert max(places.values()) == 1
    assert (ids // table.quotients).max() < 10
    assert table.quotients + 10 < 997 / 5


def test_unseen_pairs_keep_the_baseline():
    table = Table(N)
    params = table.init(jax.random.key(0))
    np.testing.assert_allclose(table.row_logits(params), 1.0, atol=0.05)
    np.testing.assert_allclose(table.row_logits(table.from_row_logits(np.arange(N + 1.0))), np.arange(N + 1.0))


def test_priors_are_the_densities_they_say():
    from scipy.stats import beta

    x = jnp.array([-1.0, 0.3, 2.0])
    p = 1 / (1 + np.exp(-np.asarray(x, float)))
    difference = PseudoCounts(2, 5).penalty(x) + beta(3, 6).logpdf(p).sum()
    again = PseudoCounts(2, 5).penalty(x + 1) + beta(3, 6).logpdf(1 / (1 + np.exp(-np.asarray(x + 1, float)))).sum()
    assert float(difference) == pytest.approx(float(again), abs=1e-5)
    assert float(L2(4.0).penalty(x)) == pytest.approx(2 * (1 + 0.09 + 4), rel=1e-6)
    with pytest.raises(UserError, match="neither may be negative"):
        PseudoCounts(-1, 1)


def test_padding_is_outside_priors_and_baselines_are_what_l2_pulls_to():
    table = Table(2, L2(2.0))
    params = {"baseline": jnp.float32(5.0), "pair_rows": jnp.array([9.0, 1.0, 2.0])}
    assert float(table.penalty(params)) == 5.0
    linear = Linear(F, prior=L2(2.0))
    weights = linear.init(jax.random.key(0))
    assert float(linear.penalty(weights)) == pytest.approx(float((weights["out"]["kernel"] ** 2).sum()))


def test_a_mixture_counts_a_shared_prior_once():
    model = build_model("pbm+dbn", 3, 2, prior=PseudoCounts(1, 1))
    params = jax.tree.map(jnp.zeros_like, model.init(jax.random.key(0)))
    # 3 shared pairs, 2 positions, 3 satisfactions, 1 continuation: each 2 log 2.
    assert float(model.penalty(params)) == pytest.approx(9 * 2 * np.log(2), rel=1e-6)


def test_modules_with_state_and_impossible_tables_are_refused(batch):
    from flax import linen, nnx

    with pytest.raises(UserError, match="state besides its weights"):
        FlaxParam(linen.BatchNorm(use_running_average=False), features=F).init(jax.random.key(0))
    with pytest.raises(UserError, match="state besides its weights"):
        FlaxParam(lambda rngs: nnx.BatchNorm(F, rngs=rngs), features=F).init(jax.random.key(0))
    with pytest.raises(UserError, match="more than int32"):
        PairPositionTable(2**30, 10)
    with pytest.raises(UserError, match=r"column 0 of bias_features holds 2, not one of 0\.\.1"):
        ColumnTable(0, 2).check(batch)
    with pytest.raises(UserError, match="there is no 4"):
        ColumnTable(4, 2).check(batch)
    with pytest.raises(UserError, match="term 0: position 4 is outside"):
        Sum((PositionParam(3), GlobalParam())).check(batch)
