from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from ir_shared.console import UserError
from ir_shared.tiny_models import make_tiny
from rerank_judge.scorers import Pair, PairScorer, ScoredPair, load_scorer, score_run
from rerank_judge.scorers.reasoning import PROMPT, repair

VOCABULARY = " ".join(f"w{i}" for i in range(60))
BUDGET = "max_new_tokens=40"
LENGTH = 300


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2 that often, but not always, closes its reasoning within the budget."""
    texts = [PROMPT.format(query="w1 w2", passage=VOCABULARY), "It is. It is not! true false true false"]
    path = make_tiny(
        tmp_path_factory.mktemp("rank1") / "tiny-rank1", "qwen2", texts=texts, tags=["<think>", "</think>"], std=0.2
    )
    model, tokenizer = parts(path)
    with torch.no_grad():
        model.lm_head.weight[tokenizer.convert_tokens_to_ids("</think>")] *= 1.7
    model.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def judge(folder: Path) -> PairScorer:
    return load_scorer(f"rank1:{folder}?{BUDGET}", device="cpu", max_length=LENGTH)


def parts(path: Path) -> tuple[Any, Any]:
    model = transformers.AutoModelForCausalLM.from_pretrained(path).eval()
    return model, transformers.AutoTokenizer.from_pretrained(path)


def some_pairs(n: int = 12) -> list[Pair]:
    return [Pair("q", f"d{i}", f"w{i} w2", " ".join(f"w{(i * j) % 60}" for j in range(1, 3 + i))) for i in range(n)]


@pytest.fixture(scope="module")
def judged(judge: PairScorer) -> list[ScoredPair]:
    return list(judge.score(some_pairs()))


def forward(path: Path, text: str) -> float:
    """z_true - z_false over the whole vocabulary, of one text alone."""
    model, tokenizer = parts(path)
    ids = tokenizer.encode(text)
    rows = [tokenizer.encode(word)[0] for word in (" true", " false")]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1].double()
    return float(logits[rows[0]] - logits[rows[1]])


def test_the_prompt_is_the_one_the_checkpoints_were_trained_on() -> None:
    assert PROMPT.format(query="Q", passage="P") == (
        "Determine if the following passage is relevant to the query. Answer only with 'true' or 'false'.\n"
        "Query: Q\nPassage: P\n<think>"
    )


def test_batched_and_single_give_the_same_traces_and_log_odds(folder: Path, judged: list[ScoredPair]) -> None:
    single = load_scorer(f"rank1:{folder}?{BUDGET}", device="cpu", max_length=LENGTH, batch_tokens=1)
    alone = list(single.score(some_pairs()))
    assert [pair.trace for pair in alone] == [pair.trace for pair in judged]
    assert [pair.status for pair in alone] == [pair.status for pair in judged]
    assert [pair.score for pair in alone] == pytest.approx([pair.score for pair in judged], abs=1e-5)
    assert np.ptp([pair.score for pair in judged]) > 0.2


def test_the_answer_is_that_of_a_forward_pass_behind_the_closed_trace(folder: Path, judged: list[ScoredPair]) -> None:
    finished = [(pair, found) for pair, found in zip(some_pairs(), judged, strict=True) if found.status == "ok"]
    assert len(finished) >= 2
    for pair, found in finished:
        text = f"{PROMPT.format(query=pair.query, passage=pair.text)}{found.trace}</think>"
        assert found.score == pytest.approx(forward(folder, text), abs=1e-5)


def test_a_trace_without_an_end_is_repaired_and_flagged_forced(folder: Path, judged: list[ScoredPair]) -> None:
    forced = [(pair, found) for pair, found in zip(some_pairs(), judged, strict=True) if found.status == "forced"]
    assert len(forced) >= 2
    for pair, found in forced:
        assert found.trace is not None
        assert "</think>" not in found.trace
        prompt = PROMPT.format(query=pair.query, passage=pair.text)
        text = f"{prompt}\n{repair(found.trace)}\n</think>"
        assert found.score == pytest.approx(forward(folder, text), abs=1e-5)


@pytest.mark.parametrize(
    ("trace", "repaired"),
    [
        (" One. Two! Three? and then", "One. Two! Three?"),
        ("no end at all ", "no end at all"),
        ("1.5 metres. Half a sen", "1.5 metres."),
        (" \n ", ""),
    ],
)
def test_a_trace_is_cut_back_to_its_last_sentence(trace: str, repaired: str) -> None:
    assert repair(trace) == repaired


def test_a_model_that_says_nothing_gives_failed_and_never_a_label(folder: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    shutil.copytree(folder, silent)
    model, tokenizer = parts(silent)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    model.save_pretrained(silent)
    # All logits are equal now, so the first token of the vocabulary comes first, and it ends the text.
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(0)
    tokenizer.save_pretrained(silent)
    found = list(load_scorer(f"rank1:{silent}?{BUDGET}", device="cpu", max_length=LENGTH).score(some_pairs(3)))
    assert [pair.status for pair in found] == ["failed"] * 3
    assert all(math.isnan(pair.score) for pair in found)
    assert score_run(found) == ({}, {"failed": 3})


def test_of_a_long_prompt_the_passage_is_cut_and_the_tag_stays(judge: PairScorer) -> None:
    scorer: Any = judge
    pairs = [Pair("q", "a", "w1", "w2 " * 100_000), Pair("q", "b", "w1 " * 2000, "w3"), Pair("q", "c", "w1", "")]
    examples = scorer.encode(pairs)
    assert all(example.text.endswith("\n<think>") for example in examples)
    assert LENGTH - 8 <= len(examples[0].ids) <= LENGTH
    assert len(examples[1].ids) <= LENGTH
    assert [example.query_truncated for example in examples] == [False, True, False]
    assert "Passage: \n<think>" in examples[2].text


def test_a_cut_query_is_a_status_unless_the_answer_was_forced(judge: PairScorer) -> None:
    (found,) = judge.score([Pair("q", "b", "w1 " * 2000, "w3")])
    assert found.status in ("query_truncated", "forced")


def test_a_model_without_room_for_prompt_and_trace_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="has 512 positions, too few for prompts of 2000 and traces of 2000 tokens"):
        load_scorer(f"rank1:{folder}", device="cpu")


def test_vllm_says_how_to_install_it(folder: Path) -> None:
    with pytest.raises(UserError, match=r"vLLM is not installed; install it .* \(pip install vllm\)"):
        load_scorer(f"rank1:{folder}?engine=vllm", device="cpu")


def test_wrong_checkpoints_name_the_remedy(tmp_path: Path) -> None:
    classifier = make_tiny(tmp_path / "c", "llama", words=["true", "false"], num_labels=1)
    words = make_tiny(tmp_path / "w", "llama", words=["yes", "no"])
    with pytest.raises(UserError, match="is LlamaForSequenceClassification, not a causal language model; use seqcls:"):
        load_scorer(f"rank1:{classifier}", device="cpu")
    with pytest.raises(UserError, match="does not know the answer ' true'"):
        load_scorer(f"rank1:{words}?{BUDGET}", device="cpu", max_length=LENGTH)
