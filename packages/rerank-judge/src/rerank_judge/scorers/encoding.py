"""Tokenises many texts at once, cuts texts at tokens, and looks up the two words a judge answers with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ir_shared.console import UserError

from rerank_judge.scorers.texts import safe_prefix

__all__ = ["answer_ids", "cut_to_tokens", "encode_texts", "text_room", "token_count"]

_LEAST_ROOM = 8


def encode_texts(tokenizer: Any, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
    """Token ids of texts, not cut; ``special`` adds what the tokenizer puts around a text."""
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=special, return_attention_mask=False, verbose=False)
    return list(encoded["input_ids"])


def token_count(tokenizer: Any, *, special: bool = False) -> Callable[[str], int]:
    """A function that counts the tokens of a text."""
    return lambda text: len(encode_texts(tokenizer, [text], special=special)[0])


def cut_to_tokens(tokenizer: Any, text: str, limit: int) -> tuple[str, bool]:
    """The part of a text that its first ``limit`` tokens cover, and whether that is less than all."""
    prefix = safe_prefix(text, limit, token_count(tokenizer))
    encoded = tokenizer(prefix, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    if len(encoded["input_ids"]) <= limit:
        return text, False
    end = encoded["offset_mapping"][limit - 1][1] if limit > 0 else 0
    return text[:end], True


def text_room(max_length: int, fixed: int, config: Any) -> int:
    """The tokens that remain for the texts.

    Args:
        max_length: longest input in tokens.
        fixed: tokens of the prompt.
        config: the model's configuration.

    Raises:
        UserError: fewer than 8 remain, or the model has no so many positions.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise UserError(f"max_length {max_length}: the model has only {positions} positions; use that or less")
    if max_length - fixed < _LEAST_ROOM:
        raise UserError(f"max_length {max_length}: too short; the prompt alone needs {fixed} tokens")
    return max_length - fixed


def answer_ids(tokenizer: Any, words: tuple[str, str], name: str) -> tuple[int, int]:
    """Looks up the ids of the positive and the negative answer word.

    Args:
        tokenizer: the model's tokenizer.
        words: the two words as the model writes them, a leading blank included.
        name: the model, for the message.

    Raises:
        UserError: a word is several tokens or unknown, or both are one token: the log-odds would say nothing.
    """
    remedy = "use a checkpoint trained to answer with these words, or give its own with ?true=WORD&false=WORD"
    ids = []
    for word in words:
        found = tokenizer.encode(word, add_special_tokens=False)
        pieces = ", ".join(map(repr, tokenizer.convert_ids_to_tokens(found)))
        if len(found) != 1:
            raise UserError(f"{name}: its tokenizer splits the answer {word!r} into pieces ({pieces}); {remedy}")
        if found[0] == tokenizer.unk_token_id:
            raise UserError(f"{name}: its tokenizer does not know the answer {word!r} (it becomes {pieces}); {remedy}")
        ids.append(int(found[0]))
    if ids[0] == ids[1]:
        raise UserError(f"{name}: the answers {words[0]!r} and {words[1]!r} are the same token; {remedy}")
    return ids[0], ids[1]
