"""The seven experiments are those of the paper, and a setting of each runs at every level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import UserError
from twotower_ident.experiment_report import plot_experiment, summary_rows
from twotower_ident.experiments import (
    EXPERIMENTS,
    Protocol,
    Setting,
    ranking_figures,
    run_setting,
    seeded_data,
    settings,
)
from twotower_ident.generators import gaussian_letor
from twotower_ident.official_results import OFFICIAL_RESULTS, official_result
from twotower_ident.profile import profile_position
from twotower_ident.splits import Splits, read_splits
from twotower_ident.towers import Deep, FittedModel, Linear, TwoTower
from twotower_ident.training import TrainConfig, TrainingData, train

QUICK = TrainConfig(steps=10, epochs=2, batch_pairs=64)


@pytest.fixture(scope="module")
def splits() -> Splits:
    parts = [gaussian_letor(n_queries=n, n_docs=6, n_features=101, seed=seed) for seed, n in enumerate((30, 10, 10))]
    return Splits(*parts)


def run(splits: Splits, name: str, *chosen: Setting, **protocol) -> list[dict]:
    experiment, how = EXPERIMENTS[name], Protocol(config=QUICK, **protocol)
    seeded = seeded_data(experiment, splits, chosen[0].seed, how)
    return [run_setting(experiment, seeded, setting, how) for setting in chosen]


def test_there_are_seven_with_the_grids_of_the_paper() -> None:
    counts = {name: len(list(settings(experiment, (1, 2, 3)))) for name, experiment in EXPERIMENTS.items()}
    assert counts == {
        "1-example": 3 * 2 * 7 * 4,
        "2-model-fit-linear": 36,
        "2-model-fit-deep": 36,
        "2-model-fit-embedding": 36,
        "3-misfit-linear": 72,
        "3-omitted-features": 72,
        "3-expert-policy": 72,
    }
    assert EXPERIMENTS["1-example"].sessions == (2_500_000, 1_000_000, 1_000_000)
    assert {e.sessions for name, e in EXPERIMENTS.items() if name != "1-example"} == {(1_000_000, 500_000, 500_000)}


def test_every_official_figure_belongs_to_a_setting() -> None:
    for result in OFFICIAL_RESULTS:
        experiment = EXPERIMENTS[result.experiment]
        assert result.strength in experiment.strengths
        assert any(abs(result.temperature - tau) < 1e-9 for tau in experiment.temperatures)
        assert (result.weighted_ndcg is not None) == experiment.weighted
    assert official_result("3-expert-policy", 1, 1 / 3).curve[-1] == -3.949
    assert official_result("3-expert-policy", 0, 0) is None


@pytest.mark.parametrize("name", list(EXPERIMENTS))
def test_a_setting_of_each_experiment_runs(name: str, splits: Splits) -> None:
    experiment = EXPERIMENTS[name]
    setting = Setting(experiment.policies[0], -1.0, 1 / 3, 1, experiment.weighted)
    [row] = run(splits, name, setting, sessions=30_000)
    assert 0 < row["ndcg@10"] <= 1
    assert row["nll"] > 0
    assert len(row["curve"]) == 6
    if experiment.weighted:
        # Weights sum to the sessions in every cell seen, so the loss is larger by the cells that a document has.
        assert 3 < row["loss"] / row["nll"] < 6.5


def test_the_right_model_finds_the_users_under_every_policy(splits: Splits) -> None:
    both = [Setting("linear", strength, 0.0, 1, False) for strength in (1.0, -1.0)]
    for row in run(splits, "2-model-fit-linear", *both, population=True):
        assert row["curve_error"] < 0.05
        assert row["ndcg@10"] > 0.95


def test_in_the_population_weighting_collapses_all_policies_with_exploration(splits: Splits) -> None:
    grid = [(1.0, 1 / 3, True), (-1.0, 2 / 3, True), (1.0, 1.0, False), (1.0, 0.0, True), (1.0, 0.0, False)]
    found = run(splits, "3-misfit-linear", *(Setting("deep", a, tau, 1, w) for a, tau, w in grid), population=True)
    rows = {key: row["curve"] for key, row in zip(grid, found, strict=True)}
    np.testing.assert_allclose(rows[1.0, 1 / 3, True], rows[1.0, 1.0, False], atol=1e-7)
    np.testing.assert_allclose(rows[-1.0, 2 / 3, True], rows[1.0, 1.0, False], atol=1e-7)
    np.testing.assert_array_equal(rows[1.0, 0.0, True], rows[1.0, 0.0, False])
    assert np.abs(np.subtract(rows[1.0, 0.0, False], rows[1.0, 1.0, False])).max() > 0.01


def test_an_unidentified_embedding_is_given_no_figures_unless_the_paper_s_code_is_asked_for(splits: Splits) -> None:
    setting = Setting("expert", 1.0, 0.0, 1, False)
    [row] = run(splits, "2-model-fit-embedding", setting, sessions=20_000)
    assert row["ndcg@10"] is None
    assert row["curve_error"] is None
    [official] = run(splits, "2-model-fit-embedding", setting, sessions=20_000, official=True)
    assert official["ndcg@10"] > 0
    assert np.isfinite(official["curve"]).all()
    # N(0, 1) starts show in what no click determines.
    assert np.abs(official["curve"]).max() > 0.2


def test_the_official_protocol_lets_a_constant_score_win(splits: Splits) -> None:
    data = splits.test.take(np.lexsort((-splits.test.labels, splits.test.query)))
    constant = np.zeros(len(data.labels))
    assert ranking_figures(constant, data, Protocol(official=True))["ndcg"] == 1.0
    assert ranking_figures(constant, data, Protocol())["ndcg"] < 0.9


def test_a_summary_averages_seeds_and_stands_beside_the_official_figures(tmp_path: Path) -> None:
    def row(seed: int, ndcg: float | None, temperature: float) -> dict:
        base = {"experiment": "3-expert-policy", "policy": "expert", "strength": 1.0, "temperature": temperature}
        curve = (-np.log(np.arange(1, 26)) * seed).tolist()
        figures = {"ndcg@10": ndcg, "nll": 0.3, "curve_error": None, "curve": curve}
        return {**base, "seed": seed, "weighted": True, **figures}

    rows = [row(1, 0.7, 1 / 3), row(3, 0.8, 1 / 3), row(1, None, 0.0)]
    first, second = summary_rows(rows)
    assert first["ndcg@10"] == pytest.approx(0.75)
    assert first["ndcg@10_std"] == pytest.approx(np.std([0.7, 0.8], ddof=1))
    assert first["theta_25"] == pytest.approx(-2 * np.log(25))
    assert (first["official_ndcg@10"], first["official_theta_25"]) == (0.7215, -3.007)
    assert (second["ndcg@10"], second["ndcg@10_std"], second["curve_error"]) == (None, None, None)
    png, svg = plot_experiment(rows, tmp_path / "panel")
    assert png.stat().st_size > 1000
    assert "bias curves" in svg.read_text()


def test_splits_must_all_be_there_and_have_the_same_features(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no train\.txt"):
        read_splits(tmp_path)
    for name, line in (("train", "1 qid:1 3:1\n"), ("vali", "1 qid:2 2:1\n"), ("set1.test", "1 qid:3 3:1\n")):
        (tmp_path / f"{name}.txt").write_text(line)
    with pytest.raises(UserError, match="train 3, validation 2, test 3"):
        read_splits(tmp_path)
    found = read_splits(tmp_path, n_features=4)
    assert [part.features.shape for part in (found.train, found.validation, found.test)] == [(1, 4)] * 3


def test_a_profile_tells_a_position_that_the_log_holds_from_one_that_it_does_not() -> None:
    from twotower_ident.policies import EpsilonGreedy, ExpertPolicy
    from twotower_ident.simulate import make_world, simulate_cells
    from twotower_ident.user_models import UserModel

    documents = gaussian_letor(n_queries=20, n_docs=3, n_features=2, seed=1)
    cells = simulate_cells(
        make_world(documents, ExpertPolicy(1), UserModel()), EpsilonGreedy(0.5), sessions=3000, seed=1
    )
    # Two impressions without a click are left of the last position: its bias may be almost anything below.
    last = cells.position == 3
    rare = np.isin(np.arange(cells.n_cells), np.flatnonzero(last)[:2])
    impressions, clicks = np.where(last, 1.0, cells.impressions), np.where(last, 0.0, cells.clicks)
    kept = replace(cells, impressions=impressions, clicks=clicks).keep_cells(~last | rare)
    data = TrainingData(kept, documents.features)
    config = TrainConfig(steps=60, epochs=3, learning_rate=0.02)
    fitted = train(TwoTower(Deep(1, 4)), data, data, config).fitted
    firm, loose = (profile_position(fitted, data, k, config=config) for k in (2, 3))
    assert firm.verdict == "identified"
    assert min(firm.p_values) < 1e-6
    assert loose.verdict != "identified"
    assert loose.shifts == (-3, -1.5, 1.5, 3)


def test_a_profile_refuses_what_it_cannot_profile() -> None:
    deep = FittedModel(TwoTower(Deep(1, 2)), np.array([0, -1, np.nan]), {})
    data = TrainingData(None)  # type: ignore[arg-type]  # refused before it is looked at
    for fitted, position, shifts, message in (
        (FittedModel(TwoTower(Linear()), np.zeros(3), {}), 2, (-1, 1), "retrains deep"),
        (deep, 3, (-1, 1), "position 3: the model has no bias"),
        (deep, 4, (-1, 1), "positions 1 to 3"),
        (deep, 1, (-1, 1), "the reference itself"),
        (deep, 2, (1, 2), "one below and one above"),
    ):
        with pytest.raises(UserError, match=message):
            profile_position(fitted, data, position, shifts=shifts)
