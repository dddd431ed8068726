"""Reads a grade from what a language model wrote, or says why there is none."""

from __future__ import annotations

import re

from rerank_judge.scorers.base import Status

__all__ = ["parse_grade"]

_HIGHEST = 3
_NUMBER = r"[-+]?\d+(?:[.,]\d+)*"
_SAID = rf"\W{{0,3}}?\s*(?:is\b|[:=])[\s*\"'<(\[]*({_NUMBER})"
_FINAL = re.compile(rf"final\s+score{_SAID}", re.IGNORECASE)
_ANY = re.compile(rf"(?:score|grade|rating|category|label){_SAID}", re.IGNORECASE)
_ALONE = re.compile(rf"^[^\w\n.+-]*({_NUMBER})[^\w\n]*$", re.MULTILINE)
_REFUSAL = re.compile(r"\bI(?:'m| am) (?:sorry|not able|unable)|\bI (?:can(?:no|')t|won't|will not)\b", re.IGNORECASE)


def parse_grade(text: str) -> tuple[int | None, Status]:
    """The grade 0 to 3 in a model's answer, and the status.

    The last ``final score: N`` counts (``##final score: 2``, ``Final score = 3.``), or else the last ``score: N``,
    ``grade: N`` and the like. Without any, lines that are nothing but a number count if they agree. Nothing is guessed:
    a grade out of range, a fraction, numbers in prose, two different numbers or no number at all is "invalid", and a
    refusal is "refused".
    """
    text = text.replace("’", "'")
    marked = _FINAL.findall(text) or _ANY.findall(text)
    numbers = marked[-1:] or list(dict.fromkeys(_ALONE.findall(text)))
    if not numbers and _REFUSAL.search(text):
        return None, "refused"
    if len(numbers) != 1 or not re.fullmatch(r"[0-9]", numbers[0]) or int(numbers[0]) > _HIGHEST:
        return None, "invalid"
    return int(numbers[0]), "ok"
