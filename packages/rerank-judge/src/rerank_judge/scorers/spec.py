"""Makes a judge from its SPEC, ``kind:path-or-hub-id[?key=value&...]``."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ir_shared.console import UserError

from rerank_judge.scorers.base import PairScorer
from rerank_judge.scorers.lexical import LexicalScorer
from rerank_judge.scorers.precomputed import PrecomputedScorer

__all__ = ["KINDS", "JudgeSpec", "load_scorer", "parse_spec"]

T = TypeVar("T")

KINDS: dict[str, tuple[str, ...]] = {
    "monot5": ("true", "false"),
    "seqcls": ("template", "base"),
    "rank1": ("max_new_tokens", "engine"),
    "grader": (
        "base_url",
        "template",
        "key_env",
        "temperature",
        "top_p",
        "frequency_penalty",
        "presence_penalty",
        "max_tokens",
        "concurrency",
        "retries",
        "backoff",
    ),
    "lexical": (),
    "file": (),
}
"""Options of each kind of judge; those with a model also take ``name`` and ``family``."""

_NAMES = ("name", "family")
_MODELS = ("monot5", "seqcls", "rank1", "grader")


@dataclass(frozen=True)
class JudgeSpec:
    """A SPEC in its parts.

    Attributes:
        kind: one of :data:`KINDS`.
        target: folder, hub id, file or model; empty for ``lexical``.
        options: what stands behind the question mark.
    """

    kind: str
    target: str
    options: dict[str, str]

    def number(self, name: str, default: T, convert: Callable[[str], T]) -> T:
        """An option as a number.

        Raises:
            UserError: it is none.
        """
        if name not in self.options:
            return default
        try:
            return convert(self.options[name])
        except ValueError:
            raise UserError(f"judge option {name}={self.options[name]!r}: not a number of the right kind") from None

    def choice(self, name: str, default: str, values: tuple[str, ...]) -> str:
        """An option out of a few.

        Raises:
            UserError: it is none of them.
        """
        value = self.options.get(name, default)
        if value not in values:
            raise UserError(f"judge option {name}={value!r}: use {' or '.join(values)}")
        return value


def parse_spec(spec: str) -> JudgeSpec:
    """Takes a SPEC apart.

    Raises:
        UserError: an unknown kind or option, an option without a value, or a target that is missing or too much.
    """
    head, _, tail = spec.partition("?")
    kind, colon, target = head.partition(":")
    if kind not in KINDS or bool(target) == (kind == "lexical") or (kind == "lexical" and colon):
        raise UserError(
            f"unknown judge {spec!r}; use lexical or file:PATH, or a model behind monot5:, seqcls:, rank1: or grader:"
        )
    allowed = KINDS[kind] + (_NAMES if kind in _MODELS else ())
    options: dict[str, str] = {}
    for part in filter(None, tail.split("&")):
        name, sign, value = part.partition("=")
        if name not in allowed or not sign or not value:
            known = ", ".join(allowed) or "none"
            raise UserError(f"judge {spec!r}: option {part!r} is no NAME=VALUE; the names of {kind} are: {known}")
        options[name] = value
    if len(options.get("name", "x").split()) != 1:
        raise UserError(f"judge {spec!r}: name must be one word without blanks")
    return JudgeSpec(kind, target, options)


def load_scorer(
    spec: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    max_length: int | None = None,
    batch_tokens: int | None = None,
    cpu_fallback: bool = False,
) -> PairScorer:
    """Makes a judge.

    Args:
        spec: ``monot5:``, ``seqcls:``, ``rank1:`` with a folder or hub id; ``grader:MODEL?base_url=ADDRESS``;
            ``file:PATH`` for scores or labels that are there; or ``lexical``. Nothing is downloaded unless a hub id is
            given. Options follow a question mark, see :data:`KINDS`.
        device: "auto", "cpu", "cuda" or "cuda:N".
        dtype: "auto", "float32", "float16" or "bfloat16".
        max_length: longest input in tokens. None takes what the kind was trained with.
        batch_tokens: most tokens of a batch. None takes a default of the kind and the device.
        cpu_fallback: whether the CPU takes over where one pair alone exceeds the GPU's memory.

    Raises:
        UserError: the SPEC, the model or the file cannot be used, or an extra is not installed.
    """
    parsed = parse_spec(spec)
    if parsed.kind == "lexical":
        return LexicalScorer()
    if parsed.kind == "file":
        return PrecomputedScorer(parsed.target)
    if max_length is not None and max_length < 1:
        raise UserError(f"max_length {max_length}: must be positive")
    if parsed.kind == "grader":
        return _grader(parsed)
    return _with_model(
        parsed,
        device,
        dtype,
        max_length=max_length,
        batch_tokens=batch_tokens,
        cpu_fallback=cpu_fallback,
        judge_id=parsed.options.get("name"),
        family=parsed.options.get("family"),
    )


def _with_model(spec: JudgeSpec, device: str, dtype: str, **shared: Any) -> PairScorer:
    from rerank_judge.scorers.checkpoints import load_checkpoint, require_models_extra

    require_models_extra(f"the judge {spec.kind}")
    if spec.kind == "seqcls":
        return _seqcls(spec, device, dtype, **shared)
    if spec.kind == "rank1":
        return _rank1(spec, device, dtype, **shared)
    from rerank_judge.scorers.monot5 import MonoT5Scorer

    checkpoint = load_checkpoint(spec.target, "monot5", device=device, dtype=dtype)
    answers = (spec.options.get("true", "true"), spec.options.get("false", "false"))
    return MonoT5Scorer(checkpoint, answers=answers, **shared)


def _seqcls(spec: JudgeSpec, device: str, dtype: str, **shared: Any) -> PairScorer:
    from rerank_judge.scorers.adapters import load_classifier
    from rerank_judge.scorers.sequence_classifier import SequenceClassifierScorer

    default = "rankllama" if "rankllama" in spec.target.lower() else "pair"
    template = spec.choice("template", default, ("rankllama", "pair"))
    checkpoint = load_classifier(spec.target, base=spec.options.get("base"), device=device, dtype=dtype)
    return SequenceClassifierScorer(checkpoint, template="rankllama" if template == "rankllama" else "pair", **shared)


def _rank1(spec: JudgeSpec, device: str, dtype: str, **shared: Any) -> PairScorer:
    from rerank_judge.scorers.reasoning import load_reasoner

    engine = spec.choice("engine", "transformers", ("transformers", "vllm"))
    budget = spec.number("max_new_tokens", 2_000, int)
    return load_reasoner(spec.target, engine=engine, max_new_tokens=budget, device=device, dtype=dtype, **shared)


def _grader(spec: JudgeSpec) -> PairScorer:
    from rerank_judge.scorers.llm_grader import GraderScorer, GraderSettings

    options = spec.options
    base_url = options.get("base_url") or os.environ.get("OPENAI_BASE_URL")
    if not base_url:
        raise UserError(
            f"grader:{spec.target}: give the endpoint with ?base_url=http://HOST:PORT/v1 or in OPENAI_BASE_URL"
        )
    settings = GraderSettings(
        base_url=base_url,
        template=options.get("template"),
        key_variable=options.get("key_env", GraderSettings.key_variable),
        temperature=spec.number("temperature", GraderSettings.temperature, float),
        top_p=spec.number("top_p", GraderSettings.top_p, float),
        frequency_penalty=spec.number("frequency_penalty", GraderSettings.frequency_penalty, float),
        presence_penalty=spec.number("presence_penalty", GraderSettings.presence_penalty, float),
        max_tokens=spec.number("max_tokens", GraderSettings.max_tokens, int),
        concurrency=spec.number("concurrency", GraderSettings.concurrency, int),
        retries=spec.number("retries", GraderSettings.retries, int),
        backoff_s=spec.number("backoff", GraderSettings.backoff_s, float),
    )
    family = options.get("family", "LLM grader")
    return GraderScorer(spec.target, settings, judge_id=options.get("name"), family=family)
