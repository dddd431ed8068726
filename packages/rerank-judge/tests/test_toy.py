"""Figures of the normative toy collections, computed independently with scikit-learn, pytrec_eval and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_shared.trec import read_qrels, read_run
from rerank_judge.agreement import agree
from rerank_judge.calibration import select_threshold, target_values
from rerank_judge.collection import Collection
from rerank_judge.kappa_curve import kappa_at, kappa_curve
from rerank_judge.labeling import ScoreSet, human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.ordering import correlate
from rerank_judge.toy import ToyCollection, toy_collection, toy_text

World = tuple[Collection, ScoreSet]


def close(expected: object) -> object:
    return pytest.approx(expected, abs=5e-7)


def test_seed_11_draws_the_normative_numbers(loaded11: World) -> None:
    collection, scores = loaded11
    assert (collection.n_pairs, collection.relevant.sum()) == (1200, 311)
    assert scores.scores[:3].tolist() == [-3.855, -2.164, -0.509]


def test_seed_11_human_leaderboard(loaded11: World) -> None:
    collection, _ = loaded11
    means = leaderboard(collection, human_labels(collection)).means
    assert means[0].tolist() == close([0.323506, 0.679167, 0.437869])
    assert means[11].tolist() == close([0.732695, 0.975, 0.802926])


def test_seed_11_agreement_at_zero(loaded11: World) -> None:
    collection, scores = loaded11
    table = agree(collection, threshold(scores, 0.0)).confusion
    assert (table.tp, table.fp, table.fn, table.tn) == (249, 219, 62, 670)
    assert [table.kappa, table.accuracy, table.f1] == close([0.476157, 0.765833, 0.732966])


def test_seed_11_ordering_at_zero(loaded11: World) -> None:
    collection, scores = loaded11
    judge = leaderboard(collection, threshold(scores, 0.0))
    found = correlate(leaderboard(collection, human_labels(collection)), judge)
    assert [c.tau for c in found] == close([0.878788, 0.492366, 0.878788])
    assert [c.rho for c in found] == close([0.958042, 0.652636, 0.951049])
    assert judge.means[11].tolist() == close([0.533839, 0.908333, 0.724999])


def test_seed_11_best_thresholds_for_kappa(loaded11: World) -> None:
    collection, scores = loaded11
    curve = kappa_curve(collection.relevant, scores.scores)
    best = curve.best()
    assert best.value == close(0.586019)
    assert curve.scores[best.index - 1 : best.index + 1].tolist() == [1.460, 1.463]
    grid = select_threshold(collection, scores, "kappa", "step:0.1")
    assert (grid.n_candidates, grid.threshold, grid.value) == (163, 1.3, close(0.576936))


@pytest.mark.parametrize(
    ("target", "value", "thresholds", "chosen"),
    [
        ("tau:AP@100", 0.969697, [-1.3, -0.7], -0.7),  # two plateaus of one; the nearer to the decision at 0
        ("tau:RR@10", 0.800095, [2.1], 2.1),
        ("tau:nDCG@10", 0.969697, [0.7, 0.8, 1.4, 1.7], 0.7),  # the longest plateau, its lower middle
    ],
)
def test_seed_11_best_thresholds_for_orderings(
    loaded11: World, target: str, value: float, thresholds: list[float], chosen: float
) -> None:
    collection, scores = loaded11
    grid = np.arange(-90, 73) / 10
    values = target_values(collection, scores, grid, target)
    assert np.nanmax(values) == close(value)
    assert grid[values >= np.nanmax(values) - 1e-12].tolist() == thresholds
    selection = select_threshold(collection, scores, target, "step:0.1")
    assert (selection.threshold, selection.n_best, selection.n_candidates) == (chosen, len(thresholds), 163)


def test_seed_12_and_transfer(loaded11: World, loaded12: World) -> None:
    collection, scores = loaded12
    assert collection.relevant.sum() == 312
    table = agree(collection, threshold(scores, 0.0)).confusion
    assert (table.tp, table.fp, table.fn, table.tn) == (242, 180, 70, 708)
    assert table.kappa == close(0.514148)
    judge = leaderboard(collection, threshold(scores, 0.0))
    found = correlate(leaderboard(collection, human_labels(collection)), judge)
    assert [c.tau for c in found] == close([0.909091, 0.461538, 0.848485])
    curve = kappa_curve(collection.relevant, scores.scores)
    best = curve.best()
    assert (best.value, curve.scores[best.index]) == (close(0.561065), 0.592)
    at = kappa_at(collection.relevant, scores.scores, np.array([1.463, 1.3]))
    assert at.tolist() == close([0.547933, 0.545669])


def test_written_files_read_back_as_the_same_collection(
    toy11: ToyCollection, toy_folder: Path, loaded11: World
) -> None:
    collection = Collection.load(toy_folder / "qrels.txt", toy_folder / "runs")
    assert collection.systems == tuple(f"sys{k:02d}" for k in range(12))
    assert (collection.runs == loaded11[0].runs).all()
    assert read_qrels(toy_folder / "qrels.txt") == toy11.qrels
    assert read_run(toy_folder / "judges" / "toy.scores") == toy11.scores


def test_sizes_are_as_asked() -> None:
    toy = toy_collection(0, T=3, D=5, S=2, K=4)
    assert [len(docs) for docs in toy.qrels.values()] == [5, 5, 5]
    assert {len(docs) for run in toy.runs.values() for docs in run.values()} == {4}


def test_toy_text_grades_count_the_query_words_in_the_document() -> None:
    text = toy_text(7)
    assert (len(text.topics), len(text.documents)) == (12, 480)
    for qid, grades in text.qrels.items():
        keywords = set(text.topics[qid].split())
        assert len(keywords) == 3
        for docid, grade in grades.items():
            words = text.documents[docid].split()
            assert len(keywords & set(words)) == grade
            assert 8 <= len(words) - grade <= 24
    assert {grade for grades in text.qrels.values() for grade in grades.values()} == {0, 1, 2, 3}
