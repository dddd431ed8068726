"""Bias figures: the published example, the invariants, and what holes do to them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from rerank_judge.bias import BiasReport, bias_from_boards, bias_report, displacement
from rerank_judge.collection import ABSENT, UNJUDGED, Collection
from rerank_judge.families import Families
from rerank_judge.holes import condense, fill_holes, judged_shares
from rerank_judge.labeling import align_labels, human_labels, threshold
from rerank_judge.leaderboard import Board, leaderboard
from rerank_judge.permutation import assignments, family_test

SYSTEMS = ("monot5-3b", "monot5-base", "monot5-large", "rank1-14b", "rank1-32b", "rank1-7b", "rl-13b", "rl-7b", "bm25")
FAMILIES = Families(
    {
        "monoT5": ("monot5-3b", "monot5-base", "monot5-large"),
        "Rank1": ("rank1-14b", "rank1-32b", "rank1-7b"),
        "RankLLaMA": ("rl-13b", "rl-7b"),
    },
    baselines=("bm25",),
)
HUMAN = [0.437035, 0.430174, 0.438941, 0.399031, 0.415505, 0.402457, 0.451022, 0.457232, 0.247616]
MONOT5_BASE = [0.732257, 0.796371, 0.748228, 0.391994, 0.427671, 0.429940, 0.723321, 0.719324, 0.349713]


def board(name: str, values: object) -> Board:
    """A leaderboard of one metric from values [S] or [S, T]."""
    array = np.asarray(values, dtype=np.float64).reshape(len(SYSTEMS), -1)
    topics = tuple(f"t{t}" for t in range(array.shape[1]))
    return Board(name, ("AP@100",), SYSTEMS, topics, array[:, :, None])


def test_the_published_dl19_example() -> None:
    report = bias_from_boards(board("human", HUMAN), [board("monot5-base", MONOT5_BASE)], FAMILIES, n_boot=0)
    judge = report.judges[0]
    assert judge.leniency.value == pytest.approx(0.182201, abs=5e-7)
    assert judge.own_preference.value == pytest.approx(0.183996, abs=5e-7)
    assert judge.family_preference.value == pytest.approx(0.120054, abs=5e-7)
    assert judge.cross["RankLLaMA"].value == pytest.approx(0.084995, abs=5e-7)
    assert judge.cross["Rank1"].value == pytest.approx(-0.171330, abs=5e-7)
    assert judge.cross["baseline"].value == pytest.approx(-0.080104, abs=5e-7)
    assert judge.own_rank == (5, 1)
    assert judge.displacement["monot5-base"] == 4
    assert judge.tau == pytest.approx(0.444444, abs=5e-7)
    assert judge.rho == pytest.approx(0.666667, abs=5e-7)
    assert report.self_judging == ("monot5-base",)
    # The matrix counts the own system for its family.
    own, others = judge.own_preference.value, judge.family_preference.value
    assert report.matrix["monoT5"]["monoT5"].value == pytest.approx((own + 2 * others) / 3)


MEANS = st.lists(st.floats(0, 1), min_size=27, max_size=27).map(lambda v: np.reshape(v, (9, 3)))


@settings(max_examples=40, deadline=None)
@given(human=MEANS, judge=MEANS, constant=st.floats(-0.5, 0.5))
def test_centred_differences_sum_to_zero_and_a_constant_changes_leniency_only(
    human: np.ndarray, judge: np.ndarray, constant: float
) -> None:
    def report(values: np.ndarray) -> BiasReport:
        return bias_from_boards(board("human", human), [board("rank1-7b", values)], FAMILIES, n_boot=0)

    plain, lifted = report(judge).judges[0], report(judge + constant).judges[0]
    assert sum(c.value for c in plain.centred.values()) == pytest.approx(0, abs=1e-12)
    assert lifted.leniency.value == pytest.approx(plain.leniency.value + constant, abs=1e-12)
    for name in ("own_preference", "family_preference"):
        assert getattr(lifted, name).value == pytest.approx(getattr(plain, name).value, abs=1e-12)
    for group, estimate in plain.cross.items():
        assert lifted.cross[group].value == pytest.approx(estimate.value, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(human=MEANS)
def test_a_judge_that_is_the_human_has_no_bias(human: np.ndarray) -> None:
    report = bias_from_boards(board("human", human), [board("rank1-7b", human)], FAMILIES, n_boot=10)
    judge = report.judges[0]
    figures = [judge.leniency, judge.own_preference, judge.family_preference, *judge.cross.values()]
    for figure in (*figures, *judge.centred.values()):
        assert figure.value == figure.interval.low == figure.interval.high == 0
    assert set(judge.displacement.values()) == {0}


def test_the_bootstrap_is_that_of_a_loop_over_resampled_topics() -> None:
    rng = np.random.default_rng(0)
    human, judge = rng.random((9, 30)), rng.random((9, 30))
    report = bias_from_boards(board("human", human), [board("rl-7b", judge)], FAMILIES, n_boot=300, seed=5)
    counts = np.random.default_rng(5).multinomial(30, np.full(30, 1 / 30), size=300)
    own = []
    for row in counts:
        drawn = np.repeat(np.arange(30), row)
        difference = judge[:, drawn].mean(axis=1) - human[:, drawn].mean(axis=1)
        own.append((difference - difference.mean())[SYSTEMS.index("rl-7b")])
    interval = report.judges[0].own_preference.interval
    np.testing.assert_allclose([interval.low, interval.high], np.quantile(own, [0.025, 0.975]), atol=1e-12)


def test_ranks_count_the_better_systems() -> None:
    assert displacement(np.array([0.5, 0.4, 0.4, 0.1]), np.array([0.2, 0.9, 0.3, 0.3])).tolist() == [-3, 1, 0, 2]


def test_a_permutation_test_looks_at_every_assignment_once() -> None:
    rows, exact = assignments(np.array([0, 0, 0, 1, 1, 1, 2, 2]), 0)
    assert exact
    assert len(rows) == len({tuple(row) for row in rows.tolist()}) == 560
    assert rows[0].tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_the_permutation_p_value_is_that_of_brute_force() -> None:
    rng = np.random.default_rng(4)
    centred = rng.standard_normal((3, 5))
    systems = ["A", "A", "B", "B", None]
    judges, own = ["A", "B", None], [0, 2, None]
    for with_own in (True, False):
        found = family_test(centred, judges, systems, own, with_own=with_own)

        def statistic(labels: tuple[str, ...], with_own: bool = with_own) -> float:
            means = []
            for j, family in ((0, "A"), (1, "B")):
                places = [s for s in range(4) if labels[s] == family and (with_own or s != own[j])]
                means.append(centred[j, places].mean())
            return float(np.mean(means))

        values = [statistic(labels) for labels in set(itertools.permutations("AABB"))]
        assert found.statistic == pytest.approx(statistic(("A", "A", "B", "B")))
        assert (found.n, found.exact) == (6, True)
        assert found.p_value == np.mean([value >= found.statistic - 1e-12 for value in values])


def test_many_systems_are_sampled() -> None:
    families = ["A", "B", "C"] * 6
    found = family_test(np.random.default_rng(0).standard_normal((1, 18)), ["A"], families, [0], with_own=True)
    assert (found.n, found.exact) == (10_001, False)
    assert 0 < found.p_value <= 1


def test_one_family_alone_cannot_be_tested() -> None:
    assert family_test(np.ones((1, 2)), ["A"], ["A", "A"], [0], with_own=True) is None


QRELS = {"q": {"a": 3, "b": 0, "c": 2}}
RUNS = {
    "s1": {"q": {"x": 9.0, "a": 8.0, "b": 7.0, "c": 6.0}},
    "s2": {"q": {"b": 9.0, "y": 8.0, "x": 7.0, "a": 6.0}},
    "s3": {"q": {"c": 9.0, "a": 8.0}},
}


def test_condensed_lists_hold_the_judged_documents_in_order() -> None:
    collection = Collection.from_mappings(QRELS, RUNS, file_cut=2, extra_pairs={"q": {"x": 0}})
    lists = condense(collection)
    docs = [[collection.docids[i] for i in row if i >= 0] for row in lists.runs[:, 0]]
    assert docs == [["a", "b", "c"], ["b", "a"], ["c", "a"]]
    assert set(lists.runs[lists.runs < 0]) == {ABSENT}
    assert UNJUDGED in collection.runs
    np.testing.assert_array_equal(lists.file_cut, lists.runs[:, :, :2])
    np.testing.assert_allclose(judged_shares(collection)[:, 0], [3 / 4, 2 / 4, 1])
    assert judged_shares(lists).tolist() == [[1, 1]] * 3


def test_condensing_equals_runs_written_without_the_unjudged() -> None:
    without = {s: {"q": {d: x for d, x in run["q"].items() if d in QRELS["q"]}} for s, run in RUNS.items()}
    condensed = condense(Collection.from_mappings(QRELS, RUNS))
    written = Collection.from_mappings(QRELS, without)
    human = human_labels(condensed)
    np.testing.assert_array_equal(leaderboard(condensed, human).values, leaderboard(written, human).values)


def test_filled_holes_count_alike_for_both_sides() -> None:
    collection = Collection.from_mappings(QRELS, RUNS, extra_pairs={"q": {"x": 0, "y": 0}})
    judge = align_labels(collection, {"q": {"a": 1, "b": 0, "c": 1, "x": 1, "y": 0}}, "j")
    human, labels = fill_holes(collection, judge)
    assert human.relevant.tolist() == [True, False, True, True, False]
    report = bias_report(collection, [judge], Families({}), holes="filled", n_boot=0)
    assert all(c.value == 0 for c in report.judges[0].centred.values())  # the judge agrees on all that humans judged
    raw = bias_report(collection, [judge], Families({}), n_boot=0)
    assert report.human["s1"] > raw.human["s1"]
    assert raw.judged["s1"] == (0.75, 0.75)
    assert labels is judge
    with pytest.raises(UserError, match="no hole it could fill"):
        fill_holes(Collection.from_mappings(QRELS, RUNS), human_labels(Collection.from_mappings(QRELS, RUNS)))


def test_a_report_of_toy_runs_puts_the_judged_share_beside_every_figure(loaded11) -> None:
    collection, scores = loaded11
    families = Families({"A": ("toy", "sys11"), "B": ("sys00", "sys01")}, own={"toy": "sys11"})
    report = bias_report(collection, [threshold(scores, 0.0)], families, n_boot=50)
    judge = report.judges[0]
    assert (judge.family, judge.own, judge.family_preference) == ("A", "sys11", None)
    figures = [judge.leniency, judge.own_preference, *judge.cross.values(), *report.matrix["A"].values()]
    assert all(figure.judged == (1.0, 1.0) for figure in figures)
    assert set(report.groups) == {"A", "B", "baseline"}
    assert report.to_json()["self_judging"] == ("toy",)


def test_boards_that_do_not_fit_are_refused() -> None:
    good, other = board("human", HUMAN), board("j", MONOT5_BASE)
    with pytest.raises(UserError, match="at least one judge"):
        bias_from_boards(good, [], FAMILIES)
    with pytest.raises(UserError, match="different systems or topics"):
        bias_from_boards(board("human", np.ones((9, 2))), [other], FAMILIES)
    with pytest.raises(UserError, match="missing_topics"):
        bias_from_boards(good, [board("j", [np.nan] * 9)], FAMILIES)
