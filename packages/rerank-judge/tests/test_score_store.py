from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ir_shared.console import UserError
from ir_shared.tiny_models import make_tiny
from ir_shared.trec import TrecFormatError
from pytest_httpserver import HTTPServer
from rerank_judge.pooling import write_pairs
from rerank_judge.score_store import ScoreStore, score_pairs
from rerank_judge.scorers import LexicalScorer, Pair, PairScorer, ScoredPair, load_scorer, read_judge
from rerank_judge.scorers.card import JudgeCard
from werkzeug import Request, Response

CARD = JudgeCard("j", "monot5", "monoT5", "log-odds", "ckpt", "aaaa", "float32", 512, "prompt", {"true": 3, "false": 4})
BATCH_TOKENS = 60


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = ["true", "false", "Query:", "Document:", "Relevant:", *(f"w{i}" for i in range(20))]
    return make_tiny(tmp_path_factory.mktemp("store") / "tiny-t5", "t5", words=words)


@pytest.fixture(scope="module")
def judge(folder: Path) -> PairScorer:
    return load_scorer(f"monot5:{folder}", device="cpu", batch_tokens=BATCH_TOKENS)


def some_pairs(n: int = 40) -> list[Pair]:
    draw = random.Random(0)
    words = [f"w{i}" for i in range(20)]
    return [
        Pair(f"q{i % 4}", f"d{i}", f"w{i % 4}", " ".join(draw.choices(words, k=draw.randint(1, 20)))) for i in range(n)
    ]


def run_batches(path: Path, judge: PairScorer, pairs: list[Pair], batches: int | None = None) -> bool:
    """Works on a store for so many batches, or to the end and finalises it; whether it came to the end."""
    with ScoreStore.open(path, judge.card, resume=True) as store:
        done = sum(1 for _ in islice(score_pairs(store, judge, pairs), batches))
        if batches is not None and done == batches:
            return False
        store.finalise(pairs)
        return True


@pytest.fixture(scope="module")
def finished(judge: PairScorer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of a run that was never stopped."""
    path = tmp_path_factory.mktemp("finished") / "scores.jsonl"
    assert run_batches(path, judge, some_pairs())
    return path.read_bytes()


@pytest.fixture(scope="module")
def unfinished(judge: PairScorer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """All lines of a run in the order in which they were written."""
    path = tmp_path_factory.mktemp("unfinished") / "scores.jsonl"
    with ScoreStore.open(path, judge.card) as store:
        assert sum(1 for _ in score_pairs(store, judge, some_pairs())) > 6
    return path.read_bytes()


@pytest.mark.parametrize("batches", [1, 2, 5])
def test_a_run_stopped_every_few_batches_gives_the_same_bytes(
    judge: PairScorer, tmp_path: Path, finished: bytes, batches: int
) -> None:
    path = tmp_path / "scores.jsonl"
    stops = 0
    while not run_batches(path, judge, some_pairs(), batches):
        stops += 1
    assert stops >= 2
    assert path.read_bytes() == finished


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_at_any_byte_is_resumed_to_the_same_bytes(
    judge: PairScorer, tmp_path: Path, finished: bytes, unfinished: bytes, data: st.DataObject
) -> None:
    # A cut may fall within a batch, so part of it is there and part must be computed again, bit for bit.
    path = tmp_path / "scores.jsonl"
    path.write_bytes(unfinished[: data.draw(st.integers(0, len(unfinished)))])
    # Stopped once more: what is appended must not stand behind the rest of a line.
    if not run_batches(path, judge, some_pairs(), 1):
        assert run_batches(path, judge, some_pairs())
    assert path.read_bytes() == finished


def test_a_killed_process_loses_no_batch_and_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    path, pairs = tmp_path / "scores.jsonl", tmp_path / "pairs.jsonl"
    write_pairs(pairs, some_pairs())
    code = (
        "import os, signal, sys\n"
        "from rerank_judge.score_store import ScoreStore, score_pairs\n"
        "from rerank_judge.scorers import load_scorer, read_pairs\n"
        "judge = load_scorer(sys.argv[1])\n"
        "store = ScoreStore.open(sys.argv[2], judge.card)\n"
        "for i, _ in enumerate(score_pairs(store, judge, read_pairs(sys.argv[3]))):\n"
        "    if i == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with HTTPServer(threaded=True) as server:
        server.expect_request("/v1/chat/completions").respond_with_handler(grade_by_length)
        spec = f"grader:tiny?base_url={server.url_for('/v1')}&concurrency=1"
        done = subprocess.run([sys.executable, "-c", code, spec, path, pairs], check=False)
        judge = load_scorer(spec)
        assert done.returncode == -signal.SIGKILL
        assert len(ScoreStore.read(path)) == 16
        assert run_batches(path, judge, some_pairs())
        assert run_batches(tmp_path / "whole.jsonl", judge, some_pairs())
        assert len(server.log) == 80
    assert path.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def grade_by_length(request: Request) -> Response:
    grade = len(json.loads(request.get_data())["messages"][0]["content"]) % 4
    body = {"choices": [{"message": {"content": f"##final score: {grade}"}}]}
    return Response(json.dumps(body), content_type="application/json")


def test_the_table_is_in_the_order_of_the_pairs_with_counts_in_its_card(finished: bytes) -> None:
    header, *rows = [json.loads(line) for line in finished.splitlines()]
    assert [(row[0], row[1]) for row in rows] == [(pair.qid, pair.docid) for pair in some_pairs()]
    assert header["card"]["status"] == {"ok": 40}
    assert set(header["card"]["token_ids"]) == {"true", "false"}


def test_scores_round_trip_exactly(judge: PairScorer, tmp_path: Path, finished: bytes) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(finished)
    stored = ScoreStore.read(path)
    for pair in judge.score(some_pairs()):
        assert stored.get(pair.qid, pair.docid) == pair
    assert list(stored) == sorted(stored, key=lambda pair: pair.qid)
    assert stored.scale == "log-odds"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prompt_hash": "other"}, "prompt_hash other there, prompt here"),
        ({"dtype": "bfloat16"}, "dtype bfloat16 there, float32 here"),
        ({"checkpoint_hash": "bbbb"}, "checkpoint_hash bbbb there, aaaa here"),
        ({"max_length": 256}, "max_length 256 there, 512 here"),
        ({"token_ids": {"yes": 1, "no": 2}}, "token_ids"),
        ({"settings": {"max_new_tokens": 5}}, "settings"),
        ({"kind": "rank1", "scale": "logit"}, r"kind rank1 there, monot5 here; scale logit there, log-odds here"),
    ],
)
def test_scores_of_another_judge_are_never_mixed(tmp_path: Path, change: dict[str, object], named: str) -> None:
    path = tmp_path / "scores.jsonl"
    ScoreStore.open(path, replace(CARD, **change)).close()  # type: ignore[arg-type]
    before = path.read_bytes()
    with pytest.raises(UserError, match=f"holds scores of another judge .*{named}.*; choose another file"):
        ScoreStore.open(path, CARD, resume=True)
    assert path.read_bytes() == before


def test_a_real_checkpoint_with_other_weights_is_another_judge(judge: PairScorer, tmp_path: Path) -> None:
    words = ["true", "false", "Query:", "Document:", "Relevant:", *(f"w{i}" for i in range(20))]
    other = make_tiny(tmp_path / "tiny-t5", "t5", words=words, seed=1)
    ScoreStore.open(tmp_path / "s", judge.card).close()
    with pytest.raises(UserError, match="checkpoint_hash"):
        ScoreStore.open(tmp_path / "s", load_scorer(f"monot5:{other}", device="cpu").card, resume=True)


def test_a_file_that_is_there_is_not_touched_without_resume(tmp_path: Path) -> None:
    ScoreStore.open(tmp_path / "s", CARD).close()
    with pytest.raises(UserError, match="exists; resume it, choose another file or delete this one"):
        ScoreStore.open(tmp_path / "s", CARD)


@pytest.mark.parametrize("content", ["q Q0 d 1 0.5 tag\n", "no newline", '{"format": "else", "card": {}}\n', "[1]\n"])
def test_other_files_are_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "s").write_text(content)
    with pytest.raises(UserError, match="is no score store"):
        ScoreStore.open(tmp_path / "s", CARD, resume=True)
    with pytest.raises(UserError, match="no score store"):
        ScoreStore.read(tmp_path / "s")
    assert (tmp_path / "s").read_text() == content
    with pytest.raises(UserError, match="no such file"):
        ScoreStore.read(tmp_path / "absent")


@pytest.mark.parametrize("line", ['["q","d",1.0', '["q","d",1.0,"ok"]', "{}", '[["q"],"d",1.0,"ok",1]', "", "1"])
def test_a_broken_line_in_the_middle_is_named(tmp_path: Path, line: str) -> None:
    with ScoreStore.open(tmp_path / "s", CARD) as store:
        store.append([(Pair("q", "a", "", ""), ScoredPair("q", "a", 1.0))])
    with (tmp_path / "s").open("a") as file:
        file.write(f'{line}\n["q","z",1.0,"ok",1]\n')
    with pytest.raises(TrecFormatError, match=r"s:3: is no row \[qid, docid, score, status, check\]"):
        ScoreStore.read(tmp_path / "s")


def test_a_pair_without_an_answer_has_a_status_and_no_score(tmp_path: Path) -> None:
    statuses = ["ok", "query_truncated", "forced", "failed", "invalid", "refused", "missing"]
    pairs = [Pair("q", status, "", "") for status in statuses]
    with ScoreStore.open(tmp_path / "s", CARD) as store:
        for pair, status in zip(pairs, statuses, strict=True):
            score = 1.5 if status in ("ok", "query_truncated", "forced") else math.nan
            store.append([(pair, ScoredPair("q", status, score, status))])  # type: ignore[arg-type]
    stored = ScoreStore.read(tmp_path / "s")
    assert stored.run() == {"q": {"ok": 1.5, "query_truncated": 1.5, "forced": 1.5}}
    assert stored.counts() == dict.fromkeys(sorted(statuses), 1)
    assert ("q", "failed") in stored
    found = stored.get("q", "failed")
    assert found is not None
    assert math.isnan(found.score)


def test_traces_are_kept_where_asked_for_whatever_they_hold(tmp_path: Path) -> None:
    pair, trace = Pair("q", "d", "", ""), 'line\n"quoted" é \ud800 \u2028'
    for keep in (True, False):
        with ScoreStore.open(tmp_path / str(keep), CARD) as store:
            store.append([(pair, ScoredPair("q", "d", 1.0, "ok", trace))], traces=keep)
        found = ScoreStore.read(tmp_path / str(keep)).get("q", "d")
        assert found == ScoredPair("q", "d", 1.0, "ok", trace if keep else None)


def test_a_pair_with_another_text_is_not_taken_for_the_scored_one(judge: PairScorer, tmp_path: Path) -> None:
    pairs = some_pairs(6)
    assert run_batches(tmp_path / "s", judge, pairs)
    pairs[3] = replace(pairs[3], text="another")
    with pytest.raises(UserError, match="pair q3 d3 was scored with another query or document"):
        run_batches(tmp_path / "s", judge, pairs)


def test_more_pairs_can_be_added_and_others_are_kept(judge: PairScorer, tmp_path: Path) -> None:
    pairs = some_pairs(20)
    assert run_batches(tmp_path / "s", judge, pairs[10:])
    assert run_batches(tmp_path / "s", judge, pairs[:10])
    rows = [json.loads(line) for line in (tmp_path / "s").read_text().splitlines()[1:]]
    assert [row[1] for row in rows[:10]] == [pair.docid for pair in pairs[:10]]
    assert [tuple(row[:2]) for row in rows[10:]] == sorted((pair.qid, pair.docid) for pair in pairs[10:])


def test_a_finished_store_needs_no_work(judge: PairScorer, tmp_path: Path, finished: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(finished)
    with ScoreStore.open(path, judge.card, resume=True) as store:
        assert list(score_pairs(store, judge, some_pairs())) == []
    assert path.read_bytes() == finished


def test_judges_without_a_model_use_the_store_too(tmp_path: Path) -> None:
    pairs = some_pairs(8)
    assert run_batches(tmp_path / "s", LexicalScorer(), pairs)
    expected = {(pair.qid, pair.docid): pair.score for pair in LexicalScorer().score(pairs)}
    assert {(pair.qid, pair.docid): pair.score for pair in ScoreStore.read(tmp_path / "s")} == expected


def test_a_store_serves_as_a_judges_file_that_knows_its_scale(tmp_path: Path, finished: bytes) -> None:
    (tmp_path / "scores.jsonl").write_bytes(finished)
    file = read_judge(tmp_path / "scores.jsonl")
    assert (file.name, file.scale, file.labels) == ("tiny-t5", "log-odds", None)
    scorer = load_scorer(f"file:{tmp_path / 'scores.jsonl'}")
    assert scorer.scale == "log-odds"
    assert {pair.status for pair in scorer.score(some_pairs())} == {"ok"}


def test_a_closed_or_read_only_store_takes_nothing(tmp_path: Path) -> None:
    store = ScoreStore.open(tmp_path / "s", CARD)
    store.close()
    for other in (store, ScoreStore.read(tmp_path / "s")):
        with pytest.raises(UserError, match="is not open for writing"):
            other.append([(Pair("q", "d", "", ""), ScoredPair("q", "d", 1.0))])
    with pytest.raises(UserError, match="cannot be written"):
        ScoreStore.open(tmp_path / "s" / "below", CARD)
