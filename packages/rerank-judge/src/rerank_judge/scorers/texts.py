"""Makes texts safe to tokenise: control characters, whitespace, and lengths beyond any model's reach."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["clean_text", "safe_prefix"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CHARACTERS_PER_TOKEN = 16
_MARGIN = 16


def clean_text(text: str) -> str:
    """Turns control characters and whitespace runs into one blank, so that no two words merge.

    Lone surrogates, which JSON can hold and tokenizers refuse, become U+FFFD.
    """
    return " ".join(_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text)).split())


def safe_prefix(text: str, limit: int, count: Callable[[str], int]) -> str:
    """Cuts a text that is far too long, without changing its first ``limit`` tokens.

    Characters per token have no bound (one unknown token may stand for a whole word), so a cut is checked by counting
    and made longer where it holds too little.

    Args:
        text: the text.
        limit: tokens that must stay as they are.
        count: number of tokens of a text.
    """
    bound = _CHARACTERS_PER_TOKEN * max(limit, 1)
    while len(text) > bound:
        # A cut between words leaves the tokens before it alone; the margin covers a text without blanks.
        blank = text.rfind(" ", bound // 2, bound)
        prefix = text[: blank if blank > 0 else bound]
        if count(prefix) >= limit + _MARGIN:
            return prefix
        bound *= 2
    return text
