"""Placement weights: their identities, their price, and what is said about them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from ir_shared.console import DataWarning, UserError
from twotower_ident.cells import CellTable
from twotower_ident.click_log import ClickLog, LogColumns
from twotower_ident.exact_fit import fit_exact, mean_nll
from twotower_ident.features import PairFeatures, log_features
from twotower_ident.placement import (
    empirical_propensities,
    epsilon_greedy_ess,
    logged_propensities,
    modelled_propensities,
    placement_weights,
    weighted_rows,
)


def test_the_weights_of_a_cell_sum_to_the_sessions_of_its_query(impressions: pl.DataFrame) -> None:
    cells = ClickLog.scan(impressions).cells(count_sessions=True, labels="queries")
    weights = placement_weights(cells)
    assert cells.queries is not None
    assert weights.weight * cells.impressions == pytest.approx(cells.sessions()[cells.pair_query[cells.pair]])
    counts = impressions.group_by("qid").agg(pl.col("session").n_unique())
    expected = cells.queries.join(counts, on="qid", how="left", maintain_order="left")["session"].to_numpy()
    assert np.array_equal(cells.sessions(), expected)


def test_on_a_deterministic_log_weighting_changes_no_bit(impressions: pl.DataFrame) -> None:
    own = pl.col("docid").str.ends_with((pl.col("position") - 1).cast(pl.String))
    fixed = impressions.filter(own.all().over("session"))
    cells = ClickLog.scan(fixed).cells()
    weights = placement_weights(cells)
    assert (weights.weight == 1).all()
    assert weights.ess_share == 1
    assert "deterministic" in weights.notes[0]
    logits = np.linspace(-2, 1, cells.n_cells)
    plain = mean_nll(cells.impressions, cells.clicks, logits)
    assert mean_nll(cells.impressions * weights.weight, cells.clicks * weights.weight, logits) == plain
    features = np.random.default_rng(0).standard_normal((cells.n_pairs, 3))
    one = fit_exact(cells, "linear", features=features)
    other = fit_exact(cells, "linear", features=features, weights=weights.weight)
    assert np.array_equal(one.position_bias, other.position_bias)


@pytest.mark.parametrize(("tau", "expected"), [(0.1, 0.104), (1 / 3, 0.347), (2 / 3, 0.692), (1.0, 1.0)])
def test_effective_sample_size_under_exploration_has_a_closed_form(tau: float, expected: float) -> None:
    n = 25
    share = np.full((n, n), tau / n) + (1 - tau) * np.eye(n)
    pair, position = np.divmod(np.arange(n * n), n)
    cells = CellTable.from_arrays(pair, position + 1, 1000 * share.reshape(-1), np.zeros(n * n))
    weights = placement_weights(cells, propensities=share.reshape(-1))
    assert weights.ess_share == pytest.approx(epsilon_greedy_ess(n, tau), rel=1e-12)
    assert epsilon_greedy_ess(n, tau) == pytest.approx(expected, abs=5e-4)
    assert weights.max_weight == pytest.approx(n / tau)


def test_the_schemes_are_what_they_are_called(impressions: pl.DataFrame) -> None:
    cells = ClickLog.scan(impressions).cells(count_sessions=True)
    raw = placement_weights(cells).weight
    assert np.array_equal(placement_weights(cells, "clip", clip=3.0).weight, np.minimum(raw, 3))
    normalised = placement_weights(cells, "self-normalised")
    assert normalised.by_position["mean_weight"].to_numpy() == pytest.approx(1.0)
    stabilised = placement_weights(cells, "stabilised").weight
    for k in range(cells.n_positions):
        own = cells.index == k
        ratio = stabilised[own] / raw[own]
        assert ratio == pytest.approx(ratio[0])
        # π̄(k): the mean over sessions and documents of showing one at k, here one of six documents each time.
        assert ratio[0] == pytest.approx(1 / 6, rel=1e-9)


def test_heaviest_hundredth_is_a_share_of_impressions_and_not_of_cells() -> None:
    cells = CellTable.from_arrays([0, 1], [1, 2], [10, 990], [0, 0], pair_query=[0, 0])
    weights = placement_weights(cells, propensities=np.array([0.01, 1.0]))
    assert weights.top_mass == pytest.approx(1000 / 1990)


def test_rare_queries_and_short_lists_are_pointed_out() -> None:
    cells = CellTable.from_arrays([0, 1, 2, 2], [1, 2, 1, 2], [1, 1, 4, 2], [0, 0, 1, 1], pair_query=[0, 0, 1])
    notes = placement_weights(cells).notes
    assert any(note.startswith("50.0% of the queries have one session") for note in notes)
    cells = CellTable.from_arrays([0, 1], [1, 1], [6, 4], [1, 1], pair_query=[0, 0])
    assert any("over the positions that were shown" in note for note in placement_weights(cells).notes)


def test_impossible_propensities_and_huge_weights_are_refused_or_reported() -> None:
    cells = CellTable.from_arrays([0, 1], [1, 2], [5, 5], [1, 1])
    for wrong in (0.0, 1.5, np.nan):
        with pytest.raises(UserError, match=r"cell 1 \(pair 1, position 2\)"):
            placement_weights(cells, propensities=np.array([0.5, wrong]))
    with pytest.warns(DataWarning, match="the largest is 10000, effective sample size"):
        placement_weights(cells, propensities=np.array([1.0, 1e-4]))
    with pytest.raises(UserError, match="goes with a positive clip"):
        placement_weights(cells, "clip")
    with pytest.raises(UserError, match="documents; aggregate with keys 'pair'"):
        empirical_propensities(cells.rekey(np.array([0, 0])))


def test_logged_propensities_are_averaged_over_a_cell_and_checked(impressions: pl.DataFrame) -> None:
    frame = impressions.with_columns(propensity=pl.lit(0.25) + 0.5 * (pl.col("session") % 2))
    log = ClickLog.scan(frame)
    cells, found = log.cells(), logged_propensities(log)
    assert found.shape == (cells.n_cells,)
    mean = 1 / frame["propensity"]
    assert (cells.impressions / found).sum() == pytest.approx(mean.sum())
    with pytest.raises(UserError, match=r"1 propensities are not in \(0, 1\], first in rows 7"):
        ClickLog.scan(frame.with_columns(propensity=pl.when(pl.int_range(pl.len()) == 7).then(0.0).otherwise(0.5)))
    with pytest.raises(UserError, match="no column of propensities"):
        logged_propensities(ClickLog.scan(impressions))


def test_modelled_propensities_follow_the_policy_where_each_query_is_seen_once() -> None:
    rng = np.random.default_rng(0)
    n = 4000
    good = rng.random(n) < 0.5
    top = rng.random(n) < np.where(good, 0.9, 0.1)
    cells = CellTable.from_arrays(np.arange(n), np.where(top, 1, 2), np.ones(n), np.zeros(n), pair_query=np.arange(n))
    features = PairFeatures.checked(good[:, None].astype(float), ["good"])
    found = modelled_propensities(cells, features, kind="logistic")
    assert found == pytest.approx(np.where(good == top, 0.9, 0.1), abs=0.03)
    assert (empirical_propensities(cells) == 1).all()


def test_every_row_gets_the_weight_of_its_cell_in_its_own_order(impressions: pl.DataFrame) -> None:
    log = ClickLog.scan(impressions, LogColumns(features=("f*",)))
    assert log_features(log).names == ["f0", "f1", "f2"]
    cells = log.cells(labels="pairs", count_sessions=True)
    rows = weighted_rows(log, cells, placement_weights(cells)).collect()
    same = ["qid", "docid", "click"]
    assert rows.select(same).equals(impressions.select(same))
    sessions = impressions.group_by("qid").agg(pl.col("session").n_unique().alias("n_q"))
    shown = impressions.group_by("qid", "docid", "position").len()
    expected = (
        impressions.join(sessions, on="qid", maintain_order="left")
        .join(shown, on=["qid", "docid", "position"], maintain_order="left")
        .select(pl.col("n_q") / pl.col("len"))
        .to_series()
    )
    assert rows["weight"].to_numpy() == pytest.approx(expected.to_numpy())
