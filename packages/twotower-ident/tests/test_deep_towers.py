"""The towers' loss and its gradient, training, early stopping, and what is kept when a training ends badly."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from ir_shared.console import UserError
from twotower_ident.cells import CellTable
from twotower_ident.epochs import dense_batch
from twotower_ident.exact_fit import fit_exact, list_weights
from twotower_ident.flax_towers import TwoTowerModule, cell_loss, export_relevance, model_loss
from twotower_ident.generators import gaussian_letor
from twotower_ident.placement import empirical_propensities
from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
from twotower_ident.simulate import expected_cells, make_world, simulate_sessions
from twotower_ident.towers import Deep, Embedding, FittedModel, Inputs, Linear, TwoTower
from twotower_ident.training import TrainConfig, TrainingData, train
from twotower_ident.user_models import UserModel

TOWERS = [Embedding(), Linear(), Deep(2, 4)]
QUICK = TrainConfig(steps=20, epochs=3, batch_pairs=16, learning_rate=0.02)


@pytest.fixture(scope="module")
def documents():
    return gaussian_letor(n_queries=6, n_docs=5, n_features=3, kind="tanh", seed=1)


def population(data, strength: float = 1.0, temperature: float = 0.5) -> CellTable:
    world = make_world(data, ExpertPolicy(strength), UserModel(), seed=1)
    return expected_cells(world, EpsilonGreedy(temperature))


@pytest.fixture(scope="module")
def data(documents) -> TrainingData:
    return TrainingData(population(documents), documents.features)


def test_the_gradient_of_the_loss_is_that_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    m = rng.uniform(0, 2, (4, 3))
    y = m * rng.uniform(0, 1, (4, 3))
    with jax.enable_x64(True):
        for dropout in (0.0, 0.3):

            def loss(x: jax.Array, dropout: float = dropout) -> jax.Array:
                return cell_loss(x[:3], x[3:], jnp.asarray(m), jnp.asarray(y), dropout=dropout)

            x = jnp.asarray(rng.standard_normal(7))
            gradient, step = jax.jit(jax.grad(loss))(x), 1e-6
            for i in range(7):
                moved = [float(loss(x.at[i].add(sign * step))) for sign in (1, -1)]
                assert gradient[i] == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=1e-8)


def test_the_loss_is_stable_at_extreme_logits_and_weights_multiply_its_gradient() -> None:
    with jax.enable_x64(True):
        for logit in (-80.0, 80.0):
            args = jnp.array([0.0]), jnp.array([logit]), jnp.array([[2.0]]), jnp.array([[1.0]])
            assert float(cell_loss(*args)) == pytest.approx(80.0, abs=1e-12)
            gradient = jax.grad(cell_loss, argnums=1)(*args)
            assert float(gradient[0]) == pytest.approx(np.sign(logit), abs=1e-12)
        args = jnp.array([0.3]), jnp.array([-1.0]), jnp.array([[2.0]]), jnp.array([[1.5]])
        scaled = *args[:2], 3 * args[2], 3 * args[3]
        assert jax.grad(cell_loss)(*scaled)[0] == pytest.approx(3 * jax.grad(cell_loss)(*args)[0])


def test_a_shift_between_the_towers_changes_no_loss() -> None:
    with jax.enable_x64(True):
        theta, gamma = jnp.array([0.0, -1.0]), jnp.array([0.2, 0.7, -0.4])
        m, y = jnp.ones((3, 2)), jnp.full((3, 2), 0.3)
        moved = cell_loss(theta + 5, gamma - 5, m, y)
        assert float(moved) == pytest.approx(float(cell_loss(theta, gamma, m, y)), abs=1e-12)


def test_expected_bias_dropout_is_the_mean_over_masks() -> None:
    with jax.enable_x64(True):
        theta, gamma, rate = jnp.array([0.4, -1.2]), jnp.array([0.5]), 0.3
        m, y = jnp.array([[1.0, 1.0]]), jnp.array([[1.0, 0.0]])
        mean = 0.0
        for first in (0, 1):
            for second in (0, 1):
                mask = jnp.array([first, second]) / (1 - rate)
                chance = np.prod([1 - rate if kept else rate for kept in (first, second)])
                mean += chance * float(cell_loss(theta * mask, gamma, m, y))
        assert float(cell_loss(theta, gamma, m, y, dropout=rate)) == pytest.approx(mean, abs=1e-12)


def test_cells_give_the_loss_and_gradient_of_single_sessions(documents) -> None:
    lists = documents.take(np.delete(np.arange(30), [3, 4, 29]))  # lists of unequal length
    world = make_world(lists, ExpertPolicy(0.5), UserModel(), seed=1)
    sessions = simulate_sessions(world, EpsilonGreedy(0.5), sessions=200, seed=0)
    start = dict(zip(world.qids, world.offsets[:-1].tolist(), strict=True))
    pair = np.array([start[q] + int(d.rpartition("-")[2]) for q, d in sessions.select("qid", "docid").iter_rows()])
    position, click = sessions["position"].to_numpy(), sessions["click"].to_numpy().astype(float)
    cells = CellTable.from_arrays(
        pair, position, np.ones(len(pair)), click, pair_query=world.pair_query, n_positions=world.n_positions
    )
    with jax.enable_x64(True):
        towers = TwoTowerModule(TwoTower(Deep(2, 4)), 3, world.n_positions, nnx.Rngs(0))
        graph, state = nnx.split(towers)
        weights = list_weights(cells, world.list_lengths)
        batch, n = dense_batch(TrainingData(cells, lists.features, weights), world.n_positions, False)
        features, length = jnp.asarray(lists.features[pair]), jnp.asarray(world.list_lengths[pair])

        def by_session(state):
            model = nnx.merge(graph, state)
            s = model.position[...][position - 1] + model.relevance(features)[0]
            return jnp.sum((jax.nn.softplus(s) - click * s) / length) / 200

        none = jnp.zeros(world.n_positions, dtype=bool), jnp.zeros(world.n_positions)

        def by_cell(state):
            return model_loss(nnx.merge(graph, state), TwoTower(Deep(2, 4)), batch, pins=none) / n

        (one, grad_one), (other, grad_other) = (jax.jit(jax.value_and_grad(f))(state) for f in (by_session, by_cell))
        assert n == 200
        assert float(one) == pytest.approx(float(other), abs=1e-12)
        for a, b in zip(jax.tree.leaves(grad_one), jax.tree.leaves(grad_other), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)


def test_weighted_gradients_of_a_deep_tower_do_not_know_the_policy(documents) -> None:
    none = jnp.zeros(5, dtype=bool), jnp.zeros(5)
    found = []
    with jax.enable_x64(True):
        graph, state = nnx.split(TwoTowerModule(TwoTower(Deep(2, 4)), 3, 5, nnx.Rngs(0)))

        @jax.jit
        def gradient(state, batch):
            return jax.grad(lambda s: model_loss(nnx.merge(graph, s), TwoTower(Deep(2, 4)), batch, pins=none))(state)

        for strength, temperature in ((1.0, 1.0), (1.0, 0.2), (-1.0, 1 / 3), (0.3, 0.5)):
            cells = population(documents, strength, temperature)
            weights = 1 / empirical_propensities(cells)
            batch, _ = dense_batch(TrainingData(cells, documents.features, weights), 5, False)
            found.append(jax.tree.leaves(gradient(state, batch)))
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_allclose(a, b, atol=1e-8)


def test_gradient_reversal_pushes_the_representation_the_other_way(documents) -> None:
    cells = population(documents)
    batch, _ = dense_batch(TrainingData(cells, documents.features), 5, False)
    none = jnp.zeros(5, dtype=bool), jnp.zeros(5)

    def gradients(strength: float):
        config = TwoTower(Linear(), gradient_reversal=strength)
        graph, state = nnx.split(TwoTowerModule(config, 3, 5, nnx.Rngs(0)))
        state = jax.tree.map(lambda leaf: leaf + 0.5, state)
        losses = (
            lambda s, key=key: model_loss(nnx.merge(graph, s), config, batch, pins=none, key=key)
            for key in (jax.random.key(0), None)
        )
        trained, plain = (nnx.to_pure_dict(jax.jit(jax.grad(loss))(state)) for loss in losses)
        extra = {part: jax.tree.map(lambda a, b: np.asarray(a - b), trained[part], plain[part]) for part in trained}
        return extra["relevance"]["head"]["kernel"], extra["adversary"]["kernel"], extra["position"]

    tower, head, position = gradients(1.0)
    doubled, same_head, _ = gradients(2.0)
    assert np.abs(tower).max() > 1e-3
    np.testing.assert_allclose(doubled, 2 * tower, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(same_head, head, rtol=1e-4)
    np.testing.assert_allclose(position, 0, atol=1e-6)


@pytest.mark.parametrize("tower", TOWERS, ids=lambda tower: tower.kind)
def test_scores_without_jax_are_those_of_the_towers(tower, documents, tmp_path: Path) -> None:
    towers = TwoTowerModule(TwoTower(tower), 30 if tower == Embedding() else 3, 5, nnx.Rngs(1))
    embedding = tower == Embedding()
    inputs = jnp.arange(30) if embedding else jnp.asarray(documents.features, dtype=jnp.float32)
    expected = np.asarray(towers.relevance(inputs)[0])
    bias = np.array([0, -1, np.nan, -np.inf, np.inf])
    given = FittedModel(
        TwoTower(tower), bias, export_relevance(towers.relevance), None if embedding else Inputs(("a",))
    )
    given.save(tmp_path)
    again = FittedModel.load(tmp_path)
    for model in (given, again):
        found = model.score(None if embedding else documents.features)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert again.model == given.model
    assert again.inputs == given.inputs
    np.testing.assert_array_equal(again.position_bias[1:4], [-1, np.nan, -np.inf])


@pytest.mark.parametrize("tower", [Embedding(), Linear()], ids=lambda tower: tower.kind)
def test_gradient_descent_comes_to_the_exact_fit(tower, data: TrainingData) -> None:
    given = TrainingData(data.cells, None if tower == Embedding() else data.features)
    config = TrainConfig(steps=300, epochs=12, learning_rate=0.02, weight_decay=0, min_delta=0, patience=50)
    result = train(TwoTower(tower), given, given, config)
    exact = fit_exact(data.cells, tower.kind, features=data.features)
    np.testing.assert_allclose(result.fitted.position_bias, exact.position_bias, atol=0.03)


def test_early_stopping_restores_a_copy_of_the_best_epoch_and_not_the_last(data: TrainingData) -> None:
    cells = data.cells
    # Users of the validation log do the reverse, so that learning soon makes its loss rise.
    flipped = CellTable.from_arrays(
        cells.pair, cells.position, cells.impressions, cells.impressions - cells.clicks, pair_query=cells.pair_query
    )
    kept = {}
    result = train(
        TwoTower(Deep(1, 4)),
        data,
        TrainingData(flipped, data.features),
        TrainConfig(steps=20, epochs=20, batch_pairs=16, learning_rate=0.05),
        on_epoch=lambda epoch, losses, state: kept.update(
            {epoch: (losses["validation"], [np.array(leaf) for leaf in jax.tree.leaves(state)])}
        ),
    )
    best = min(kept, key=lambda epoch: kept[epoch][0])
    assert result.stopped == "early"
    assert result.best_epoch == best < len(result.history)
    assert len(result.history) == best + 3  # two epochs are borne, the third ends it
    mine = sorted(a.tobytes() for a in _parameters(result.fitted))
    for epoch, (_, leaves) in kept.items():
        theirs = {np.asarray(leaf, dtype=np.float64).tobytes() for leaf in leaves}
        assert set(mine) <= theirs if epoch == best else not set(mine) <= theirs


def _parameters(fitted: FittedModel) -> list[np.ndarray]:
    return list(fitted.parameters.values())


@pytest.mark.parametrize(
    "model",
    [
        TwoTower(Deep(1, 4, dropout=0.2)),
        TwoTower(Linear(), bias=False),
        TwoTower(Linear(), bias_dropout=0.3),
        TwoTower(Deep(1, 4), gradient_reversal=0.5),
        TwoTower(Embedding(), normal_positions=True),
    ],
    ids=["deep", "naive", "bias-dropout", "gradient-reversal", "embedding"],
)
def test_every_model_learns_and_gives_the_same_bytes_for_the_same_seed(model: TwoTower, data: TrainingData) -> None:
    given = TrainingData(data.cells, None if model.tower == Embedding() else data.features)
    one, two = (train(model, given, given, QUICK) for _ in range(2))
    assert one.history[-1]["validation"] < one.history[0]["validation"]
    assert [a.tobytes() for a in _parameters(one.fitted)] == [a.tobytes() for a in _parameters(two.fitted)]
    assert one.fitted.position_bias.tobytes() == two.fitted.position_bias.tobytes()
    if not model.bias:
        np.testing.assert_array_equal(one.fitted.position_bias, 0)


def test_a_training_goes_on_from_its_checkpoint_as_if_never_stopped(data: TrainingData, tmp_path: Path) -> None:
    class StopError(Exception):
        pass

    def stop(epoch: int, losses: dict, state: object) -> None:
        if epoch == 2:
            raise StopError

    model, path = TwoTower(Deep(1, 4, dropout=0.1)), tmp_path / "checkpoint.safetensors"
    whole = train(model, data, data, QUICK)
    with pytest.raises(StopError):
        train(model, data, data, QUICK, checkpoint=path, on_epoch=stop)
    resumed = train(model, data, data, QUICK, checkpoint=path)
    assert resumed.history == whole.history
    assert [a.tobytes() for a in _parameters(resumed.fitted)] == [a.tobytes() for a in _parameters(whole.fitted)]
    with pytest.raises(UserError, match="other settings"):
        train(TwoTower(Deep(1, 4)), data, data, QUICK, checkpoint=path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="no checkpoint"):
        train(model, data, data, QUICK, checkpoint=path)


def test_ctrl_c_keeps_the_best_epoch(data: TrainingData) -> None:
    def press(epoch: int, losses: dict, state: object) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    result = train(TwoTower(Linear()), data, data, QUICK, on_epoch=press)
    assert result.stopped == "interrupted"
    assert result.best_epoch == 2
    assert np.isfinite(result.fitted.position_bias).all()


def test_a_loss_that_is_no_number_stops_at_its_step_and_keeps_what_was_good(data: TrainingData) -> None:
    wild = TrainConfig(steps=20, epochs=3, batch_pairs=16, learning_rate=1e38)
    result = train(TwoTower(Deep(1, 4)), data, data, wild)
    assert result.stopped == "non-finite"
    assert "epoch 1, step " in result.detail
    assert all(np.isfinite(a).all() for a in _parameters(result.fitted))


def test_pinned_positions_stay_where_they_are(data: TrainingData) -> None:
    result = train(TwoTower(Linear()), data, data, QUICK, pinned={1: 0.25, 4: -2.0})
    assert result.fitted.level == pytest.approx(0.25)
    assert result.fitted.position_bias[3] == pytest.approx(-2.25)


def test_a_training_begins_at_a_fitted_model(data: TrainingData) -> None:
    for tower in (Linear(), Deep(1, 4)):
        first = train(TwoTower(tower), data, data, QUICK).fitted
        still = TrainConfig(steps=1, epochs=1, learning_rate=1e-12, weight_decay=0)
        again = train(TwoTower(tower), data, data, still, start=first).fitted
        for name, value in first.parameters.items():
            np.testing.assert_allclose(again.parameters[name], value, atol=1e-6)
        np.testing.assert_allclose(again.position_bias, first.position_bias, atol=1e-6)


def test_data_that_do_not_fit_the_model_are_refused(data: TrainingData) -> None:
    without = TrainingData(data.cells)
    quiet = TrainingData(CellTable.from_arrays([0], [1], [3.0], [0.0]), np.ones((1, 3)))
    one = TrainingData(CellTable.from_arrays([0], [1], [3.0], [1.0]), np.ones((1, 3)))
    for model, first, second, message in (
        (TwoTower(Linear()), without, without, "give features"),
        (TwoTower(Linear()), quiet, data, "holds no click"),
        (TwoTower(Linear()), one, data, "positions that the training log lacks"),
        (TwoTower(Embedding()), data, one, "of the same pairs"),
        (TwoTower(Linear()), TrainingData(data.cells, np.full((30, 3), np.inf)), data, "no number"),
    ):
        with pytest.raises(UserError, match=message):
            train(model, first, second)
    for wrong in (
        lambda: TwoTower(Linear(), bias_dropout=1),
        lambda: TwoTower(Linear(), bias=False, bias_dropout=0.1),
        lambda: Deep(0),
        lambda: TrainConfig(steps=0),
    ):
        with pytest.raises(UserError):
            wrong()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        FittedModel.load(tmp_path)
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(UserError, match="holds no model"):
        FittedModel.load(tmp_path)


def test_scoring_wants_the_features_of_its_training() -> None:
    linear = FittedModel(TwoTower(Linear()), np.zeros(2), {"kernel": np.ones(3)}, Inputs(("a", "b", "c")))
    with pytest.raises(UserError, match="has 3 inputs"):
        linear.score(np.ones((2, 4)))
    with pytest.raises(UserError, match="scores features"):
        linear.score()
    with pytest.raises(UserError, match="cannot score new pairs"):
        FittedModel(TwoTower(Embedding()), np.zeros(2), {"table": np.ones(3)}).score(np.ones((2, 4)))
