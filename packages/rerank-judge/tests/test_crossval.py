"""Calibration inside one collection and over several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ir_shared.console import UserError
from rerank_judge.agreement import agree
from rerank_judge.calibration import select_threshold, target_values
from rerank_judge.collection import Collection
from rerank_judge.crossval import cross_validate, leave_one_out, take_topics, topic_folds
from rerank_judge.judged import JudgedCollection
from rerank_judge.kappa_curve import kappa_curve
from rerank_judge.labeling import human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.ordering import tau_b
from rerank_judge.toy import toy_collection
from rerank_judge.transfer import transfer


def judged(seed: int) -> JudgedCollection:
    collection, scores = toy_collection(seed).load()
    return JudgedCollection(f"toy{seed}", collection, {"toy": scores})


def test_folds_part_the_topics_evenly() -> None:
    folds = topic_folds(20, 6, seed=1)
    assert sorted(np.concatenate(folds).tolist()) == list(range(20))
    assert {len(fold) for fold in folds} == {3, 4}
    with pytest.raises(UserError, match="21 folds of 20 topics"):
        topic_folds(20, 21)


def test_a_part_of_a_collection_is_what_loading_that_part_gives(toy11, loaded11) -> None:
    collection, scores = loaded11
    topics = np.array([1, 4, 17])
    part, its_scores = take_topics(collection, scores, topics)
    names = [collection.topics[t] for t in topics]
    loaded = Collection.from_mappings({q: toy11.qrels[q] for q in names}, toy11.runs)
    assert (part.topics, part.docids) == (loaded.topics, loaded.docids)
    for field in ("offsets", "grades", "judged", "runs", "file_cut"):
        np.testing.assert_array_equal(getattr(part, field), getattr(loaded, field))
    assert its_scores.scores.tolist() == [toy11.scores[qid][docid] for qid, docid in part.pairs()]


def test_every_topic_is_labelled_at_the_threshold_of_the_other_folds(loaded11) -> None:
    collection, scores = loaded11
    found = cross_validate(collection, scores, k=4, seed=2)
    for fold, selection in zip(found.folds, found.selections, strict=True):
        rest = np.array([t for t, qid in enumerate(collection.topics) if qid not in fold])
        alone = kappa_curve(
            collection.relevant[np.isin(collection.pair_topic, rest)],
            scores.scores[np.isin(collection.pair_topic, rest)],
        ).best(anchor=0.0)
        assert selection.threshold == alone.threshold
        for qid in fold:
            pairs = collection.pair_topic == collection.topics.index(qid)
            np.testing.assert_array_equal(found.labels.labels[pairs], scores.scores[pairs] >= selection.threshold)
    assert found.value == agree(collection, found.labels).confusion.kappa
    assert (
        found.value <= select_threshold(collection, scores).value
    )  # what was fitted to all topics fits at least as well


def test_a_target_tau_is_that_of_the_joined_labels(loaded11) -> None:
    collection, scores = loaded11
    found = cross_validate(collection, scores, "tau:AP@100", "step:0.1", k=3)
    boards = [leaderboard(collection, labels, ["AP@100"]) for labels in (human_labels(collection), found.labels)]
    assert found.value == tau_b(boards[0].mean("AP@100"), boards[1].mean("AP@100"))[0]


def test_with_two_collections_leaving_one_out_is_transfer() -> None:
    both = [judged(11), judged(12)]
    for target, grid in (("kappa", "exact"), ("tau:AP@100", "step:0.1"), ("kappa", "prevalence")):
        left = leave_one_out(both, "toy", target, grid)
        for source, one in zip(both[::-1], left, strict=True):
            to = next(c for c in both if c.name == one.to)
            plain = transfer(source, to, "toy", target, grid)
            assert (one.selection, one.threshold, one.value) == (plain.selection, plain.threshold, plain.value)


def test_kappa_is_pooled_and_tau_averaged_over_the_sources() -> None:
    three = [judged(seed) for seed in (11, 12, 13)]
    sources = three[1:]
    kappa = leave_one_out(three, "toy", "kappa", "step:0.1")[0].selection
    pooled_human = np.concatenate([s.collection.relevant for s in sources])
    pooled = np.concatenate([s.judges["toy"].scores for s in sources])
    at = threshold(sources[0].judges["toy"], kappa.threshold)  # also checks that it lies within the scores
    assert at.relevant.any()
    curve = kappa_curve(pooled_human, pooled)
    assert kappa.value <= curve.kappa.max()
    assert kappa.value == pytest.approx(curve.kappa[curve.scores >= kappa.threshold][0])
    tau = leave_one_out(three, "toy", "tau:AP@100", "step:0.1")[0].selection
    each = [target_values(s.collection, s.judges["toy"], np.array([tau.threshold]), "tau:AP@100")[0] for s in sources]
    assert tau.value == pytest.approx(np.mean(each))


def test_what_cannot_be_left_out_is_refused(toy_folder: Path) -> None:
    one = JudgedCollection.from_folder("toy11", toy_folder)
    with pytest.raises(UserError, match="needs at least two, found 1"):
        leave_one_out([one], "toy")
    with pytest.raises(UserError, match="nobody: has no scores in"):
        leave_one_out([one, judged(12)], "nobody")
