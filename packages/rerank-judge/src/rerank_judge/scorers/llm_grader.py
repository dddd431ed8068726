"""A language model that grades pairs from 0 to 3 by a prompt, behind an OpenAI-compatible endpoint.

The prompt is a template file with ``{query}`` and ``{passage}``; the package's own follows the structure of published
graded judges: grades, how to choose, the pair, steps, and one line of output.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ir_shared.console import UserError

from rerank_judge.labeling import Scale
from rerank_judge.scorers.base import NOTHING_DONE, Batch, Pair, PairKey, ScoredPair, in_order
from rerank_judge.scorers.card import JudgeCard, text_hash
from rerank_judge.scorers.endpoint import ChatEndpoint
from rerank_judge.scorers.grades import parse_grade
from rerank_judge.scorers.texts import clean_text

__all__ = ["GraderScorer", "GraderSettings", "read_template"]

_SLOT = re.compile(r"\{(query|passage)\}")
_ROUNDS = 4
"""Answers of each thread that make a batch: one slow answer then holds up little, and a crash loses little."""
_LONGEST_TEXT = 100_000
"""Characters of a passage that are sent; what a model reads of a longer one is not for us to know."""


@dataclass(frozen=True)
class GraderSettings:
    """How a model is asked; defaults of the sampling are those of the published graded judge.

    Attributes:
        base_url: address of the endpoint, up to and including the version.
        template: template file; None takes the package's own.
        key_variable: environment variable with the key.
        temperature: of the sampling.
        top_p: of the sampling.
        frequency_penalty: of the sampling.
        presence_penalty: of the sampling.
        max_tokens: longest answer.
        concurrency: requests at one time.
        retries: how often a request is repeated.
        backoff_s: first wait before a repetition, in seconds; doubled each time.
    """

    base_url: str
    template: str | None = None
    key_variable: str = "OPENAI_API_KEY"
    temperature: float = 0.0
    top_p: float = 1.0
    frequency_penalty: float = 0.5
    presence_penalty: float = 0.0
    max_tokens: int = 100
    concurrency: int = 4
    retries: int = 4
    backoff_s: float = 1.0


class GraderScorer:
    """Grades 0 to 3 as scores; an answer that holds none is a status and never a grade.

    Args:
        model: the model's name at the endpoint.
        settings: how it is asked.
        judge_id: the judge's name. None takes the model's.
        family: the judge's family.

    Raises:
        UserError: a setting is out of range, or the template cannot be used.
    """

    scale: Scale = "logit"

    def __init__(
        self, model: str, settings: GraderSettings, *, judge_id: str | None = None, family: str = "LLM grader"
    ) -> None:
        if settings.concurrency < 1 or settings.retries < 0 or settings.backoff_s < 0 or settings.max_tokens < 1:
            raise UserError("grader: concurrency and max_tokens must be positive, retries and backoff not negative")
        self._settings = settings
        self._template = read_template(settings.template)
        self._model = model
        self._sampling: dict[str, float] = {
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "frequency_penalty": settings.frequency_penalty,
            "presence_penalty": settings.presence_penalty,
            "max_tokens": settings.max_tokens,
        }
        name = judge_id or model.rsplit("/", 1)[-1]
        self.judge_id = name
        self.card = JudgeCard(
            name,
            "grader",
            family,
            self.scale,
            checkpoint=model,
            checkpoint_hash=model,
            prompt_hash=text_hash(self._template),
            settings=self._sampling,
        )

    def score(self, pairs: Sequence[Pair]) -> Iterator[ScoredPair]:
        """Scores pairs, in their order."""
        return in_order(self.batches(pairs))

    def batches(self, pairs: Sequence[Pair], done: Container[PairKey] = NOTHING_DONE) -> Iterator[Batch]:
        """Grades pairs a few at a time, in their order, leaving out those that are done."""
        todo = [(i, pair) for i, pair in enumerate(pairs) if (pair.qid, pair.docid) not in done]
        settings = self._settings
        endpoint = ChatEndpoint(
            settings.base_url,
            key_variable=settings.key_variable,
            retries=settings.retries,
            backoff_s=settings.backoff_s,
        )
        with endpoint, ThreadPoolExecutor(settings.concurrency) as threads:
            size = settings.concurrency * _ROUNDS
            for start in range(0, len(todo), size):
                some = todo[start : start + size]
                graded = threads.map(lambda item: self._grade(endpoint, item[1]), some)
                yield [(i, scored) for (i, _), scored in zip(some, graded, strict=True)]

    def _grade(self, endpoint: ChatEndpoint, pair: Pair) -> ScoredPair:
        texts = {"query": clean_text(pair.query), "passage": clean_text(pair.document[:_LONGEST_TEXT])}
        # One pass, so that braces within the texts are not taken for slots.
        prompt = _SLOT.sub(lambda slot: texts[slot[1]], self._template)
        message = {"role": "user", "content": prompt}
        completion = endpoint.complete({"model": self._model, "messages": [message], **self._sampling})
        if completion.status != "ok":
            return ScoredPair(pair.qid, pair.docid, math.nan, completion.status)
        grade, status = parse_grade(completion.text)
        score = math.nan if grade is None else float(grade)
        return ScoredPair(pair.qid, pair.docid, score, status, completion.text)


def read_template(path: str | Path | None) -> str:
    """Reads a prompt template; None reads the package's own.

    Raises:
        UserError: it cannot be read, or lacks a slot.
    """
    if path is None:
        return files("rerank_judge.scorers").joinpath("templates", "graded.txt").read_text(encoding="utf-8")
    try:
        template = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: the template cannot be read ({error})") from error
    lacking = {"query", "passage"} - set(_SLOT.findall(template))
    if lacking:
        raise UserError(f"{path}: the template lacks {' and '.join(f'{{{slot}}}' for slot in sorted(lacking))}")
    return template
