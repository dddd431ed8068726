"""A judge's card: all that its scores depend on, as one record with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from rerank_judge.labeling import Scale

__all__ = ["JudgeCard", "text_hash"]

_NAMES_ONLY = ("judge_id", "family", "checkpoint")


@dataclass(frozen=True)
class JudgeCard:
    """What made a score.

    Attributes:
        judge_id: name of the judge, one word.
        kind: kind of judge, as in its SPEC.
        family: judges and systems of one family are related, see the bias report.
        scale: what the scores are.
        checkpoint: the model, by the name of its folder or hub id.
        checkpoint_hash: hash of the model's files, or the revision on the hub.
        dtype: number format of the weights.
        max_length: longest input in tokens.
        prompt_hash: hash of the prompt or template.
        token_ids: ids of the answer tokens by word.
        settings: whatever else decides a score.
    """

    judge_id: str
    kind: str
    family: str
    scale: Scale
    checkpoint: str | None = None
    checkpoint_hash: str | None = None
    dtype: str | None = None
    max_length: int | None = None
    prompt_hash: str | None = None
    token_ids: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, str | int | float] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for two cards exactly if their scores may be mixed; names do not take part."""
        text = json.dumps(self._identity(), sort_keys=True, ensure_ascii=False)
        return text_hash(text)

    def differences(self, other: Mapping[str, Any]) -> list[str]:
        """Says in which fields a stored card (as :meth:`to_json` gives it) differs, names aside."""
        mine = self._identity()
        return [
            f"{name} {_shown(other.get(name))} there, {_shown(mine.get(name))} here"
            for name in mine
            if other.get(name) != mine.get(name)
        ]

    def to_json(self, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
        """The card as a JSON object.

        Args:
            counts: pairs by status, to be shown with it.
        """
        shown = {"fingerprint": self.fingerprint} | asdict(self)
        return shown if counts is None else shown | {"status": dict(sorted(counts.items()))}

    def _identity(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name not in _NAMES_ONLY}


def text_hash(text: str) -> str:
    """The first 16 hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
