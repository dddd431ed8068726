"""Components, null directions, finiteness and rankings of the swap graph, against linear algebra and programming."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from twotower_ident.cells import CellTable
from twotower_ident.swap_graph import informative_pairs, position_graph, query_verdicts, reachable


def design(cells: CellTable) -> np.ndarray:
    """The 0/1 design [positions | pairs] with one row a cell."""
    rows = np.zeros((cells.n_cells, cells.n_positions + cells.n_pairs))
    rows[np.arange(cells.n_cells), cells.index] = 1
    rows[np.arange(cells.n_cells), cells.n_positions + cells.pair] = 1
    return rows


@st.composite
def sparse_cells(draw: st.DrawFn) -> CellTable:
    k, n = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    chosen = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(1, k)), min_size=1, max_size=20, unique=True))
    used = sorted({pair for pair, _ in chosen})
    pair = np.array([used.index(pair) for pair, _ in chosen])
    shown = np.array(draw(st.lists(st.integers(1, 4), min_size=len(chosen), max_size=len(chosen))))
    clicks = np.array([draw(st.integers(0, int(count))) for count in shown])
    return CellTable.from_arrays(pair, [position for _, position in chosen], shown, clicks)


@settings(max_examples=200, deadline=None)
@given(sparse_cells())
def test_design_rank_is_positions_plus_pairs_minus_components(cells: CellTable) -> None:
    graph = position_graph(cells)
    matrix = design(cells)
    assert np.linalg.matrix_rank(matrix) == graph.seen.sum() + cells.n_pairs - graph.n_components
    for c in range(graph.n_components):
        # A shift of a component's positions against its pairs changes no prediction.
        of_pair = np.zeros(cells.n_pairs)
        of_pair[cells.pair] = graph.component[cells.index] == c
        direction = np.concatenate([(graph.component == c).astype(float), -of_pair])
        assert np.abs(matrix @ direction).max() == 0


def recedes(cells: CellTable, u: int, v: int) -> bool:
    """Whether some direction lifts θ_u over θ_v without the likelihood ever falling, by linear programming.

    Logits must not fall at cells with clicks only, not rise at cells without clicks, and not move where both occur.
    """
    rows = design(cells)
    only_clicks, only_misses = cells.clicks == cells.impressions, cells.clicks == 0
    both = ~(only_clicks | only_misses)
    bounded = np.vstack([rows[only_misses], -rows[only_clicks]])
    goal = np.zeros(rows.shape[1])
    goal[u], goal[v] = -1.0, 1.0
    equal = {"A_eq": rows[both], "b_eq": np.zeros(both.sum())} if both.any() else {}
    found = linprog(goal, A_ub=bounded, b_ub=np.zeros(len(bounded)), bounds=(-1, 1), **equal)
    return -found.fun > 1e-7


@settings(max_examples=80, deadline=None)
@given(sparse_cells())
def test_finite_contrasts_are_those_without_a_direction_of_recession(cells: CellTable) -> None:
    graph = position_graph(cells)
    seen = np.flatnonzero(graph.seen)
    for u, v in combinations(seen.tolist(), 2):
        rises, falls = recedes(cells, u, v), recedes(cells, v, u)
        assert (not rises and not falls) == (graph.strong[u] == graph.strong[v])
        # A path of edges one way means that maximum likelihood pushes the contrast that way, and only that way.
        up, down = reachable(graph.discordance, v)[u], reachable(graph.discordance, u)[v]
        if up != down:
            assert (rises, falls) == (up, down)


def test_positions_with_a_gap_and_one_way_links_are_told_apart() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1], [1, 2, 2, 4], [5, 5, 5, 5], [5, 0, 2, 2])
    graph = position_graph(cells)
    assert graph.component.tolist() == [0, 0, -1, 0]
    assert graph.strong.tolist() == [0, 1, -1, 1]


def test_a_query_is_rankable_exactly_when_its_documents_share_a_component() -> None:
    # Positions 1-2 and 3-4 are linked; query 0 lives in one component, 1 in both, 2 has one document in each.
    pair = [0, 0, 1, 2, 2, 3, 3, 4, 5, 6]
    position = [1, 2, 2, 3, 4, 1, 2, 4, 1, 3]
    cells = CellTable.from_arrays(pair, position, [10] * 10, [3] * 10, pair_query=[0, 0, 1, 1, 1, 2, 2])
    graph = position_graph(cells)
    assert graph.n_components == 2
    verdicts = query_verdicts(cells, graph.component)
    assert verdicts.verdict.tolist() == ["full", "partly", "none"]
    assert verdicts.shares()["full"]["impressions"] == pytest.approx(0.3)


def test_informative_pairs_need_two_positions_and_both_outcomes() -> None:
    cells = CellTable.from_arrays([0, 0, 1, 1, 2, 3, 3], [1, 2, 1, 2, 1, 1, 2], [4] * 7, [4, 4, 0, 0, 2, 1, 4])
    told, shares = informative_pairs(cells)
    assert told.tolist() == [False, False, False, True]
    assert shares.pairs == 0.25
    assert shares.impressions == pytest.approx(8 / 28)
    assert shares.swapped_pairs == 0.75
    assert shares.impressions_each == 8


def test_chunks_give_the_same_graph_as_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pair, position = rng.integers(0, 50, 400), rng.integers(1, 7, 400)
    cells = CellTable.from_arrays(pair, position, np.ones(400), rng.integers(0, 2, 400))
    whole = position_graph(cells)
    monkeypatch.setattr(CellTable, "chunks", lambda self, size=7, inner=CellTable.chunks: inner(self, 7))
    parts = position_graph(cells)
    assert np.array_equal(whole.swap_pairs, parts.swap_pairs)
    assert whole.discordance == pytest.approx(parts.discordance)
