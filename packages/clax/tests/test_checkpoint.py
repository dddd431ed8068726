from __future__ import annotations

import json
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clax.batch import batches
from clax.checkpoint import load_model, load_sharded, load_state, save_model, save_sharded, save_state
from clax.fit_result import TrainConfig
from clax.models import DBN, MODEL_NAMES, PBM, Mixture, build_model
from clax.parameters import L2, MLP, FunctionParam, GlobalParam, HashedTable, PositionParam, PseudoCounts, QRTable, Sum
from clax.training import train
from ir_shared.console import UserError

PAIRS, POSITIONS = 12, 4


def equal(a, b):
    return jax.tree.structure(a) == jax.tree.structure(b) and all(
        np.array_equal(x, y) and np.asarray(x).dtype == np.asarray(y).dtype
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = build_model("pbm", PAIRS, POSITIONS)
    folder = tmp_path_factory.mktemp("saved")
    save_model(folder, model, model.init(jax.random.key(0)), seed=0)
    return folder


@pytest.mark.parametrize(
    "model",
    [
        *(build_model(name, PAIRS, POSITIONS, prior=PseudoCounts(1.0, 2.0)) for name in MODEL_NAMES),
        build_model("pbm+dbn", PAIRS, POSITIONS),
        Mixture((build_model("gctr", PAIRS, POSITIONS), build_model("rctr+dctr", PAIRS, POSITIONS)), temperature=1.0),
        DBN(MLP(3, hidden=(4,), prior=L2(0.1)), HashedTable(PAIRS, 4.0, 7, signed=True), GlobalParam()),
        PBM(Sum((QRTable(PAIRS, 3, "sum"), GlobalParam())), PositionParam(POSITIONS)),
    ],
    ids=lambda model: model.name,
)
def test_a_saved_model_comes_back_the_same(tmp_path, model):
    params = model.init(jax.random.key(1))
    save_model(tmp_path, model, params, data={"fingerprint": "f"}, config={"lr": 0.1}, seed=1)
    again = load_model(tmp_path)
    assert again.model == model
    assert equal(again.params, params)
    assert again.about["data"] == {"fingerprint": "f"}
    assert again.about["seed"] == 1
    assert set(again.about["versions"]) >= {"jax", "numpy", "optax"}


def test_a_model_with_parts_of_yours_needs_them_to_be_loaded(tmp_path):
    own = FunctionParam(
        lambda key: {"w": jnp.zeros(())}, lambda params, batch: jnp.zeros(batch.mask.shape) + params["w"]
    )
    model = PBM(own, PositionParam(POSITIONS))
    params = model.init(jax.random.key(0))
    save_model(tmp_path, model, params)
    with pytest.raises(UserError, match=r"cannot be rebuilt from a file; .*load_model\(folder, model=...\)"):
        load_model(tmp_path)
    assert equal(load_model(tmp_path, model).params, params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "written by clax 0.0.1 in another format; this is clax .*, which reads format 1"),
        ({"model": {"class": "NeuralPBM"}}, "'NeuralPBM' is unknown to this version"),
        ({"model": {"class": "PBM", "attraction": None, "tilt": 3}}, "PBM was written by another version"),
        ({"model": {"class": "GlobalParam"}}, "describes no click model"),
    ],
)
def test_another_version_is_a_clear_error(saved, tmp_path, change, message):
    about = json.loads((saved / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps({**about, "clax": "0.0.1", **change}))
    (tmp_path / "params.safetensors").write_bytes((saved / "params.safetensors").read_bytes())
    with pytest.raises(UserError, match=message):
        load_model(tmp_path)


def test_weights_of_another_model_or_log_are_refused(saved, tmp_path):
    path = "params.safetensors"
    for name, pairs, message in (
        ("pbm", PAIRS + 1, r"'attraction/pair_rows' has the shape \(14,\), but the model needs \(13,\)"),
        ("dctr", PAIRS, "is in only one of the two"),
    ):
        other = build_model(name, pairs, POSITIONS)
        save_model(tmp_path, other, other.init(jax.random.key(0)))
        (tmp_path / "model.json").write_bytes((saved / "model.json").read_bytes())
        with pytest.raises(UserError, match=message):
            load_model(tmp_path)
    (tmp_path / path).write_bytes((saved / path).read_bytes()[:-4])
    with pytest.raises(UserError, match="damaged"):
        load_model(tmp_path)
    (tmp_path / path).unlink()
    with pytest.raises(UserError, match="no such file"):
        load_model(tmp_path)


def test_a_resumed_training_reaches_the_same_bytes(small_log, tmp_path):
    world, log = small_log
    data = batches(log, 250, shuffle=0)
    model, config = build_model("pbm", world.num_pairs, 6), TrainConfig(lr=0.05, epochs=4, patience=4)
    whole = train(model, data, data, config)
    path = tmp_path / "state.safetensors"
    train(model, data, data, replace(config, epochs=2), on_epoch=lambda state: save_state(path, state))
    resumed = train(model, data, data, config, state=load_state(path, model, config))
    assert resumed.history == whole.history
    assert equal(resumed.params, whole.params)
    assert equal(resumed.state.opt_state, whole.state.opt_state)
    with pytest.raises(UserError, match="does not fit the model"):
        load_state(path, build_model("dctr", world.num_pairs, 6), config)


def test_a_state_before_any_epoch_survives_its_infinite_loss(tmp_path):
    from clax.fit_result import TrainState
    from clax.steps import adamw

    model = build_model("gctr", PAIRS, POSITIONS)
    params = model.init(jax.random.key(0))
    state = TrainState(params, adamw(3e-3, 1e-4).init(params), params)
    save_state(tmp_path / "s", state)
    again = load_state(tmp_path / "s", model)
    assert (again.best_loss, again.reference, again.waited, again.history) == (np.inf, np.inf, 0, ())
    save_model(tmp_path, model, params)
    with pytest.raises(UserError, match="not a training state"):
        load_state(tmp_path / "params.safetensors", model)


def test_sharded_checkpoints_go_through_orbax(tmp_path):
    pytest.importorskip("orbax.checkpoint", reason="needs clax[orbax]")
    model = build_model("pbm", PAIRS, POSITIONS)
    params = model.init(jax.random.key(2))
    save_sharded(tmp_path / "c", params)
    assert equal(load_sharded(tmp_path / "c", params), params)
    with pytest.raises(UserError, match="is not empty"):
        save_sharded(tmp_path / "c", params)
    with pytest.raises(UserError, match="no sharded checkpoint"):
        load_sharded(tmp_path / "none", params)


def test_a_dataclass_of_yours_is_recorded_by_name(tmp_path):
    @dataclass(frozen=True)
    class Mine(GlobalParam):
        pass

    from clax.model_config import describe

    assert "Mine" in describe(PBM(Mine(), PositionParam(2)))["attraction"]["custom"]
