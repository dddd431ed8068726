"""Training: the best weights come back, runs repeat and resume exactly, and bad input stops with a clear line."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from clax.aggregation import aggregate
from clax.batch import Batch, batches, make_batch
from clax.fit_result import TrainConfig
from clax.losses import loss_terms
from clax.models import CM, DBN, PBM, build_model
from clax.parameters import L2, HashedTable, Linear, PositionParam, PseudoCounts, Table
from clax.training import train
from ir_shared.console import DataWarning, UserError

SIZE = 500
PBM_MODEL = build_model("pbm", 120, 6)


@pytest.fixture(scope="module")
def log(small_log):
    _, sessions = small_log
    return batches(sessions._replace(labels=None, query_ids=None), SIZE, shuffle=1)


@pytest.fixture(scope="module")
def overfitted(log):
    """A run on 100 sessions that overfits; its validation data is the rest."""
    few = batches(Batch(*(x if x is None else x[:100] for x in log.arrays)), SIZE, shuffle=0)
    rest = batches(Batch(*(x if x is None else x[500:1000] for x in log.arrays)), SIZE)
    config = TrainConfig(lr=0.5, weight_decay=0.0, epochs=40, patience=40)
    return few, rest, config, train(PBM_MODEL, few, rest, config)


def _loss(model, params, data):
    terms = [loss_terms(model, params, batch) for batch in data]
    return float(sum(t for t, _ in terms) / sum(w for _, w in terms))


def test_g13_the_weights_of_the_best_epoch_come_back_without_early_stop(overfitted):
    _, rest, _, fit = overfitted
    losses = [epoch.valid_loss for epoch in fit.history]
    assert fit.stopped == "epochs"
    assert min(losses) < losses[-1] - 0.01  # it did overfit
    assert fit.best_epoch == 1 + int(np.argmin(losses))
    assert _loss(PBM_MODEL, fit.params, rest) == pytest.approx(min(losses), abs=1e-6)


def test_g13_and_with_early_stop(overfitted):
    few, rest, _, _ = overfitted
    fit = train(PBM_MODEL, few, rest, TrainConfig(lr=0.5, weight_decay=0.0, epochs=40, patience=1))
    losses = [epoch.valid_loss for epoch in fit.history]
    assert fit.stopped == "patience"
    assert len(losses) == fit.best_epoch + 2
    assert _loss(PBM_MODEL, fit.params, rest) == pytest.approx(min(losses), abs=1e-6)


def test_g14_the_same_seed_gives_the_same_history_and_bytes(overfitted):
    few, rest, config, fit = overfitted
    again = train(PBM_MODEL, few, rest, config)
    assert again.history == fit.history
    assert _bytes(again.params) == _bytes(fit.params)


def test_a_resumed_run_ends_in_the_same_bytes(overfitted):
    few, rest, config, fit = overfitted
    half = train(PBM_MODEL, few, rest, TrainConfig(lr=0.5, weight_decay=0.0, epochs=13, patience=40))
    saved = jax.tree.map(lambda x: np.asarray(x).copy() if isinstance(x, jax.Array) else x, vars(half.state))
    resumed = train(PBM_MODEL, few, rest, config, state=type(half.state)(**saved))
    assert resumed.history == fit.history
    assert _bytes((resumed.params, resumed.state.opt_state)) == _bytes((fit.params, fit.state.opt_state))


def test_callbacks_see_every_step_and_epoch(log):
    steps, states = [], []
    train(
        PBM_MODEL,
        log,
        config=TrainConfig(lr=0.5, weight_decay=0.0, epochs=2),
        on_step=lambda *s: steps.append(s),
        on_epoch=states.append,
    )
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert [len(state.history) for state in states] == [1, 2]


def test_sparse_updates_equal_dense_ones_where_all_rows_are_looked_up(log):
    plain = {"lr": 0.5, "weight_decay": 0.0, "epochs": 2}
    every = batches(Batch(*(x if x is None else x[: 2 * SIZE] for x in log.arrays)), SIZE)
    dense, sparse = (train(PBM_MODEL, every, config=TrainConfig(**plain, sparse=s)) for s in (False, True))
    for a, b in zip(jax.tree.leaves(dense.params), jax.tree.leaves(sparse.params), strict=True):
        np.testing.assert_allclose(a[1:] if a.ndim else a, b[1:] if b.ndim else b, atol=1e-5)


def test_sparse_updates_leave_other_rows_alone(log):
    start = PBM_MODEL.init(jax.random.key(0))
    few = batches(Batch(*(x if x is None else x[:9] for x in log.arrays)), SIZE)
    fit = train(PBM_MODEL, few, config=TrainConfig(lr=0.5, weight_decay=0.5, epochs=1, sparse=True), params=start)
    touched = np.unique(few.arrays.pair_ids)
    before, after = (np.asarray(p["attraction"]["pair_rows"]) for p in (start, fit.params))
    untouched = np.setdiff1d(np.arange(1, len(before)), touched)
    np.testing.assert_array_equal(before[untouched], after[untouched])
    assert (before[touched] != after[touched]).all()


def test_sparse_updates_refuse_what_they_cannot_do(log):
    sparse = TrainConfig(sparse=True, epochs=1)
    with pytest.raises(UserError, match="attraction is a HashedTable"):
        train(PBM(HashedTable(120), PositionParam(6)), log, config=sparse)
    with pytest.raises(UserError, match="has none"):
        train(build_model("rctr", 120, 6), log, config=sparse)
    with pytest.raises(UserError, match="cannot follow a prior"):
        train(build_model("pbm", 120, 6, prior=PseudoCounts()), log, config=sparse)


def test_g7_gradient_training_reaches_the_click_rates_also_on_cells(log):
    model = build_model("dctr", 120, 6)
    cells = aggregate(log, model)
    config = TrainConfig(optimizer=optax.adam(optax.cosine_decay_schedule(0.3, 400)), epochs=400)
    fit = train(model, batches(cells, len(cells.mask)), config=config)
    shown = np.bincount(log.arrays.pair_ids.ravel(), minlength=121)
    clicked = np.bincount(log.arrays.pair_ids[log.arrays.clicks], minlength=121)
    some = (clicked > 0) & (clicked < shown)
    found = 1 / (1 + np.exp(-np.asarray(model.rate.row_logits(fit.params["rate"]))))
    np.testing.assert_allclose(found[some], (clicked / np.maximum(shown, 1))[some], atol=1e-3)


def test_training_on_cells_is_training_on_sessions(log):
    cells = aggregate(log, PBM_MODEL)
    params = PBM_MODEL.init(jax.random.key(4))
    assert _loss(PBM_MODEL, params, batches(cells, 64)) == pytest.approx(_loss(PBM_MODEL, params, log), abs=1e-6)


def test_reductions_differ_only_for_lists_of_different_length(log):
    params = PBM_MODEL.init(jax.random.key(1))
    mask = log.arrays.mask.copy()
    whole = log.arrays
    for changed in (False, True):
        if changed:
            mask[::2, 2:] = False
        batch = whole._replace(mask=mask, clicks=whole.clicks & mask)
        by_document, by_session = (
            float(np.divide(*map(float, loss_terms(PBM_MODEL, params, batch, r)))) for r in ("document", "session")
        )
        assert (abs(by_document - by_session) > 1e-4) == changed
    empty = whole._replace(mask=mask & False, clicks=mask & False)
    assert [float(x) for x in loss_terms(PBM_MODEL, params, empty, "session")] == [0.0, 0.0]


def test_a_prior_counts_once_per_data_set_not_once_per_batch(log):
    model = build_model("rctr", 120, 6, prior=PseudoCounts(30, 10))
    found = []
    for size in (1500, 500):
        data = batches(log.arrays, size)
        config = TrainConfig(optimizer=optax.sgd(optax.cosine_decay_schedule(8.0, 300 * len(data))), epochs=300)
        found.append(np.asarray(train(model, data, config=config).params["rate"]["rows"])[1:])
    clicks, shown = log.arrays.clicks.sum(0), len(log.arrays.mask)
    expected = (clicks + 30) / (shown + 40)
    np.testing.assert_allclose(1 / (1 + np.exp(-found[0])), expected, atol=1e-3)
    np.testing.assert_allclose(found[0], found[1], atol=0.02)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_best_weights(log):
    optimizer = optax.chain(optax.adam(0.01), optax.scale_by_schedule(lambda i: jnp.where(i < 7, 1.0, jnp.nan)))
    with pytest.warns(DataWarning, match=r"not finite in epoch 3, step \d"):
        fit = train(PBM_MODEL, log, log, TrainConfig(optimizer=optimizer, epochs=9))
    assert (fit.stopped, fit.best_epoch, len(fit.history)) == ("not finite", 2, 2)
    assert _loss(PBM_MODEL, fit.params, log) == pytest.approx(fit.best_loss, abs=1e-6)
    with pytest.warns(DataWarning, match="not finite"):
        alone = train(PBM_MODEL, log, config=TrainConfig(optimizer=optimizer, epochs=9))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(alone.params))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pair_ids": 121}, r"pbm: attraction: pair id 121 is outside the table of 1..120"),
        ({"pair_ids": -1}, r"pair id -1 is outside"),
        ({"pair_ids": 0}, r"pair id 0 on a valid rank: 0 is kept for padding"),
        ({"positions": 7}, r"examination: position 7 is outside the table of 1..6"),
        ({"positions": 0}, r"position 0 on a valid rank"),
    ],
)
def test_numbers_that_fit_no_table_are_named(log, change, message):
    [(column, value)] = change.items()
    wrong = getattr(log.arrays, column).copy()
    wrong[3, 2] = value
    with pytest.raises(UserError, match=message):
        train(PBM_MODEL, batches(log.arrays._replace(**{column: wrong}), SIZE), config=TrainConfig(epochs=1))


def test_features_must_be_there_wide_enough_and_finite(log):
    model = PBM(Linear(3, prior=L2(0.1)), PositionParam(6))
    with pytest.raises(UserError, match="no column 'features'"):
        train(model, log, config=TrainConfig(epochs=1))
    features = np.zeros((*log.arrays.mask.shape, 2), np.float32)
    with pytest.raises(UserError, match="2 wide, but the parameter was made for 3"):
        train(model, batches(log.arrays._replace(features=features), SIZE), config=TrainConfig(epochs=1))
    features = np.full((*log.arrays.mask.shape, 3), np.nan, np.float32)
    with pytest.raises(UserError, match="NaN"):
        train(model, batches(log.arrays._replace(features=features), SIZE), config=TrainConfig(epochs=1))


def test_odd_but_usable_logs_are_trained_on_and_named(log):
    silent = batches(log.arrays._replace(clicks=np.zeros_like(log.arrays.clicks)), SIZE)
    with pytest.warns(DataWarning, match="holds no click"):
        fit = train(PBM_MODEL, silent, config=TrainConfig(lr=0.5, weight_decay=0.0, epochs=1))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(fit.params))
    with pytest.warns(DataWarning, match="more than one click"):
        train(CM(Table(120)), log, config=TrainConfig(epochs=1))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"clicks": [[0, 1], [1, 0]], "mask": [[1, 1], [0, 1]]}, "session 1: click on a masked rank"),
        ({"positions": [[1, 2], [2, 1]]}, "session 1: positions must ascend"),
        ({"positions": [[1, 1], [1, 2]]}, "session 0: positions must ascend"),
        ({"positions": [[0, 1], [1, 2]]}, "session 0: positions must ascend"),
        ({"clicks": [[0, 1]]}, r"clicks have the shape \(1, 2\), but pair_ids \(2, 2\)"),
        ({"query_ids": [1, 2, 3]}, "query_ids have the shape"),
    ],
)
def test_batches_made_by_hand_are_checked_too(columns, message):
    with pytest.raises(UserError, match=message):
        make_batch([[1, 2], [2, 1]], **columns)


def test_what_cannot_be_trained_on_is_refused(log):
    cells = batches(aggregate(log, PBM_MODEL), SIZE)
    with pytest.raises(UserError, match="whole sessions"):
        train(DBN(Table(120), Table(120)), cells, config=TrainConfig(epochs=1))
    nothing = log.arrays._replace(mask=np.zeros_like(log.arrays.mask))
    with pytest.raises(UserError, match="no session with a valid rank"):
        train(PBM_MODEL, batches(nothing, SIZE), config=TrainConfig(epochs=1))
    with pytest.raises(UserError, match="cannot be read twice"):
        train(PBM_MODEL, iter(log), config=TrainConfig(epochs=2))
    with pytest.raises(UserError, match="no sessions"):
        batches(make_batch(np.empty((0, 3), int)), 4)
    for odd in (2, np.nan):
        with pytest.raises(UserError, match="must be 0 or 1"):
            make_batch([[1, 2]], clicks=[[0, odd]])
    with pytest.raises(UserError, match="lr 0"):
        TrainConfig(lr=0)


def test_features_of_hidden_ranks_do_not_reach_gradients():
    features = np.ones((6, 3, 2))
    features[:, 2] = np.nan
    shown = np.tile([1, 1, 0], (6, 1))
    batch = make_batch(np.tile([1, 2, 3], (6, 1)), clicks=shown * [0, 1, 1], mask=shown, features=features)
    model = PBM(Linear(2), PositionParam(3))
    fit = train(model, [batch], config=TrainConfig(epochs=2))
    assert fit.stopped == "epochs"
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(fit.params))
    with pytest.raises(UserError, match="hold NaN"):
        train(model, [batch._replace(features=features)], config=TrainConfig(epochs=1))


def test_a_parameter_that_cannot_be_hashed_is_named(log):
    @dataclass
    class Mine:
        size: int

        def init(self, key):
            return jnp.zeros(self.size)

        def logits(self, params, batch):
            return params[batch.pair_ids]

    with pytest.raises(UserError, match="unhashable type: 'Mine'; make models and parameters frozen dataclasses"):
        train(PBM(Mine(121), PositionParam(6)), log, config=TrainConfig(epochs=1))


def _bytes(tree):
    return [np.asarray(x).tobytes() for x in jax.tree.leaves(tree)]
