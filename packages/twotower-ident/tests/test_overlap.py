"""Feature overlap against integrals, known supports and the rank of the stacked design."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import DataWarning, UserError
from scipy.integrate import quad
from scipy.stats import norm
from twotower_ident.cells import CellTable, group_rows
from twotower_ident.contrasts import cell_variances
from twotower_ident.features import PairFeatures, feature_buckets, position_leaks
from twotower_ident.generators import interval_features
from twotower_ident.linear_design import linear_overlap
from twotower_ident.overlap import classifier_overlap
from twotower_ident.overlap_range import feature_overlap, graph_view
from twotower_ident.swap_graph import position_graph


def shown_once(position: np.ndarray, docs_each: int = 10) -> CellTable:
    """One pair for each entry, clicked every fifth time."""
    n = len(position)
    return CellTable.from_arrays(
        np.arange(n), position, np.ones(n), (np.arange(n) % 5 == 0).astype(float), pair_query=np.arange(n) // docs_each
    )


def named(values: np.ndarray) -> PairFeatures:
    return PairFeatures.checked(values, [f"f{j}" for j in range(values.shape[1])])


@pytest.mark.parametrize(("kind", "n"), [("trees", 20_000), ("logistic", 50_000)])
def test_classifier_overlap_is_the_integral_of_the_densities(kind: str, n: int) -> None:
    rng = np.random.default_rng(0)
    mean = 1.5
    position = np.tile([1, 2], n)
    x = rng.normal(mean * (position == 2), 1.0)
    found = classifier_overlap(shown_once(position), named(x[:, None]), kind=kind)
    expected = 2 * quad(lambda t: norm.pdf(t) * norm.pdf(t, mean) / (norm.pdf(t) + norm.pdf(t, mean)), -10, 12)[0]
    assert found.overlap[0, 1] == pytest.approx(expected, abs=0.03)
    assert found.auc[0, 1] == pytest.approx(norm.cdf(mean / np.sqrt(2)), abs=0.01)
    assert found.log_loss < found.prior_log_loss - 0.1
    assert np.diag(found.overlap) == pytest.approx(1.0)


def test_random_positions_overlap_fully_and_the_user_is_told_that_nothing_was_learned() -> None:
    rng = np.random.default_rng(1)
    position = rng.integers(1, 4, 3000)
    with pytest.warns(DataWarning, match="no better than their shares"):
        found = classifier_overlap(shown_once(position), named(rng.standard_normal((3000, 2))))
    assert found.overlap.min() > 0.95


@pytest.mark.parametrize(("overlap", "components", "links"), [(-0.3, 10, 0), (0.3, 1, 9), (10.0, 1, 45)])
def test_buckets_see_disjoint_neighbouring_and_full_supports(overlap: float, components: int, links: int) -> None:
    x, position = interval_features(n_queries=2000, overlap=overlap)
    # Supports end on multiples of 0.1 away from 0.05, so that no bucket of width 0.1 straddles two of them.
    key = group_rows(np.floor(x[:, None] / 0.1 + 1e-9))
    graph = position_graph(shown_once(position).rekey(key))
    assert graph.n_components == components
    linked = np.argwhere(np.triu(graph.swap_pairs, 1) > 0)
    assert len(linked) == links
    if links == 9:
        assert (linked[:, 1] - linked[:, 0] == 1).all()


def test_equal_vectors_link_positions_across_queries() -> None:
    x = np.array([[1.0, 0.0], [2.0, 0.0], [2.0, -0.0], [3.0, 1.0]])
    cells = CellTable.from_arrays([0, 1, 2, 3], [1, 2, 1, 3], [1] * 4, [0] * 4, pair_query=[0, 0, 1, 1])
    assert position_graph(cells).n_components == 3
    view = graph_view(cells, group_rows(x), "exact")
    assert (view.n_keys, view.components) == (3, 2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_linear_verdict_is_the_rank_of_positions_and_features(seed: int) -> None:
    rng = np.random.default_rng(seed)
    k, n, f = int(rng.integers(2, 5)), int(rng.integers(3, 9)), int(rng.integers(1, 4))
    position = np.concatenate([np.arange(1, k + 1), rng.integers(1, k + 1, n)])
    x = rng.integers(-1, 2, (len(position), f)).astype(float)
    if (x.max(axis=0) == x.min(axis=0)).any():
        x[0] += 2
    onehot = np.eye(k)[position - 1]
    found = linear_overlap(shown_once(position), named(x), weights="unit")
    stacked = np.column_stack([onehot, x])
    assert found.rank == np.linalg.matrix_rank(stacked)
    for j in range(k):
        contrast = np.concatenate([np.eye(k)[j] - np.eye(k)[0], np.zeros(f)])
        in_row_space = np.linalg.matrix_rank(np.vstack([stacked, contrast])) == np.linalg.matrix_rank(stacked)
        assert bool(found.identified[j]) == in_row_space


def test_linear_standard_errors_are_those_of_the_logistic_regression() -> None:
    rng = np.random.default_rng(4)
    n, k = 900, 4
    x = rng.standard_normal((n, 3))
    position = 1 + np.clip(np.argsort(np.argsort(x[:, 0] + rng.standard_normal(n))) * k // n, 0, k - 1)
    p = 1 / (1 + np.exp(-(x @ [0.8, -0.4, 0.1] - np.log(position))))
    click = rng.random(n) < p
    design = np.column_stack([np.eye(k)[position - 1][:, 1:], np.ones(n), x])
    fit = sm.GLM(click, design, family=sm.families.Binomial()).fit(tol=1e-14)
    cells = CellTable.from_arrays(np.arange(n), position, np.ones(n), click)
    # The audit plugs in click rates; with the fitted ones instead it is the regression's own information.
    scaled = CellTable.from_arrays(
        np.arange(n), position, cell_variances(cells, probabilities=fit.fittedvalues), np.zeros(n)
    )
    found = linear_overlap(scaled, named(x), weights="unit")
    assert found.se[1:] == pytest.approx(fit.bse[: k - 1], rel=1e-6)
    assert found.inflation.max() > 1.2


def test_a_feature_that_is_the_position_is_named_as_the_trade() -> None:
    rng = np.random.default_rng(5)
    position = np.tile(np.arange(1, 11), 50)
    x = np.column_stack([rng.standard_normal(500), -position.astype(float)])
    cells = shown_once(position)
    found = linear_overlap(cells, named(x))
    assert found.verdict == "unidentified"
    assert found.null_features[0][0] == "f1"
    assert position_leaks(cells, named(x)) == [("f1", 1.0)]
    overlap = feature_overlap(cells, named(x), classifier="none")
    assert any("f1" in note and "give the position away" in note for note in overlap.notes)


def test_the_range_runs_from_no_link_to_full_rank_on_smooth_features() -> None:
    x, position = interval_features(n_queries=300, overlap=10.0)
    with pytest.warns(DataWarning, match="no better than their shares"):
        found = feature_overlap(shown_once(position), named(x[:, None]), classifier="logistic")
    assert found.exact.components == 10
    assert found.bucket.components == 1
    assert found.linear.verdict == "identified"
    assert found.summary.startswith("between 10 components")
    assert found.summary.endswith("identified (linear tower, optimistic)")


def test_quantile_buckets_take_three_columns_or_components() -> None:
    values = np.random.default_rng(0).standard_normal((1000, 5))
    features = named(values)
    assert feature_buckets(features, bins=2, columns=["f0", "f3"]).max() == 3
    assert feature_buckets(features, bins=2).max() == 7
    with pytest.raises(UserError, match="three at most"):
        feature_buckets(features, columns=["f0", "f1", "f2", "f3"])
    with pytest.raises(UserError, match="no feature 'g'"):
        feature_buckets(features, columns=["g"])


def test_features_are_checked_before_use() -> None:
    values = np.array([[1.0, 7.0, 1.797e308], [2.0, 7.0, 3.0]])
    with pytest.warns(DataWarning) as caught:
        found = PairFeatures.checked(values, ["a", "b", "c"])
    assert found.names == ["a", "c"]
    assert found.constant == ["b"]
    assert found.values[0, 1] == 0
    assert {"missing" in str(w.message) or "constant" in str(w.message) for w in caught} == {True}
    with pytest.raises(UserError, match="b of pair 1 is nan"):
        PairFeatures.checked(np.array([[1.0, 2.0], [1.0, np.nan]]), ["a", "b"])
