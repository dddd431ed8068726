"""Judges: what turns (query, document) pairs into scores.

:func:`load_scorer` makes one from a SPEC. Judges with a model load torch and transformers only when they are made.
"""

from rerank_judge.scorers.base import (
    ANSWERED,
    Pair,
    PairScorer,
    ScoredPair,
    Status,
    in_order,
    read_pairs,
    score_run,
)
from rerank_judge.scorers.card import JudgeCard
from rerank_judge.scorers.lexical import LexicalScorer
from rerank_judge.scorers.precomputed import JudgeFile, PrecomputedScorer, read_judge
from rerank_judge.scorers.spec import JudgeSpec, load_scorer, parse_spec

__all__ = [
    "ANSWERED",
    "JudgeCard",
    "JudgeFile",
    "JudgeSpec",
    "LexicalScorer",
    "Pair",
    "PairScorer",
    "PrecomputedScorer",
    "ScoredPair",
    "Status",
    "in_order",
    "load_scorer",
    "parse_spec",
    "read_judge",
    "read_pairs",
    "score_run",
]
