from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from clax.facade import ClickModel
from clax.prediction import relevance_of_lists, relevance_of_pairs
from ir_shared.console import DataWarning, UserError


@pytest.fixture(scope="module")
def frame(small_log):
    """The small log as a long frame whose queries and documents have names."""
    _, log = small_log
    rows, ranks = np.nonzero(log.mask)
    ids = log.pair_ids[rows, ranks]
    return pl.DataFrame(
        {
            "session": rows,
            "query": [f"q{q}" for q in log.query_ids[rows]],
            "document": [f"d{i}" for i in ids],
            "position": log.positions[rows, ranks],
            "click": log.clicks[rows, ranks].astype(int),
        }
    )


@pytest.fixture(scope="module")
def fitted(frame):
    return ClickModel("pbm", method="em", epochs=30, pseudo_counts=(1, 1)).fit(frame)


def test_three_lines_from_a_frame_to_relevance(small_log, frame, fitted):
    world, _ = small_log
    relevance = fitted.relevance()
    assert relevance.columns == ["query", "document", "relevance", "impressions", "clicks"]
    assert relevance["impressions"].sum() == len(frame)
    assert relevance["clicks"].sum() == frame["click"].sum()
    assert (
        relevance.group_by("query", maintain_order=True).agg(pl.col("relevance").diff().max())["relevance"].max() <= 0
    )
    often = relevance.filter(pl.col("impressions") > 200)
    ids = often["document"].str.strip_prefix("d").cast(pl.Int32).to_numpy()
    assert np.corrcoef(np.exp(often["relevance"]), world.attraction.ravel()[ids - 1])[0, 1] > 0.9


def test_another_frame_is_numbered_and_judged_alike(frame, fitted):
    found = fitted.evaluate(frame.head(600))
    assert found.documents == 600
    assert found.unseen == 0
    strange = frame.head(600).with_columns(document=pl.lit("new") + pl.col("document"))
    with pytest.warns(DataWarning, match="600 documents outside the vocabulary"):
        assert fitted.evaluate(strange).unseen == 600


def test_gradient_training_stops_early_on_the_last_tenth(frame):
    model = ClickModel("dctr", epochs=3, batch_size=256).fit(frame)
    assert model.fitted.history[0]["valid_loss"] is not None
    assert len(model.fitted.history) <= 3
    tiny = ClickModel("gctr", epochs=1).fit(frame.filter(pl.col("session") < 3))
    assert tiny.fitted.history[0]["valid_loss"] is None


def test_propensities_and_saving(fitted, tmp_path):
    from clax.checkpoint import load_model
    from clax.data import Vocabulary

    table = fitted.propensities()
    assert table.ratio[0] == 1
    fitted.save(tmp_path)
    saved = load_model(tmp_path)
    frame = relevance_of_pairs(
        saved.model,
        saved.params,
        saved.about["data"]["num_pairs"],
        None,
        Vocabulary.load(tmp_path / "vocabulary.parquet"),
    )
    assert frame["query"].null_count() == 1
    both = frame.drop_nulls().join(fitted.relevance(), on=["query", "document"])
    np.testing.assert_array_equal(both["relevance"], both["relevance_right"])


def test_a_method_that_is_none_is_refused(frame):
    with pytest.raises(UserError, match="method 'sgd': choose one of gradient, em"):
        ClickModel("dbn", method="sgd").fit(frame)


def test_a_model_that_is_not_fitted_says_so():
    for call in (lambda m: m.relevance(), lambda m: m.propensities(), lambda m: m.evaluate({}), lambda m: m.save("x")):
        with pytest.raises(UserError, match=r"call fit\(frame\) first"):
            call(ClickModel("pbm"))
    with pytest.raises(UserError, match="no click model 'xyz'"):
        ClickModel("xyz").fit({"session": [1], "query": ["q"], "document": ["d"], "position": [1], "click": [1]})


def test_constant_scores_come_with_a_warning(small_log, frame):
    from clax.batch import batches

    _, log = small_log
    model = ClickModel("rctr", method="em", epochs=2).fit(frame)
    with pytest.warns(DataWarning, match="same relevance"):
        scores = model.relevance()["relevance"]
    assert scores.n_unique() == 1
    with pytest.warns(DataWarning, match="same relevance"):
        lists = relevance_of_lists(model.fitted.model, model.fitted.params, batches(log, 700))
    assert lists["session"].n_unique() == 1500
    assert len(lists) == int(log.mask.sum())


def test_scores_by_chunk_and_by_list_are_the_same(small_log, fitted, monkeypatch):
    from clax.data import read_frame

    model, params = fitted.fitted.model, fitted.fitted.params
    whole = relevance_of_pairs(model, params, fitted.vocabulary.num_pairs)
    monkeypatch.setattr("clax.prediction._CHUNK", 50)
    np.testing.assert_array_equal(
        whole["relevance"], relevance_of_pairs(model, params, fitted.vocabulary.num_pairs)["relevance"]
    )
    one = {"session": [0, 0], "query": ["q0", "q0"], "document": ["d1", "d2"], "position": [1, 2], "click": [0, 1]}
    data = read_frame(one, vocabulary=fitted.vocabulary, max_positions=6)
    lists = relevance_of_lists(model, params, data)
    np.testing.assert_allclose(lists["relevance"], whole["relevance"].to_numpy()[lists["id"].to_numpy() - 1], rtol=1e-6)


def test_a_model_of_features_needs_lists(small_log):
    from clax.models import DCTR
    from clax.parameters import Linear

    model = DCTR(Linear(3))
    import jax

    with pytest.raises(UserError, match="give a log with them as --data"):
        relevance_of_pairs(model, model.init(jax.random.key(0)), 5)
