"""Tokenizers from given words or texts, with the special tokens and templates of the model they stand beside.

Every tokenizer has a padding token, so that batches work at once. Published Llama checkpoints have none: to test that
case, set ``pad_token = None`` on the tokenizer and ``pad_token_id = None`` on the configuration.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ir_shared.console import UserError, missing_extra

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["Kind", "byte_tokenizer", "check_installed", "word_tokenizer", "words_of"]

Kind: TypeAlias = Literal["t5", "bert", "llama", "qwen2"]
"""Model families, by their name in transformers."""

_BLANK = "▁"


@dataclass(frozen=True)
class _Layout:
    """Special tokens by role, in the order of their ids, and where they go around one text or two."""

    roles: Mapping[str, str]
    single: str
    pair: str
    inputs: tuple[str, ...] = ("input_ids", "attention_mask")


_LAYOUTS: dict[Kind, _Layout] = {
    "t5": _Layout(
        {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"},
        single="$A </s>",
        pair="$A </s> $B </s>",
    ),
    "bert": _Layout(
        {
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        inputs=("input_ids", "token_type_ids", "attention_mask"),
    ),
    "llama": _Layout(
        {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"},
        single="<s> $A",
        pair="<s> $A <s> $B",
    ),
}


def check_installed() -> None:
    """Says what to install where the extra is missing.

    Raises:
        UserError: ``ir-shared[tiny]`` is not installed.
    """
    if any(find_spec(name) is None for name in ("torch", "transformers", "tokenizers", "safetensors")):
        raise missing_extra("ir-shared", "tiny", "a tiny model")


def words_of(texts: Iterable[str]) -> list[str]:
    """The words of texts, between blanks, each once, in the order of their first occurrence."""
    return list(dict.fromkeys(word for text in texts for word in text.split()))


def word_tokenizer(
    kind: Kind, words: Iterable[str], *, tags: Sequence[str] = (), max_length: int = 512
) -> PreTrainedTokenizerFast:
    """A tokenizer that knows whole words and nothing else: each is one token, ``▁word``, wherever it stands.

    Any whitespace separates words, so a newline is as good as a blank. An unknown word becomes the unknown token.

    Args:
        kind: whose special tokens and template; ``qwen2`` has a tokenizer of its own, see :func:`byte_tokenizer`.
        words: as they stand in a text, case and punctuation included, e.g. ``"true"``, ``"Relevant:"``.
        tags: strings that are one token even inside a word, e.g. ``"<think>"``.
        max_length: longest text in tokens that the model takes.

    Raises:
        UserError: no words, a word with whitespace or ``▁`` in it, or a kind that takes no words.
    """
    check_installed()
    import transformers
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    layout = _LAYOUTS.get(kind)
    if layout is None:
        raise UserError(f"kind {kind!r}: takes no word list; choose one of {', '.join(_LAYOUTS)}")
    special = list(layout.roles.values())
    vocabulary = {token: i for i, token in enumerate([*special, *_pieces(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=layout.roles["unk_token"]))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=_BLANK, prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement=_BLANK, prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=layout.single, pair=layout.pair, special_tokens=[(token, vocabulary[token]) for token in special]
    )
    make: Callable[..., PreTrainedTokenizerFast] = transformers.PreTrainedTokenizerFast
    wrapped = make(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=list(layout.inputs),
        **layout.roles,
    )
    _add_tags(wrapped, tags)
    return wrapped


def byte_tokenizer(
    texts: Iterable[str], *, tags: Sequence[str] = (), max_vocabulary: int = 1024, max_length: int = 512
) -> PreTrainedTokenizerFast:
    """A byte-level BPE with Qwen2's way of splitting, trained on texts; it encodes any text without loss.

    It is a ``Qwen2Tokenizer``, because ``AutoTokenizer`` puts that class in place of any other beside a ``qwen2``
    configuration. ``<|endoftext|>`` pads and ends; ``<|im_start|>`` and ``<|im_end|>`` are special as well.

    Args:
        texts: what to learn merges from.
        tags: strings that are one token wherever they stand, e.g. ``"<think>"``.
        max_vocabulary: upper bound of bytes and merges together, at least 256; fewer where no more can be merged.
        max_length: longest text in tokens that the model takes.

    Raises:
        UserError: no texts, or a bound below 256.
    """
    check_installed()
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    make: Callable[..., PreTrainedTokenizerFast] = transformers.Qwen2Tokenizer
    texts = list(texts)
    if not any(texts) or max_vocabulary < 256:
        raise UserError(f"{len(texts)} texts, at most {max_vocabulary} tokens: give a text and room for all 256 bytes")
    backend = make().backend_tokenizer
    trained = Tokenizer(models.BPE())
    trained.normalizer, trained.pre_tokenizer = backend.normalizer, backend.pre_tokenizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=max_vocabulary, initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(texts, trainer)
    bpe = json.loads(trained.to_str())["model"]
    tokenizer = make(
        vocab=bpe["vocab"],
        merges=[tuple(merge) for merge in bpe["merges"]],
        extra_special_tokens=["<|im_start|>", "<|im_end|>"],
        model_max_length=max_length,
    )
    _add_tags(tokenizer, tags)
    return tokenizer


def _pieces(words: Iterable[str]) -> list[str]:
    pieces = []
    for word in dict.fromkeys(words):
        if not word or word.split() != [word] or _BLANK in word:
            raise UserError(f"word {word!r}: not one word without blanks and {_BLANK}; give it as it stands in a text")
        pieces.append(_BLANK + word)
    if not pieces:
        raise UserError("no words: give the words that the tokenizer shall know")
    return pieces


def _add_tags(tokenizer: Any, tags: Sequence[str]) -> None:
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(tag, normalized=False) for tag in tags])
