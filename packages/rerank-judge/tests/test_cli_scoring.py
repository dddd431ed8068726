"""The way from documents to labels on the command line: pool, score with a store, label, panel."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from ir_shared.console import run_app
from ir_shared.retrieval import BM25Retriever, as_run
from ir_shared.tiny_models import make_tiny
from ir_shared.trec import read_qrels, read_run, write_qrels, write_run, write_topics
from rerank_judge import ScoreStore
from rerank_judge.cli import app
from rerank_judge.pooling import write_pairs
from rerank_judge.scorers import Pair, load_scorer, read_pairs
from rerank_judge.toy import toy_text

Cli = Callable[..., Any]
N_PAIRS = 300


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Topics, passages, qrels that lack every third pair, and two runs of real BM25."""
    folder = tmp_path_factory.mktemp("corpus")
    text = toy_text(3)
    write_topics(folder / "topics.tsv", text.topics)
    (folder / "passages.tsv").write_text("".join(f"{docid}\t{words}\n" for docid, words in text.documents.items()))
    judged = {qid: {d: g for i, (d, g) in enumerate(docs.items()) if i % 3} for qid, docs in text.qrels.items()}
    write_qrels(folder / "qrels.txt", judged)
    for name, k1 in (("bm25", 0.9), ("bm25-k1-2", 2.0)):
        found = BM25Retriever(text.documents, k1=k1, b=0.4).search(list(text.topics.values()), 20)
        write_run(folder / "runs" / f"{name}.txt", as_run(list(text.topics), found), name)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["true", "false", "Query:", "Document:", "Relevant:", *(f"w{i:03d}" for i in range(300))]
    return make_tiny(tmp_path_factory.mktemp("model") / "tiny-t5", "t5", words=words)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw, path = random.Random(0), tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    texts = [" ".join(f"w{draw.randrange(300):03d}" for _ in range(draw.randint(1, 30))) for _ in range(N_PAIRS)]
    write_pairs(path, [Pair(f"q{i % 7}", f"d{i}", f"w{i % 7:03d}", text) for i, text in enumerate(texts)])
    return path


def pool(cli: Cli, corpus: Path, out: Path, *more: object) -> Any:
    sources = ("--topics", corpus / "topics.tsv", "--passages", corpus / "passages.tsv", "-o", out)
    return cli("pool", *sources, *more)


def test_the_pool_of_qrels_holds_their_pairs_with_texts(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    assert pool(cli, corpus, tmp_path / "pairs.jsonl", "--qrels", corpus / "qrels.txt").code == 0
    qrels, text = read_qrels(corpus / "qrels.txt"), toy_text(3)
    pairs = read_pairs(tmp_path / "pairs.jsonl")
    assert [(pair.qid, pair.docid) for pair in pairs] == [(q, d) for q, docs in qrels.items() for d in docs]
    assert all(pair.text == text.documents[pair.docid] and pair.query == text.topics[pair.qid] for pair in pairs)


def test_the_holes_of_runs_are_their_unjudged_first_documents(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "holes.jsonl"
    done = pool(cli, corpus, out, "--runs", corpus / "runs", "--depth", 5, "--holes", corpus / "qrels.txt", "--json")
    qrels = read_qrels(corpus / "qrels.txt")
    expected = {
        (qid, docid)
        for run in (corpus / "runs").iterdir()
        for qid, scores in read_run(run).items()
        for docid in sorted(scores, key=lambda d: (-scores[d], [-ord(c) for c in d]))[:5]
        if docid not in qrels[qid]
    }
    assert {(pair.qid, pair.docid) for pair in read_pairs(out)} == expected != set()
    assert json.loads(done.out)["pairs"] == len(expected)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ((), "give one of --qrels and --runs"),
        (("--qrels", "{corpus}/qrels.txt", "--runs", "{corpus}/runs"), "give one of --qrels and --runs"),
        (("--runs", "{corpus}/nothing"), "nothing: no such file"),
        (("--qrels", "{corpus}/qrels.txt", "--holes", "{corpus}/qrels.txt"), "there is nothing left to score"),
    ],
)
def test_a_pool_says_what_it_lacks(cli: Cli, corpus: Path, tmp_path: Path, more: tuple[str, ...], message: str) -> None:
    outcome = pool(cli, corpus, tmp_path / "pairs.jsonl", *(part.format(corpus=corpus) for part in more))
    assert outcome.code == 2
    assert message in outcome.err


def test_no_command_writes_over_what_it_reads(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    scores = tmp_path / "bm25.txt"
    write_run(scores, read_run(corpus / "runs" / "bm25.txt"), "bm25")
    before = scores.read_bytes()
    for arguments in (
        ("label", "--scores", scores, "--threshold", 1, "-o", scores),
        ("calibrate", "--scores", scores, "--qrels", corpus / "qrels.txt", "-o", tmp_path / "x" / ".." / scores.name),
        ("panel", "--judge", scores, "--judge", corpus / "qrels.txt", "-o", scores),
        ("pool", "--topics", scores, "--passages", scores, "--runs", scores, "-o", scores),
        ("score", "--judge", "lexical", "--pairs", scores, "-o", scores),
        ("score", "--judge", "lexical", "--pairs", scores, "-o", tmp_path / "new", "--run", tmp_path / "new"),
        ("leaderboard", "--runs", corpus / "runs", "--qrels", scores, "-o", scores),
        ("leaderboard", "--runs", tmp_path, "--qrels", corpus / "qrels.txt", "-o", scores),
        ("pool", "--topics", corpus, "--passages", corpus, "--runs", tmp_path, "-o", scores),
    ):
        outcome = cli(*arguments)
        assert outcome.code == 2
        assert "would be overwritten" in outcome.err
    assert scores.read_bytes() == before


def score_arguments(model: Path, pairs: Path, out: Path) -> list[str]:
    # Small batches take long enough to be stopped among them.
    small = ("--batch-tokens", 40, "--device", "cpu", "--run", out.with_suffix(".run"))
    return [*map(str, ("score", "--judge", f"monot5:{model}", "--pairs", pairs, "-o", out, *small))]


@pytest.fixture(scope="module")
def whole(model: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Store and run of a command that was never stopped."""
    out = tmp_path_factory.mktemp("whole") / "whole.jsonl"
    with pytest.raises(SystemExit) as end:
        run_app(app, score_arguments(model, pairs, out))
    assert end.value.code == 0
    return out.read_bytes(), out.with_suffix(".run").read_bytes()


def wait_for_lines(store: Path, lines: int, failed: Callable[[], bool]) -> bool:
    """Waits until so many lines are written; False where the writer ends before."""
    deadline = time.monotonic() + 120
    while not store.exists() or store.read_bytes().count(b"\n") < lines:
        if failed() or time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def goes_on_to_the_same_bytes(cli: Cli, arguments: list[str], store: Path, whole: tuple[bytes, bytes]) -> None:
    saved = store.read_bytes()
    assert 40 <= saved.count(b"\n") < N_PAIRS
    refused = cli(*arguments)
    assert refused.code == 2
    assert "exists; resume it" in refused.err
    assert store.read_bytes() == saved
    for _ in range(2):  # to the end, and once more with nothing to do
        assert cli(*arguments, "--resume").code == 0
        assert (store.read_bytes(), store.with_suffix(".run").read_bytes()) == whole


def test_a_killed_run_goes_on_to_the_same_bytes(
    cli: Cli, model: Path, pairs: Path, tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    store = tmp_path / "killed.jsonl"
    arguments = score_arguments(model, pairs, store)
    code = "from rerank_judge.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    written = wait_for_lines(store, 40, failed=lambda: process.poll() is not None)
    process.kill()
    assert written, process.communicate(timeout=20)[1]
    process.communicate(timeout=20)
    goes_on_to_the_same_bytes(cli, arguments, store, whole)


def test_a_run_stopped_by_ctrl_c_says_so_and_goes_on_to_the_same_bytes(
    cli: Cli, model: Path, pairs: Path, tmp_path: Path, whole: tuple[bytes, bytes]
) -> None:
    store, ended = tmp_path / "stopped.jsonl", threading.Event()

    def press_ctrl_c() -> None:
        if wait_for_lines(store, 40, failed=ended.is_set):
            os.kill(os.getpid(), signal.SIGINT)

    hand = threading.Thread(target=press_ctrl_c)
    hand.start()
    stopped = cli(*score_arguments(model, pairs, store))
    ended.set()
    hand.join()
    assert stopped.code == 3
    assert f"of {N_PAIRS} pairs are in {store}; the same command with --resume" in stopped.err
    goes_on_to_the_same_bytes(cli, score_arguments(model, pairs, store), store, whole)


def test_what_score_wrote_is_read_by_all_commands(cli: Cli, corpus: Path, model: Path, tmp_path: Path) -> None:
    pairs, store, qrels = tmp_path / "pairs.jsonl", tmp_path / "t5.jsonl", corpus / "qrels.txt"
    assert pool(cli, corpus, pairs, "--qrels", qrels).code == 0
    scored = cli("score", "--judge", f"monot5:{model}?name=tiny", "--pairs", pairs, "-o", store, "--json")
    assert scored.code == 0, scored.err
    card = json.loads(scored.out)["judge"]
    assert card["judge_id"] == "tiny"
    assert card["scale"] == "log-odds"
    assert set(card["token_ids"]) == {"true", "false"}
    expected = {(one.qid, one.docid): one.score for one in load_scorer(f"monot5:{model}").score(read_pairs(pairs))}
    assert {(one.qid, one.docid): one.score for one in ScoreStore.read(store)} == expected
    assert cli("label", "--scores", store, "--direct", "-o", tmp_path / "direct").code == 0
    labels = read_qrels(tmp_path / "direct")
    assert {(q, d): g for q, docs in labels.items() for d, g in docs.items()} == {
        pair: int(score >= 0) for pair, score in expected.items()
    }
    calibration = tmp_path / "cal.json"
    made = cli("calibrate", "--scores", store, "--qrels", qrels, "--folds", 4, "-o", calibration, "--json")
    assert made.code == 0, made.err
    found = json.loads(made.out)
    assert found["selection"]["scale"] == "log-odds"
    assert len(found["folds"]["thresholds"]) == 4
    assert found["folds"]["value"] <= found["selection"]["value"]
    assert cli("label", "--scores", store, "--calibration", calibration, "-o", tmp_path / "labels").code == 0
    agreed = cli(
        "agree", "--human", qrels, "--judge", store, "--at", f"tiny={found['selection']['threshold']}", "--json"
    )
    assert json.loads(agreed.out)["results"][0]["kappa"] == found["selection"]["value"]


def test_agree_shows_coefficients_with_intervals(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    noisy = {
        q: {d: min(3, g + i % 2) for i, (d, g) in enumerate(docs.items())}
        for q, docs in read_qrels(corpus / "qrels.txt").items()
    }
    write_qrels(tmp_path / "noisy.qrels", noisy)
    arguments = ["agree", "--human", corpus / "qrels.txt", "--judge", tmp_path / "noisy.qrels"]
    names = ("kappa:quadratic", "alpha:ordinal", "mcc")
    chosen = [part for name in names for part in ("--coefficient", name)]
    shown = cli(*arguments, *chosen, "--bootstrap", 50)
    assert shown.code == 0, shown.err
    assert all(name in shown.out for name in names)
    found = json.loads(cli(*arguments, *chosen, "--json").out)["coefficients"]
    assert [one["name"] for one in found] == list(names)
    assert 0.5 < found[0]["value"] < 1
    refused = cli(*arguments, "--coefficient", "kappa:cubic")
    assert refused.code == 2
    assert "use one of kappa:linear" in refused.err


def test_a_panel_takes_the_label_that_most_give(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    files = [tmp_path / f"j{i}.qrels" for i in range(3)]
    given = [{"q": {"a": 1, "b": 0}}, {"q": {"a": 1, "b": 1, "c": 1}}, {"q": {"a": 0, "b": 0, "c": 0}}]
    for file, labels in zip(files, given, strict=True):
        write_qrels(file, labels)
    judges = [part for file in files for part in ("--judge", file)]
    out = tmp_path / "panel"
    assert json.loads(cli("panel", *judges, "-o", out, "--json").out)["tied"] == 1
    assert read_qrels(out) == {"q": {"a": 1, "b": 0, "c": 1}}
    assert cli("panel", *judges, "--ties", "non-relevant", "-o", out).code == 0
    assert read_qrels(out) == {"q": {"a": 1, "b": 0, "c": 0}}


def test_a_panel_of_scores_is_their_mean(cli: Cli, tmp_path: Path) -> None:
    write_run(tmp_path / "x.run", {"q": {"a": 2.0, "b": -1.0}}, "x")
    write_run(tmp_path / "y.run", {"q": {"a": -1.0, "b": -3.0, "c": 4.0}}, "y")
    judges = ("--judge", tmp_path / "x.run", "--judge", tmp_path / "y.run")
    out = tmp_path / "mean.run"
    done = cli("panel", *judges, "--rule", "mean-log-odds", "--scale", "log-odds", "-o", out)
    assert done.code == 0, done.err
    assert read_run(out) == {"q": {"a": 0.5, "b": -2.0, "c": 4.0}}
    refused = cli("panel", *judges, "--rule", "mean-log-odds", "-o", out)
    assert refused.code == 2
    assert "logits have no decision of their own" in refused.err
    assert cli("panel", *judges[:2], "-o", out).code == 2


def test_unanswered_pairs_are_asked_again_only_on_request(cli: Cli, corpus: Path, tmp_path: Path) -> None:
    pairs, store, known = tmp_path / "pairs.jsonl", tmp_path / "store.jsonl", tmp_path / "known.run"
    write_pairs(pairs, [Pair("q", d, "w", "w") for d in "ab"])
    write_run(known, {"q": {"a": 1.0}}, "known")
    arguments = ["score", "--judge", f"file:{known}", "--pairs", pairs, "-o", store, "--json"]
    assert json.loads(cli(*arguments).out)["judge"]["status"] == {"missing": 1, "ok": 1}
    assert cli(*arguments, "--retry").code == 2
    assert json.loads(cli(*arguments, "--resume", "--retry").out)["judge"]["status"] == {"missing": 1, "ok": 1}
    write_run(known, {"q": {"z": 1.0}}, "known")
    refused = cli(*arguments, "--resume")
    assert refused.code == 2
    assert "holds scores of another judge" in refused.err
    nothing = cli(*arguments[:-3], "-o", tmp_path / "other.jsonl")
    assert nothing.code == 2
    assert "has a score for none of the 2 pairs (2 missing)" in nothing.err
