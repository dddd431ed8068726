"""The claims of the paper: their controls fail, and what they measure with is right."""

from __future__ import annotations

import numpy as np
import pytest
from clax.batch import make_batch
from clax.claims import CLAIMS, throughput
from clax.claims.classic_em import CLASSIC, sessions, start
from clax.data import SessionWriter
from clax.data.rows import to_sessions
from clax.em import fit_em
from clax.models import build_model
from clax.parameters import PseudoCounts, row_probabilities
from ir_shared.claims import Context, Verdict

QUICK = [claim for claim in CLAIMS if claim.scale == "quick"]
BILLION = next(claim for claim in CLAIMS if claim.name == "a-billion-sessions-in-two-hours")


@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.name)
def test_the_control_fails_the_criterion(claim, tmp_path):
    found = claim.control.measure(Context("quick", 0, tmp_path))
    assert claim.criterion.decide(found.value) is Verdict.NOT_REPRODUCED
    assert "synthetic" in found.data


@pytest.mark.slow
@pytest.mark.parametrize("claim", QUICK, ids=lambda claim: claim.name)
def test_a_claim_is_measured_and_its_figures_are_there(claim, tmp_path):
    found = claim.measure(Context("quick", 1, tmp_path))
    assert np.isfinite(found.value)
    assert found.details
    for figure in found.figures:
        assert (tmp_path / f"{figure.name}.svg").stat().st_size > 1000


@pytest.mark.parametrize("name", list(CLASSIC))
def test_the_loop_that_claims_are_timed_against_is_em(name):
    generator = np.random.default_rng(0)
    log = make_batch(generator.integers(1, 9, (60, 4)), clicks=generator.random((60, 4)) < 0.4)
    parameters = build_model(name, 8, 4).parameters()
    looped = CLASSIC[name](start({key: p.rows for key, p in parameters.items()}), sessions(log))
    halves = {key: p.from_row_logits(np.zeros(p.rows)) for key, p in parameters.items()}
    found = fit_em(build_model(name, 8, 4), [log], iterations=1, prior=PseudoCounts(), params=halves)
    for key, parameter in parameters.items():
        np.testing.assert_allclose(looped[key], row_probabilities(parameter, found.params[key]), atol=1e-6)


def test_the_rate_of_a_billion_sessions_is_extrapolated_from_a_synthetic_log(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "_PAIRS", 10_000)
    found = BILLION.measure(Context("quick", 0, tmp_path))
    assert found.value == pytest.approx(1e9 / found.details["sessions a second"] / 3600)
    assert "synthetic" in found.data
    assert BILLION.control.measure(Context("quick", 0, tmp_path)).value > found.value


def test_the_rate_of_a_billion_sessions_is_measured_on_the_papers_log_in_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "_BAIDU_PAIRS", 1000)
    generator = np.random.default_rng(0)
    log = make_batch(generator.integers(1, 1001, (20_000, 22)), clicks=generator.random((20_000, 22)) < 0.1)
    (tmp_path / "baidu-ultr").mkdir()
    with SessionWriter(tmp_path / "baidu-ultr" / "part-0.parquet", {}) as writer:
        writer.write(to_sessions(log))
    found = BILLION.measure(Context("paper", 0, tmp_path, tmp_path))
    assert "real" in found.data
    assert found.value > 0
    assert BILLION.needs[0].files(tmp_path)
