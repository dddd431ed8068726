"""What all judges with a model share: windows of pairs, length buckets, order restored, statuses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from ir_shared.console import UserError

from rerank_judge.labeling import Scale
from rerank_judge.scorers.base import NOTHING_DONE, Batch, Pair, PairKey, ScoredPair, Status, in_order
from rerank_judge.scorers.card import JudgeCard
from rerank_judge.scorers.checkpoints import Checkpoint
from rerank_judge.scorers.packing import Example, Halving, length_batches
from rerank_judge.scorers.texts import clean_text

__all__ = ["Answer", "BatchedScorer"]

_WINDOW = 16_384
"""Pairs that are tokenised and sorted together: enough to fill the buckets, few enough to hold in memory."""


class Answer(NamedTuple):
    """A judge's answer to one example; a score that is not finite makes it "failed"."""

    score: float
    status: Status = "ok"
    trace: str | None = None


class BatchedScorer(ABC):
    """Scores pairs in batches of similar length.

    Args:
        checkpoint: the model.
        card: the judge's card.
        batch_tokens: most tokens of a batch, padding included. None takes the default.
        default_tokens: the default by kind of device, "cuda" or "cpu".
        cpu_fallback: whether the CPU takes over where one pair alone exceeds the GPU's memory.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        card: JudgeCard,
        *,
        batch_tokens: int | None,
        default_tokens: Mapping[str, int],
        cpu_fallback: bool,
    ) -> None:
        if batch_tokens is None:
            batch_tokens = default_tokens[checkpoint.device.partition(":")[0]]
        if batch_tokens < 1:
            raise UserError(f"batch_tokens {batch_tokens}: must be positive")
        self.checkpoint = checkpoint
        self.card = card
        self.batch_tokens = batch_tokens
        self._halving = Halving(checkpoint.to_cpu if cpu_fallback else None)

    @property
    def judge_id(self) -> str:
        """Name of the judge."""
        return self.card.judge_id

    @property
    def scale(self) -> Scale:
        """What its scores are."""
        return self.card.scale

    def score(self, pairs: Sequence[Pair]) -> Iterator[ScoredPair]:
        """Scores pairs, in their order."""
        return in_order(self.batches(pairs))

    def batches(self, pairs: Sequence[Pair], done: Container[PairKey] = NOTHING_DONE) -> Iterator[Batch]:
        """Scores pairs batch by batch, longest first, leaving out those that are done.

        A batch of which only a part is done is computed whole, so that what is computed together never depends on
        where an earlier run stopped.
        """
        for start in range(0, len(pairs), _WINDOW):
            window = pairs[start : start + _WINDOW]
            open_ = [(pair.qid, pair.docid) not in done for pair in window]
            if any(open_):
                yield from self._window(window, start, open_)

    def _window(self, pairs: Sequence[Pair], start: int, open_: Sequence[bool]) -> Iterator[Batch]:
        cleaned = [
            Pair(pair.qid, pair.docid, clean_text(pair.query), clean_text(pair.text), clean_text(pair.title))
            for pair in pairs
        ]
        examples = self.encode(cleaned)
        costs = [example.cost for example in examples]
        plan = [batch for batch in length_batches(costs, self.batch_tokens) if any(open_[i] for i in batch)]
        for batch, answers in self._halving.run(plan, costs, lambda b: self.answer([examples[i] for i in b])):
            yield [
                (start + i, _scored(pairs[i], examples[i], answer))
                for i, answer in zip(batch, answers, strict=True)
                if open_[i]
            ]

    @abstractmethod
    def encode(self, pairs: Sequence[Pair]) -> list[Example]:
        """Makes the model's inputs, one for each pair, of cleaned texts."""

    @abstractmethod
    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """Judges one batch."""


def _scored(pair: Pair, example: Example, answer: Answer) -> ScoredPair:
    score, status, trace = answer
    if not math.isfinite(score):
        return ScoredPair(pair.qid, pair.docid, math.nan, "failed", trace)
    if status == "ok" and example.query_truncated:
        status = "query_truncated"
    return ScoredPair(pair.qid, pair.docid, score, status, trace)
