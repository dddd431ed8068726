"""monoT5: a T5 that continues ``Query: .. Document: .. Relevant:`` with true or false.

One decoder step decides. The score is the log-odds z_true - z_false, and the judge's own label is its sign (Nogueira et
al. 2020, "Document Ranking with a Pretrained Sequence-to-Sequence Model").
"""

from __future__ import annotations

from collections.abc import Sequence

from ir_shared.console import UserError

from rerank_judge.scorers.base import Pair
from rerank_judge.scorers.batched import Answer, BatchedScorer
from rerank_judge.scorers.card import JudgeCard, text_hash
from rerank_judge.scorers.checkpoints import Checkpoint
from rerank_judge.scorers.encoding import answer_ids, encode_texts, text_room, token_count
from rerank_judge.scorers.heads import float_rows, log_odds
from rerank_judge.scorers.packing import Example, collate
from rerank_judge.scorers.texts import safe_prefix

__all__ = ["MonoT5Scorer"]

_PROMPT = "Query: {} Document: {}"
_CUE = "Relevant:"
_MAX_LENGTH = 512
_BATCH_TOKENS = {"cuda": 32_768, "cpu": 1_024}


class MonoT5Scorer(BatchedScorer):
    """Log-odds of the answer true, at the first decoder position.

    Args:
        checkpoint: a T5, mT5 or other encoder-decoder model; its head is reduced to the two answers.
        answers: the positive and the negative answer word.
        max_length: longest input in tokens, None means 512; the document is cut, never the cue behind it.
        batch_tokens: most tokens of a batch; None means 32,768 on a GPU and 1,024 else.
        cpu_fallback: whether the CPU takes over where one pair exceeds the GPU's memory.
        judge_id: the judge's name. None takes the checkpoint's.
        family: the judge's family. None means monoT5.

    Raises:
        UserError: the answers are no single tokens, or the length leaves no room for a text.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        answers: tuple[str, str] = ("true", "false"),
        max_length: int | None = None,
        batch_tokens: int | None = None,
        cpu_fallback: bool = False,
        judge_id: str | None = None,
        family: str | None = None,
    ) -> None:
        max_length = max_length or _MAX_LENGTH
        words = (answers[0].removeprefix("▁"), answers[1].removeprefix("▁"))
        ids = answer_ids(checkpoint.tokenizer, words, checkpoint.name)
        self._suffix = [*encode_texts(checkpoint.tokenizer, [_CUE])[0], checkpoint.tokenizer.eos_token_id]
        self._budget = text_room(max_length, len(self._suffix), checkpoint.model.config)
        config = checkpoint.model.config
        self._start = config.pad_token_id if config.decoder_start_token_id is None else config.decoder_start_token_id
        if self._start is None or self._suffix[-1] is None:
            raise UserError(f"{checkpoint.name}: has no start or end token; monoT5 needs a complete T5 checkpoint")
        checkpoint.model.lm_head = float_rows(checkpoint.model.lm_head, ids)
        card = JudgeCard(
            judge_id or checkpoint.name,
            "monot5",
            family or "monoT5",
            "log-odds",
            checkpoint=checkpoint.name,
            checkpoint_hash=checkpoint.digest,
            dtype=checkpoint.dtype,
            max_length=max_length,
            prompt_hash=text_hash(f"{_PROMPT} {_CUE}"),
            token_ids=dict(zip(words, ids, strict=True)),
        )
        super().__init__(
            checkpoint, card, batch_tokens=batch_tokens, default_tokens=_BATCH_TOKENS, cpu_fallback=cpu_fallback
        )

    def encode(self, pairs: Sequence[Pair]) -> list[Example]:
        """Token ids of prompt, cue and end; of a long text only the part before the cue is cut."""
        count = token_count(self.checkpoint.tokenizer)
        prompts = [_PROMPT.format(pair.query, pair.document).rstrip() for pair in pairs]
        encoded = encode_texts(self.checkpoint.tokenizer, [safe_prefix(text, self._budget, count) for text in prompts])
        cut_queries: dict[str, bool] = {}
        examples = []
        for pair, ids in zip(pairs, encoded, strict=True):
            cut = False
            if len(ids) > self._budget:
                if pair.query not in cut_queries:
                    alone = safe_prefix(_PROMPT.format(pair.query, "").rstrip(), self._budget, count)
                    cut_queries[pair.query] = count(alone) > self._budget
                cut = cut_queries[pair.query]
            examples.append(Example({"input_ids": ids[: self._budget] + self._suffix}, query_truncated=cut))
        return examples

    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """One forward pass with one decoder token."""
        import torch

        checkpoint = self.checkpoint
        batch = collate(examples, checkpoint.pad_id, checkpoint.device)
        start = torch.full((len(examples), 1), self._start, dtype=torch.long, device=checkpoint.device)
        with torch.inference_mode():
            logits = checkpoint.model(**batch, decoder_input_ids=start, use_cache=False).logits
        return [Answer(score) for score in log_odds(logits[:, 0])]
