"""Fits from a configuration: parameters by kind, resuming, memory, and the counts of pairs."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from clax.checkpoint import load_model
from clax.config import DataSettings, FitConfig, PairSettings, PriorSettings, TrainSettings
from clax.data import MemorySource, SessionData
from clax.data.rows import to_sessions
from clax.em import fit_em
from clax.fitting import fit
from clax.logs import Logs, open_logs
from clax.pair_counts import CountedData, PairCounts, load_pair_counts
from clax.parameters import MLP, DeepCross, HashedTable, Linear, PseudoCounts, QRTable, Table
from clax.simulation import make_world
from clax.standard_errors import propensities
from clax.structure import make_model
from ir_shared.console import PartialResult, UserError


@pytest.fixture
def memory(small_log):
    """The small log as SessionData, with the features of each document drawn at random."""
    world, log = small_log
    random = np.random.default_rng(0).normal(size=(world.num_pairs + 1, 3)).astype(np.float32)
    sessions = replace(to_sessions(log), features=random[log.pair_ids[log.mask]], labels=None)
    metadata = {"num_pairs": world.num_pairs, "max_positions": 6, "unknown_id": None, "vocabulary": None}
    return SessionData.from_source(MemorySource(sessions, metadata), batch_size=300)


def logs(data):
    return Logs(data.train, data.valid)


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        (PairSettings("table"), Table),
        (PairSettings("hashed", ratio=4), HashedTable),
        (PairSettings("quotient-remainder", ratio=4), QRTable),
        (PairSettings("linear"), Linear),
        (PairSettings("mlp", hidden=(4,)), MLP),
        (PairSettings("deep-cross", hidden=(4,)), DeepCross),
    ],
)
def test_pairs_may_be_tables_smaller_tables_or_functions_of_features(memory, pairs, kind):
    model = make_model(FitConfig("pbm", pairs=pairs), memory)
    assert isinstance(model.attraction, kind)
    if hasattr(model.attraction, "features"):
        assert model.attraction.features == 3
    if hasattr(model.attraction, "hidden"):
        assert model.attraction.hidden == (4,)


def test_pseudo_counts_reach_the_tables_and_are_refused_where_no_row_is_one_probability(memory):
    config = FitConfig("pbm", prior=PriorSettings(1.0, 2.0))
    assert make_model(config, memory).examination.prior == PseudoCounts(1.0, 2.0)
    with pytest.raises(UserError, match="quotient-remainder"):
        make_model(replace(config, pairs=PairSettings("quotient-remainder")), memory)


def test_features_that_are_not_there_are_asked_for(memory):
    bare = replace(memory, source=MemorySource(replace(memory.source.sessions, features=None), memory.source.metadata))
    with pytest.raises(UserError, match="the log has no features"):
        make_model(FitConfig("pbm", pairs=PairSettings("mlp")), bare)


def test_tables_larger_than_memory_are_refused_before_they_are_made(memory):
    huge = replace(memory, rules=replace(memory.rules, num_pairs=2**31 - 10))
    with pytest.raises(UserError, match=r'weights need .* GiB .* kind = "hashed"'):
        make_model(FitConfig("dbn"), huge)
    assert make_model(FitConfig("dbn", pairs=PairSettings("hashed", ratio=10_000)), huge).attraction.rows < 1e6


def test_an_interrupted_fit_resumes_to_the_bytes_of_an_uninterrupted_one(memory, tmp_path):
    config = FitConfig("pbm", train=TrainSettings(lr=0.05, epochs=4, patience=5))
    whole = fit(config, tmp_path / "whole", logs=logs(memory))

    def interrupt(line):
        if line["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(PartialResult, match="holds the model after epoch 2"):
        fit(config, tmp_path / "parts", logs=logs(memory), on_epoch=interrupt)
    assert load_model(tmp_path / "parts").model == whole.model
    with pytest.raises(UserError, match="holds an unfinished training"):
        fit(config, tmp_path / "parts", logs=logs(memory))
    with pytest.raises(UserError, match="started with other settings"):
        fit(replace(config, seed=1), tmp_path / "parts", logs=logs(memory), resume=True)
    fit(config, tmp_path / "parts", logs=logs(memory), resume=True)
    for name in ("params.safetensors", "history.csv", "pairs.safetensors"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / "parts/state.safetensors").exists()


def test_an_interrupt_before_the_first_checkpoint_is_just_an_interrupt(memory, tmp_path):
    def interrupt(epoch, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(FitConfig("pbm"), tmp_path, logs=logs(memory), on_step=interrupt)


@pytest.mark.filterwarnings("ignore::ir_shared.console.DataWarning")
def test_em_by_default_goes_on_until_its_error_is_small_beside_the_noise():
    world = make_world("pbm", queries=20, documents=10, max_positions=6, seed=1)
    metadata = {"num_pairs": world.num_pairs, "max_positions": 6}
    data = SessionData.from_source(MemorySource(to_sessions(world.sessions(50_000, seed=2)), metadata))
    fitted = fit(FitConfig("pbm", "em", train=TrainSettings(epochs=1000)), logs=Logs(data, None))
    exact = fit_em(fitted.model, data, iterations=1000, tolerance=1e-9)
    found, best = (propensities(fitted.model, params, data) for params in (fitted.params, exact.params))
    assert fitted.stopped == "tolerance"
    assert (np.abs(found.ratio - best.ratio)[1:] < 0.2 * best.standard_error[1:]).all()


def test_em_warns_of_probabilities_that_no_click_speaks_against(memory):
    def warned(prior):
        with warnings.catch_warnings(record=True) as met:
            warnings.simplefilter("always")
            fit(FitConfig("dctr", "em", prior=prior), logs=logs(memory))
        return [w for w in met if "0 or 1" in str(w.message)]

    assert warned(PriorSettings())
    assert not warned(PriorSettings(1, 1))


def test_an_interrupted_em_keeps_its_last_iteration(memory, tmp_path):
    config = FitConfig("pbm", "em", train=TrainSettings(epochs=9, min_delta=0.0))

    def interrupt(line):
        if line["iteration"] == 4:
            raise KeyboardInterrupt

    with pytest.raises(PartialResult, match="holds the model after iteration"):
        fit(config, tmp_path / "parts", logs=logs(memory), on_epoch=interrupt)
    short = fit(replace(config, train=replace(config.train, epochs=3)), logs=logs(memory))
    kept = load_model(tmp_path / "parts").params["attraction"]["pair_rows"]
    np.testing.assert_array_equal(kept, short.params["attraction"]["pair_rows"])


def test_a_place_that_cannot_be_a_folder_is_refused_before_the_work(memory, tmp_path):
    (tmp_path / "file").write_text("")

    def never(epoch, step):
        raise AssertionError("the work began")

    with pytest.raises(UserError, match="file/m: is no folder"):
        fit(FitConfig("pbm"), tmp_path / "file/m", logs=logs(memory), on_step=never)


def test_em_keeps_its_objective_per_iteration(memory, tmp_path):
    config = FitConfig("pbm", "em", train=TrainSettings(epochs=5, min_delta=0.0))
    fitted = fit(config, tmp_path, logs=logs(memory))
    objective = [line["objective"] for line in fitted.history]
    assert len(objective) == 6
    assert objective == sorted(objective)
    assert (tmp_path / "history.csv").read_text().startswith("iteration,objective\n")


def test_pairs_are_counted_in_the_first_complete_pass_only(memory, tmp_path):
    counted = CountedData(memory, memory.num_pairs)
    iterator = iter(counted)
    next(iterator)
    iterator.close()
    assert counted.counts is None
    first = list(counted)
    list(counted)
    shown = np.concatenate([b.pair_ids[b.mask] for b in first])
    clicked = np.concatenate([b.pair_ids[b.mask & b.clicks] for b in first])
    np.testing.assert_array_equal(counted.counts.impressions, np.bincount(shown, minlength=memory.num_pairs + 1))
    np.testing.assert_array_equal(counted.counts.clicks, np.bincount(clicked, minlength=memory.num_pairs + 1))
    counted.counts.save(tmp_path / "pairs.safetensors")
    again = load_pair_counts(tmp_path / "pairs.safetensors")
    np.testing.assert_array_equal(again.clicks, counted.counts.clicks)
    assert isinstance(again, PairCounts)
    assert load_pair_counts(tmp_path / "none") is None
    (tmp_path / "bad").write_bytes(b"x")
    with pytest.raises(UserError, match="damaged"):
        load_pair_counts(tmp_path / "bad")


def test_a_validation_log_of_its_own_keeps_the_whole_training_log(memory, tmp_path):
    from clax.data import SessionWriter

    for name, part in (("train", memory.window(0, 1000)), ("valid", memory.window(1000, 1500))):
        with SessionWriter(tmp_path / f"{name}.parquet", memory.source.metadata) as writer:
            writer.write(to_sessions(part.arrays()))
    settings = DataSettings((f"{tmp_path}/train.parquet",), (f"{tmp_path}/valid.parquet",))
    opened = open_logs(settings)
    assert opened.valid.num_sessions == 500
    assert opened.train.num_sessions == 1000
    assert opened.train.shuffle == 0
    assert opened.train.batch_size == opened.valid.batch_size == 64
    assert open_logs(replace(settings, valid=(), split=(0.5, 0.0, 0.5))).valid is None
    with pytest.raises(UserError, match=r"\[data.columns\]"):
        open_logs(replace(settings, columns={"nothing": "x"}))
