"""The two words a judge answers with: as tokens, as logits, as a label."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
import transformers
from ir_shared.console import UserError
from ir_shared.tiny_models import word_tokenizer
from rerank_judge.collection import Collection
from rerank_judge.labeling import align_scores, direct
from rerank_judge.scorers.encoding import answer_ids
from rerank_judge.scorers.heads import float_rows, log_odds
from tokenizers import Tokenizer, models, pre_tokenizers, trainers


def test_a_tokenizer_that_splits_the_answers_is_refused_with_its_pieces() -> None:
    # A trained Unigram of few pieces: the first piece of both words is the blank, so their log-odds would be 0 always.
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=20, special_tokens=special, unk_token="<unk>", show_progress=False)
    draw = random.Random(0)
    texts = [" ".join("".join(draw.choices("truefals", k=3)) for _ in range(20)) for _ in range(50)]
    backend.train_from_iterator(texts, trainer)
    make: Any = transformers.PreTrainedTokenizerFast
    split = make(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>", pad_token="<pad>")
    pieces = split.tokenize("true")
    assert len(pieces) > 1
    assert split.encode("true")[0] == split.encode("false")[0]
    with pytest.raises(UserError, match=r"splits the answer 'true' into pieces .*; use a checkpoint trained") as error:
        answer_ids(split, ("true", "false"), "tiny")
    assert all(repr(piece) in str(error.value) for piece in pieces)


@pytest.mark.parametrize(
    ("words", "message"),
    [(("maybe", "false"), "does not know the answer 'maybe'"), (("true", "true"), "are the same token")],
)
def test_unknown_and_equal_answers_are_refused(words: tuple[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        answer_ids(word_tokenizer("t5", ["true", "false"]), words, "tiny")


def test_the_label_flips_exactly_at_log_odds_zero() -> None:
    values = {"a": -5e-324, "b": 0.0, "c": 5e-324}
    collection = Collection.from_mappings({"q": dict.fromkeys(values, 0)})
    labels = direct(align_scores(collection, {"q": values}, "j", scale="log-odds"))
    assert labels.labels.tolist() == [0, 1, 1]


def test_a_constant_added_to_both_logits_changes_nothing() -> None:
    logits = torch.randn(8, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert log_odds(logits + 1000) == pytest.approx(log_odds(logits), abs=1e-12)


def test_few_rows_of_a_head_give_the_logits_of_the_whole_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    head = torch.nn.Linear(16, 50, bias=True, dtype=torch.bfloat16)
    hidden = torch.randn(5, 16, generator=generator).bfloat16()
    with torch.no_grad():
        exact = torch.nn.functional.linear(hidden.double(), head.weight.double(), head.bias.double())[:, [7, 3]]
        few = float_rows(head, [7, 3])(hidden)
    assert few.dtype == torch.float32
    assert torch.allclose(few.double(), exact, atol=1e-5)
    assert not torch.allclose(head(hidden)[:, [7, 3]].double(), exact, atol=1e-5)
