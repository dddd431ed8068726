"""Cross-encoders with one output: RankLLaMA, and any sequence classifier with a single logit.

RankLLaMA (Ma et al. 2023, "Fine-Tuning LLaMA for Multi-Stage Text Retrieval") reads one string and scores its last
token; an encoder such as BERT reads query and document as a pair. The score is the raw logit, which holds no decision
of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ir_shared.console import UserError

from rerank_judge.scorers.base import Pair
from rerank_judge.scorers.batched import Answer, BatchedScorer
from rerank_judge.scorers.card import JudgeCard, text_hash
from rerank_judge.scorers.checkpoints import Checkpoint
from rerank_judge.scorers.encoding import cut_to_tokens, encode_texts, text_room, token_count
from rerank_judge.scorers.heads import float_rows, last_hidden
from rerank_judge.scorers.packing import Example, collate
from rerank_judge.scorers.texts import safe_prefix

__all__ = ["SequenceClassifierScorer", "Template", "rankllama_input"]

Template = Literal["rankllama", "pair"]
"""One string as RankLLaMA was trained on, or query and document as the tokenizer joins a pair of texts."""

_LEAST_DOCUMENT = 4
_BATCH_TOKENS = {"cuda": 32_768, "cpu": 1_024}


class SequenceClassifierScorer(BatchedScorer):
    """The single logit of a sequence classifier.

    Args:
        checkpoint: the model, see :func:`rerank_judge.scorers.adapters.load_classifier`.
        template: how query and document become one input.
        max_length: longest input in tokens. None means 196 for RankLLaMA, else the tokenizer's limit up to 512.
        batch_tokens: most tokens of a batch; None means 32,768 on a GPU and 1,024 else.
        cpu_fallback: whether the CPU takes over where one pair exceeds the GPU's memory.
        judge_id: the judge's name. None takes the checkpoint's.
        family: the judge's family. None means RankLLaMA or cross-encoder.

    Raises:
        UserError: an encoder's tokenizer has no padding token, or the length leaves no room for a text.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        template: Template = "pair",
        max_length: int | None = None,
        batch_tokens: int | None = None,
        cpu_fallback: bool = False,
        judge_id: str | None = None,
        family: str | None = None,
    ) -> None:
        tokenizer = checkpoint.tokenizer
        # Decoders score with a layer of this name, at a position that we choose; encoders pool for themselves.
        self._decoder = hasattr(checkpoint.model, "score")
        if self._decoder:
            checkpoint.model.score = float_rows(checkpoint.model.score, [0])
        elif tokenizer.pad_token_id is None:
            raise UserError(f"{checkpoint.name}: its tokenizer has no padding token; set pad_token and save it again")
        length = max_length or (196 if template == "rankllama" else min(512, tokenizer.model_max_length))
        self._template = template
        specials = tokenizer.num_special_tokens_to_add(pair=template == "pair")
        self._room = text_room(length, specials, checkpoint.model.config)
        self._length = length
        form = rankllama_input("{query}", "{text}", "{title}") if template == "rankllama" else template
        card = JudgeCard(
            judge_id or checkpoint.name,
            "seqcls",
            family or ("RankLLaMA" if template == "rankllama" else "cross-encoder"),
            "logit",
            checkpoint=checkpoint.name,
            checkpoint_hash=checkpoint.digest,
            dtype=checkpoint.dtype,
            max_length=length,
            prompt_hash=text_hash(form),
        )
        super().__init__(
            checkpoint, card, batch_tokens=batch_tokens, default_tokens=_BATCH_TOKENS, cpu_fallback=cpu_fallback
        )

    def encode(self, pairs: Sequence[Pair]) -> list[Example]:
        """Inputs in the template, cut on the right; of a pair only the document, unless the query fills all."""
        return self._as_string(pairs) if self._template == "rankllama" else self._as_pair(pairs)

    def answer(self, examples: Sequence[Example]) -> list[Answer]:
        """One forward pass; a decoder's logit is read at the last token of each sequence."""
        import torch

        checkpoint = self.checkpoint
        batch = collate(examples, checkpoint.pad_id, checkpoint.device)
        with torch.inference_mode():
            if self._decoder:
                lengths = [len(example.ids) for example in examples]
                logits = checkpoint.model.score(last_hidden(checkpoint.model, batch, lengths))
            else:
                logits = checkpoint.model(**batch).logits
        return [Answer(score) for score in logits[:, 0].double().tolist()]

    def _as_string(self, pairs: Sequence[Pair]) -> list[Example]:
        tokenizer = self.checkpoint.tokenizer
        count = token_count(tokenizer)
        strings = [rankllama_input(pair.query, pair.text, pair.title) for pair in pairs]
        encoded = encode_texts(tokenizer, [safe_prefix(text, self._length, count) for text in strings], special=True)
        examples = []
        for pair, ids in zip(pairs, encoded, strict=True):
            cut = False
            if len(ids) > self._length:
                alone = safe_prefix(rankllama_input(pair.query, "", ""), self._length, count)
                cut = len(encode_texts(tokenizer, [alone], special=True)[0]) > self._length
            examples.append(Example({"input_ids": ids[: self._length]}, query_truncated=cut))
        return examples

    def _as_pair(self, pairs: Sequence[Pair]) -> list[Example]:
        tokenizer = self.checkpoint.tokenizer
        count = token_count(tokenizer)
        room = self._room - _LEAST_DOCUMENT
        cuts = {query: cut_to_tokens(tokenizer, query, room) for query in dict.fromkeys(pair.query for pair in pairs)}
        encoded = tokenizer(
            [cuts[pair.query][0] for pair in pairs],
            [safe_prefix(pair.document, self._room, count) for pair in pairs],
            truncation="only_second",
            max_length=self._length,
            return_attention_mask=False,
            verbose=False,
        )
        return [
            Example({name: values[i] for name, values in encoded.items()}, query_truncated=cuts[pair.query][1])
            for i, pair in enumerate(pairs)
        ]


def rankllama_input(query: str, text: str, title: str = "") -> str:
    """The string that RankLLaMA was trained on, blanks included: an empty title leaves its blanks behind."""
    return f"query:  {query} document:  {title.replace('-', ' ')} {text}".strip()
