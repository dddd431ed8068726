"""Rank1: a judge that reasons before it answers (Weller et al. 2025, "Rank1: Test-Time Compute for Reranking").

Phase 1 lets the model think until it closes its reasoning or the budget is spent. Phase 2 reads, in one forward pass
behind the closed reasoning, the log-odds of the answer `` true`` against `` false`` over the whole vocabulary.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from ir_shared.console import UserError

from rerank_judge.scorers.base import Pair, Status
from rerank_judge.scorers.batched import Answer, BatchedScorer
from rerank_judge.scorers.card import JudgeCard, text_hash
from rerank_judge.scorers.checkpoints import Checkpoint, check_kind, load_checkpoint, load_tokenizer
from rerank_judge.scorers.encoding import answer_ids, cut_to_tokens, encode_texts, text_room, token_count
from rerank_judge.scorers.engines import (
    END_OF_THOUGHT,
    Engine,
    Trace,
    TransformersEngine,
    VllmEngine,
    require_vllm,
)
from rerank_judge.scorers.hub import find_source
from rerank_judge.scorers.packing import Example

__all__ = ["MAX_NEW_TOKENS", "PROMPT", "ReasoningScorer", "load_reasoner", "repair"]

# The checkpoints were trained on these very characters.
PROMPT = (
    "Determine if the following passage is relevant to the query. Answer only with 'true' or 'false'.\n"
    "Query: {query}\nPassage: {passage}\n<think>"
)
_WORDS = (" true", " false")
_SLACK = 4
_MAX_LENGTH = 2_000
MAX_NEW_TOKENS = 2_000
"""Budget of a trace in the paper's judges."""
_BATCH_TOKENS = {"cuda": 65_536, "cpu": 8_192}


class ReasoningScorer(BatchedScorer):
    """Log-odds of the answer true behind a reasoning trace.

    A trace that the model does not finish is cut back to its last sentence and closed: status "forced". A model that
    says nothing, or has no finite answer, gives "failed".

    Args:
        checkpoint: a causal language model; its ``model`` may be None if an engine is given.
        engine: what runs the model. None means transformers.
        max_length: longest prompt in tokens, None means 2,000; the passage is cut, never the tag behind it.
        max_new_tokens: longest trace; the paper's judges used 2,000, the original re-ranker 8,192.
        batch_tokens: most tokens of a batch, traces included; None means 65,536 on a GPU and 8,192 else.
        cpu_fallback: whether the CPU takes over where one pair exceeds the GPU's memory.
        judge_id: the judge's name. None takes the checkpoint's.
        family: the judge's family. None means Rank1.

    Raises:
        UserError: the answers are no single tokens, or a length leaves no room.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        engine: Engine | None = None,
        max_length: int | None = None,
        max_new_tokens: int = MAX_NEW_TOKENS,
        batch_tokens: int | None = None,
        cpu_fallback: bool = False,
        judge_id: str | None = None,
        family: str | None = None,
    ) -> None:
        max_length = max_length or _MAX_LENGTH
        if max_new_tokens < 1:
            raise UserError(f"max_new_tokens {max_new_tokens}: must be positive")
        answers = answer_ids(checkpoint.tokenizer, _WORDS, checkpoint.name)
        self._count = token_count(checkpoint.tokenizer, special=True)
        self._room = text_room(max_length, self._count(_prompt("", "")) + _SLACK, None)
        positions = getattr(getattr(checkpoint.model, "config", None), "max_position_embeddings", math.inf)
        if max_length + max_new_tokens > positions:
            raise UserError(
                f"{checkpoint.name}: has {positions} positions, too few for prompts of {max_length} and traces of "
                f"{max_new_tokens} tokens; lower max_length or max_new_tokens"
            )
        self._max_new_tokens = max_new_tokens
        self._engine: Engine = engine or TransformersEngine(checkpoint, answers)
        card = JudgeCard(
            judge_id or checkpoint.name,
            "rank1",
            family or "Rank1",
            "log-odds",
            checkpoint=checkpoint.name,
            checkpoint_hash=checkpoint.digest,
            dtype=checkpoint.dtype,
            max_length=max_length,
            prompt_hash=text_hash(PROMPT),
            token_ids=dict(zip(_WORDS, answers, strict=True)),
            settings={"max_new_tokens": max_new_tokens},
        )
        super().__init__(
            checkpoint, card, batch_tokens=batch_tokens, default_tokens=_BATCH_TOKENS, cpu_fallback=cpu_fallback
        )

    def encode(self, pairs: Sequence[Pair]) -> list[Example]:
        """Prompts; of a long one the passage is cut, and the query only if it alone fills the prompt."""
        tokenizer = self.checkpoint.tokenizer
        queries = {
            query: cut_to_tokens(tokenizer, query, self._room) for query in dict.fromkeys(pair.query for pair in pairs)
        }
        rooms = {query: max(self._room - self._count(cut), 0) for query, (cut, _) in queries.items()}
        prompts = [
            _prompt(queries[pair.query][0], cut_to_tokens(tokenizer, pair.document, rooms[pair.query])[0])
            for pair in pairs
        ]
        return [
            Example({"input_ids": ids}, queries[pair.query][1], extra_tokens=self._max_new_tokens, text=prompt)
            for pair, prompt, ids in zip(pairs, prompts, encode_texts(tokenizer, prompts, special=True), strict=True)
        ]

    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """Both phases for one batch."""
        traces = self._engine.think([example.ids for example in examples], self._max_new_tokens)
        closed = [_closed(example.text, trace) for example, trace in zip(examples, traces, strict=True)]
        asked = [text for text, _ in closed if text]
        scores = iter(self._engine.weigh(asked) if asked else ())
        return [
            Answer(next(scores) if text else math.nan, status, trace.text)
            for (text, status), trace in zip(closed, traces, strict=True)
        ]


def load_reasoner(
    name: str,
    *,
    engine: str = "transformers",
    max_new_tokens: int = MAX_NEW_TOKENS,
    max_length: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    **options: Any,
) -> ReasoningScorer:
    """Loads a reasoning judge.

    Args:
        name: folder or hub id.
        engine: "transformers" or "vllm".
        max_new_tokens: longest trace.
        max_length: longest prompt in tokens.
        device: "auto", "cpu", "cuda" or "cuda:N"; vLLM takes the GPU.
        dtype: number format of the weights.
        options: further arguments of :class:`ReasoningScorer`.

    Raises:
        UserError: the model cannot be found, or is no causal language model; vLLM is not installed.
    """
    if engine == "vllm":
        require_vllm()
        source = find_source(name)
        check_kind(source, "rank1")
        checkpoint = Checkpoint(source.name, source.digest, None, load_tokenizer(source), "cuda", dtype)
        length = (max_length or _MAX_LENGTH) + max_new_tokens + _SLACK
        answers = answer_ids(checkpoint.tokenizer, _WORDS, source.name)
        served = VllmEngine(source.location, checkpoint.tokenizer, answers, max_model_len=length, dtype=dtype)
        return ReasoningScorer(
            checkpoint, engine=served, max_new_tokens=max_new_tokens, max_length=max_length, **options
        )
    checkpoint = load_checkpoint(name, "rank1", device=device, dtype=dtype)
    return ReasoningScorer(checkpoint, max_new_tokens=max_new_tokens, max_length=max_length, **options)


def repair(trace: str) -> str:
    """An unfinished trace up to its last full sentence; all of it if there is none."""
    ends = [match.end() for match in re.finditer(r"[.!?]", trace)]
    return trace[: ends[-1] if ends else None].strip()


def _prompt(query: str, passage: str) -> str:
    return PROMPT.format(query=query, passage=passage)


def _closed(prompt: str, trace: Trace) -> tuple[str, Status]:
    """The text behind which the answer stands, empty if there can be none, and the status."""
    if trace.finished:
        return f"{prompt}{trace.text}{END_OF_THOUGHT}", "ok"
    repaired = repair(trace.text)
    return (f"{prompt}\n{repaired}\n{END_OF_THOUGHT}", "forced") if repaired else ("", "failed")
