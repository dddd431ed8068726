from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ir_shared.console import UserError
from pytest_httpserver import HTTPServer
from rerank_judge.score_store import ScoreStore, score_pairs
from rerank_judge.scorers import Pair, PairScorer, ScoredPair, load_scorer, score_run
from rerank_judge.scorers.grades import parse_grade
from rerank_judge.scorers.llm_grader import read_template
from werkzeug import Request, Response

PAIR = Pair("q", "d", "what is x", "x is {query} or y")


@pytest.fixture(scope="module")
def server() -> Iterator[HTTPServer]:
    with HTTPServer(threaded=True) as running:
        yield running


@pytest.fixture
def endpoint(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> HTTPServer:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    server.clear()
    return server


def reply(text: str | None, **choice: Any) -> Response:
    message = {"role": "assistant", "content": text} | choice.pop("message", {})
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"} | choice]}
    return Response(json.dumps(body), content_type="application/json")


def answer_with(server: HTTPServer, respond: Callable[[Request], Response]) -> None:
    server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(respond)


def grader(server: HTTPServer, options: str = "") -> PairScorer:
    return load_scorer(f"grader:tiny-grader?base_url={server.url_for('/v1')}&backoff=0&retries=2{options}")


def grade(server: HTTPServer, response: Response) -> ScoredPair:
    answer_with(server, lambda _: response)
    (found,) = grader(server).score([PAIR])
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("##final score: 2", 2),
        ("Final score = 3.", 3),
        ("**Final score:** 1", 1),
        ("final score is 0", 0),
        ('{"score": 2}', 2),
        ("##final score: 1\nOn reflection:\n##final score: 3", 3),
        ("trust score: 1, ##final score: 2 (match score: 3)", 2),
        ("3", 3),
        ("The passage is fine.\n\n2.", 2),
        ("Grade: 0", 0),
    ],
)
def test_the_parser_accepts_markers_and_takes_the_last(text: str, expected: int) -> None:
    assert parse_grade(text) == (expected, "ok")


@pytest.mark.parametrize(
    "text",
    [
        "score: 7",
        "",
        "1 2",
        "1\n2",
        "##final score: -1",
        "##final score: 2.5",
        "final score: 10",
        "There are 2 reasons why it is relevant",
        "relevant",
        "##final score: <O>",
        "²",
    ],
)
def test_what_holds_no_single_grade_is_invalid(text: str) -> None:
    assert parse_grade(text) == (None, "invalid")


def test_a_refusal_is_told_from_an_unreadable_answer() -> None:
    assert parse_grade("I’m sorry, but I can't help with that.") == (None, "refused")
    assert parse_grade("I cannot say more, ##final score: 1") == (1, "ok")


@given(st.text())
def test_a_grade_is_never_out_of_range(text: str) -> None:
    value, status = parse_grade(text)
    assert (value in (0, 1, 2, 3)) if status == "ok" else (value is None)


def test_the_request_follows_the_protocol_and_keeps_braces_in_texts(endpoint: HTTPServer) -> None:
    requests: list[Request] = []

    def respond(request: Request) -> Response:
        requests.append(request)
        return reply("##final score: 2")

    answer_with(endpoint, respond)
    (found,) = grader(endpoint).score([PAIR])
    assert found == ScoredPair("q", "d", 2.0, "ok", "##final score: 2")
    body = json.loads(requests[0].get_data())
    (message,) = body.pop("messages")
    assert body == {
        "model": "tiny-grader",
        "temperature": 0.0,
        "top_p": 1.0,
        "frequency_penalty": 0.5,
        "presence_penalty": 0.0,
        "max_tokens": 100,
    }
    assert message["role"] == "user"
    assert "Query: what is x\nPassage: x is {query} or y\n" in message["content"]
    assert "authorization" not in requests[0].headers


def test_our_prompt_has_the_blocks_in_order() -> None:
    template = read_template(None)
    marks = ["0 to 3", "0 =", "1 =", "2 =", "3 =", "How to choose", "{query}", "{passage}", "(M)", "(T)", "(O)"]
    places = [template.index(mark) for mark in [*marks, "##final score:"]]
    assert places == sorted(places)


def test_a_template_of_the_user_changes_prompt_and_fingerprint(endpoint: HTTPServer, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("{passage}|{query}")
    sent: list[str] = []

    def respond(request: Request) -> Response:
        sent.append(json.loads(request.get_data())["messages"][0]["content"])
        return reply("1")

    answer_with(endpoint, respond)
    mine = grader(endpoint, f"&template={tmp_path / 'mine.txt'}")
    assert [pair.score for pair in mine.score([PAIR])] == [1.0]
    assert sent == ["x is {query} or y|what is x"]
    assert mine.card.fingerprint != grader(endpoint).card.fingerprint
    (tmp_path / "bad.txt").write_text("{query} only")
    with pytest.raises(UserError, match=r"bad\.txt: the template lacks \{passage\}"):
        grader(endpoint, f"&template={tmp_path / 'bad.txt'}")
    with pytest.raises(UserError, match="the template cannot be read"):
        grader(endpoint, f"&template={tmp_path / 'absent.txt'}")


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (lambda: reply(""), "invalid"),
        (lambda: reply(None), "invalid"),
        (lambda: reply("no idea"), "invalid"),
        (lambda: Response("not json"), "invalid"),
        (lambda: Response('{"choices": []}'), "invalid"),
        (lambda: reply(None, message={"refusal": "no"}), "refused"),
        (lambda: reply("", finish_reason="content_filter"), "refused"),
        (lambda: Response('{"error": {"code": "content_filter", "message": "x"}}', status=400), "refused"),
        (lambda: Response("busy", status=429), "failed"),
        (lambda: Response("broken", status=503), "failed"),
    ],
)
def test_without_a_grade_there_is_a_status_and_never_a_label(
    endpoint: HTTPServer, response: Callable[[], Response], status: str
) -> None:
    found = grade(endpoint, response())
    assert found.status == status
    assert math.isnan(found.score)
    assert score_run([found]) == ({}, {status: 1})


def test_a_busy_endpoint_is_asked_again_a_bounded_number_of_times(endpoint: HTTPServer) -> None:
    codes = iter([429, 500])
    answer_with(endpoint, lambda _: Response("", status=code) if (code := next(codes, None)) else reply("2"))
    assert [pair.score for pair in grader(endpoint).score([PAIR])] == [2.0]
    assert len(endpoint.log) == 3
    endpoint.clear()
    answer_with(endpoint, lambda _: Response("", status=429))
    assert [pair.status for pair in grader(endpoint).score([PAIR])] == ["failed"]
    assert len(endpoint.log) == 3


def test_waits_double_and_heed_what_the_endpoint_asks_for(
    endpoint: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    answer_with(endpoint, lambda _: Response("", status=429))
    url = endpoint.url_for("/v1")
    assert [p.status for p in load_scorer(f"grader:m?base_url={url}&backoff=0.5&retries=3").score([PAIR])] == ["failed"]
    assert waits == [0.5, 1.0, 2.0]
    waits.clear()
    endpoint.clear()
    answer_with(endpoint, lambda _: Response("", status=429, headers={"Retry-After": "7"}))
    list(load_scorer(f"grader:m?base_url={url}&backoff=0.5&retries=1").score([PAIR]))
    assert waits == [7.0]


def test_requests_at_one_time_are_bounded_and_order_is_kept(endpoint: HTTPServer) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def respond(request: Request) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        text = json.loads(request.get_data())["messages"][0]["content"]
        with lock:
            now -= 1
        return reply(text.split("|")[1])

    answer_with(endpoint, respond)
    pairs = [Pair("q", f"d{i}", "x", f"|{i % 4}|") for i in range(30)]
    found = list(grader(endpoint, "&concurrency=3").score(pairs))
    assert [(pair.docid, pair.score) for pair in found] == [(f"d{i}", i % 4) for i in range(30)]
    assert 2 <= most <= 3


def test_the_key_comes_from_the_environment_and_is_written_nowhere(
    endpoint: HTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    seen: list[str | None] = []

    def respond(request: Request) -> Response:
        seen.append(request.headers.get("Authorization"))
        return reply("##final score: 3")

    answer_with(endpoint, respond)
    judge = grader(endpoint, "&key_env=MY_KEY")
    with ScoreStore.open(tmp_path / "s.jsonl", judge.card) as store:
        list(score_pairs(store, judge, [PAIR], traces=True))
        store.finalise([PAIR])
    assert seen == ["Bearer sk-secret"]
    written = (tmp_path / "s.jsonl").read_text()
    assert "sk-secret" not in written
    assert "MY_KEY" not in written
    endpoint.clear()
    answer_with(endpoint, lambda _: Response("", status=401))
    with pytest.raises(UserError, match=r"refuses the key \(HTTP 401\); set the environment variable MY_KEY") as error:
        list(judge.score([PAIR]))
    assert "sk-secret" not in str(error.value)


def test_a_request_that_cannot_succeed_stops_the_run_with_the_reason(endpoint: HTTPServer) -> None:
    answer_with(endpoint, lambda _: Response('{"error": {"message": "no such parameter"}}', status=400))
    with pytest.raises(UserError, match="HTTP 400: no such parameter"):
        list(grader(endpoint).score([PAIR]))
    endpoint.clear()
    answer_with(endpoint, lambda _: Response("", status=404))
    with pytest.raises(UserError, match="HTTP 404; check base_url and the model's name"):
        list(grader(endpoint).score([PAIR]))


def test_an_endpoint_that_is_not_there_is_one_message_without_the_password() -> None:
    judge = load_scorer("grader:m?base_url=http://user:pass@127.0.0.1:9/v1&retries=1&backoff=0")
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1/chat/completions: cannot be reached") as error:
        list(judge.score([PAIR]))
    assert "pass" not in str(error.value)


def test_failed_pairs_can_be_tried_again_on_resume(endpoint: HTTPServer, tmp_path: Path) -> None:
    pairs = [PAIR, Pair("q", "e", "x", "y")]
    answer_with(endpoint, lambda _: Response("", status=503))
    judge = grader(endpoint)
    with ScoreStore.open(tmp_path / "s", judge.card) as store:
        list(score_pairs(store, judge, pairs))
        assert store.counts() == {"failed": 2}
    endpoint.clear()
    answer_with(endpoint, lambda _: reply("1"))
    with ScoreStore.open(tmp_path / "s", judge.card, resume=True) as store:
        assert list(score_pairs(store, judge, pairs)) == []
        list(score_pairs(store, judge, pairs, retry=["failed"]))
        assert store.run() == {"q": {"d": 1.0, "e": 1.0}}
    assert ScoreStore.read(tmp_path / "s").counts() == {"ok": 2}


def test_settings_out_of_range_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UserError, match=r"give the endpoint with \?base_url="):
        load_scorer("grader:m")
    with pytest.raises(UserError, match="must start with http"):
        list(load_scorer("grader:m?base_url=localhost").score([PAIR]))
    with pytest.raises(UserError, match="must be positive"):
        load_scorer("grader:m?base_url=http://x&concurrency=0")
    with pytest.raises(UserError, match="judge option retries='x': not a number"):
        load_scorer("grader:m?base_url=http://x&retries=x")
