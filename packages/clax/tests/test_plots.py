from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from clax.batch import batches
from clax.evaluation import evaluate
from clax.models import build_model
from clax.plots import plot_calibration, plot_examination, plot_perplexity
from clax.standard_errors import propensities

pytest.importorskip("matplotlib", reason="needs clax[plot]")


def texts(svg):
    return {element.text for element in ElementTree.parse(svg).iter() if element.text and element.text.strip()}


@pytest.fixture(scope="module")
def found(small_log):
    world, log = small_log
    return evaluate(world.model, world.params, batches(log, 1500))


def test_perplexity_by_position_of_several_models(found, tmp_path):
    png, svg = plot_perplexity({"truth": found, "again": found}, tmp_path / "p")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert {"truth", "again", "perplexity", "given the clicks above"} <= texts(svg)


def test_calibration(found, tmp_path):
    _, svg = plot_calibration(found, tmp_path / "c")
    assert {"predicted click probability", "share clicked"} <= texts(svg)


def test_examination_curves_one_per_last_click_for_ubm(small_log, tmp_path):
    import jax

    world, log = small_log
    data = batches(log, 1500)
    ubm = build_model("ubm", world.num_pairs, 6)
    tables = {
        "pbm": propensities(world.model, world.params, data),
        "ubm": propensities(ubm, ubm.init(jax.random.key(0)), data),
    }
    _, svg = plot_examination(tables, tmp_path / "e")
    assert {"pbm", "ubm, last click none", "ubm, last click 5"} <= texts(svg)
