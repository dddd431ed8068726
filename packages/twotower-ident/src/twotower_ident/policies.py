"""Logging policies: how documents are scored for display, and how a session's order departs from that order.

A policy is two independent parts. Scores (``ExpertPolicy``, ``LearnedPolicy``) give every query one fixed order; a
sampler (``EpsilonGreedy``, ``Gumbel``, ``PivotSwap``) draws the order of one session from it. Without the second part
every document keeps its position, and the log holds no swap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from twotower_ident.cells import FloatArray, IntArray
from twotower_ident.letor import RankingData

__all__ = ["EpsilonGreedy", "ExpertPolicy", "Gumbel", "LearnedPolicy", "PivotSwap", "RankScores", "Sampler"]

_LABEL_RANGE = 4.0
_CHUNK = 2_500_000
"""Ranked documents that are held at a time."""


@runtime_checkable
class RankScores(Protocol):
    """Scores documents for display, once for each (query, document)."""

    def scores(self, data: RankingData, rng: np.random.Generator) -> Float64[FloatArray, " documents"]:
        """Scores, shape [N]; the highest of a query is shown first."""
        ...


@dataclass(frozen=True)
class ExpertPolicy:
    """Ranks by the label itself, mixed with noise: sign(α)|α|·label + (1 − |α|)·U(0, 4).

    Attributes:
        strength: α; 1 shows the best first, −1 the worst, 0 is a random order that stays the same in every session.
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_strength(self.strength)

    def scores(self, data: RankingData, rng: np.random.Generator) -> Float64[FloatArray, " documents"]:
        """Scores, shape [N]."""
        return _blend(data.labels, self.strength, rng)


@dataclass(frozen=True)
class LearnedPolicy:
    """Ranks by a model of the label from all features, mixed with noise as :class:`ExpertPolicy` does.

    Attributes:
        model: features [N, F] to predicted labels [N].
        strength: α.
    """

    model: Callable[[FloatArray], FloatArray]
    strength: float = 1.0

    def __post_init__(self) -> None:
        _check_strength(self.strength)

    @classmethod
    def fit(
        cls, data: RankingData, kind: Literal["linear", "deep"], *, strength: float = 1.0, seed: int = 0
    ) -> LearnedPolicy:
        """Fits the labels by pointwise squared error.

        Args:
            data: training documents.
            kind: ``linear`` (least squares with intercept, exact) or ``deep`` (2 x 32 ELU, dropout 0.1; needs the
                extra ``deep``).
            strength: α; with 0 nothing is trained.
            seed: of the deep model.
        """
        if strength == 0:
            return cls(lambda features: np.zeros(len(features)), strength)
        if kind == "linear":
            return cls(_least_squares(data.features, data.labels), strength)
        from twotower_ident.regression import fit_regressor

        return cls(fit_regressor(data.features, data.labels, seed=seed), strength)

    def scores(self, data: RankingData, rng: np.random.Generator) -> Float64[FloatArray, " documents"]:
        """Scores, shape [N]."""
        return _blend(self.model(data.features), self.strength, rng)


@runtime_checkable
class Sampler(Protocol):
    """Draws the order of a session. Documents are named by their rank in the fixed order, from 0."""

    def place(
        self, scores: Float64[FloatArray, "sessions n"], rng: np.random.Generator
    ) -> Int64[IntArray, "sessions n"]:
        """Which document is at each position: scores in falling order [S, n] to documents by position [S, n]."""
        ...

    def count(
        self, scores: Float64[FloatArray, "queries n"], sessions: Int64[IntArray, " queries"], rng: np.random.Generator
    ) -> Int64[IntArray, "queries n n"]:
        """How often each document takes each position.

        Args:
            scores: of each query, falling, shape [Q, n].
            sessions: of each query, shape [Q].
            rng: source of chance.

        Returns:
            Counts, shape [Q, n documents, n positions].
        """
        ...

    def placement(self, n: int) -> Float64[FloatArray, "{n} {n}"]:
        """Probability of each document at each position, shape [n, n].

        Raises:
            UserError: there is no closed form.
        """
        ...


@dataclass(frozen=True)
class EpsilonGreedy:
    """With probability τ a session is a uniform shuffle of all documents, else the fixed order.

    Attributes:
        temperature: τ in [0, 1].
    """

    temperature: float

    def __post_init__(self) -> None:
        _check_probability(self.temperature)

    def place(
        self, scores: Float64[FloatArray, "sessions n"], rng: np.random.Generator
    ) -> Int64[IntArray, "sessions n"]:
        """Documents by position, [S, n]."""
        docs = _fixed(*scores.shape)
        shuffled = rng.random(len(docs)) < self.temperature
        docs[shuffled] = rng.permuted(docs[shuffled], axis=1)
        return docs

    def count(
        self, scores: Float64[FloatArray, "queries n"], sessions: Int64[IntArray, " queries"], rng: np.random.Generator
    ) -> Int64[IntArray, "queries n n"]:
        """Counts, [Q, n, n]; only the shuffled sessions are drawn one by one."""
        shuffled = rng.binomial(sessions, self.temperature)
        counts = _count_drawn(lambda chunk: rng.permuted(_fixed(*chunk.shape), axis=1), scores, shuffled)
        ranks = np.arange(scores.shape[1])
        counts[:, ranks, ranks] += (sessions - shuffled)[:, None]
        return counts

    def placement(self, n: int) -> Float64[FloatArray, "{n} {n}"]:
        """(1 − τ) I + τ/n, [n, n]."""
        return (1 - self.temperature) * np.eye(n) + self.temperature / n


@dataclass(frozen=True)
class Gumbel:
    """Every session ranks by scores + τ·Gumbel noise: a Plackett–Luce draw of softmax(scores/τ).

    Attributes:
        temperature: τ ≥ 0.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise UserError(f"temperature {self.temperature:g}: Gumbel noise takes 0 or more")

    def place(
        self, scores: Float64[FloatArray, "sessions n"], rng: np.random.Generator
    ) -> Int64[IntArray, "sessions n"]:
        """Documents by position, [S, n]."""
        noisy = scores + self.temperature * rng.gumbel(size=scores.shape)
        return np.argsort(-noisy, axis=1, kind="stable")

    def count(
        self, scores: Float64[FloatArray, "queries n"], sessions: Int64[IntArray, " queries"], rng: np.random.Generator
    ) -> Int64[IntArray, "queries n n"]:
        """Counts, [Q, n, n]."""
        return _count_drawn(lambda chunk: self.place(chunk, rng), scores, sessions)

    def placement(self, n: int) -> Float64[FloatArray, "{n} {n}"]:
        """Only without noise; with noise it would be a sum over all orders."""
        if self.temperature == 0:
            return np.eye(n)
        raise UserError("gumbel: placement has no closed form; simulate sessions, or take epsilon-greedy or pivot-swap")


@dataclass(frozen=True)
class PivotSwap:
    """With probability τ the document at the pivot changes places with one at another position, drawn uniformly.

    Attributes:
        temperature: τ in [0, 1].
        pivot: the position that takes part in every swap, from 1.
    """

    temperature: float
    pivot: int = 1

    def __post_init__(self) -> None:
        _check_probability(self.temperature)
        if self.pivot < 1:
            raise UserError(f"pivot {self.pivot}: positions count from 1")

    def place(
        self, scores: Float64[FloatArray, "sessions n"], rng: np.random.Generator
    ) -> Int64[IntArray, "sessions n"]:
        """Documents by position, [S, n]."""
        docs = _fixed(*scores.shape)
        n, pivot = docs.shape[1], self.pivot - 1
        if pivot >= n or n == 1:
            return docs
        swapped = np.flatnonzero(rng.random(len(docs)) < self.temperature)
        other = rng.integers(0, n - 1, len(swapped))
        other += other >= pivot
        docs[swapped, pivot], docs[swapped, other] = other, pivot
        return docs

    def count(
        self, scores: Float64[FloatArray, "queries n"], sessions: Int64[IntArray, " queries"], rng: np.random.Generator
    ) -> Int64[IntArray, "queries n n"]:
        """Counts, [Q, n, n]."""
        return _count_drawn(lambda chunk: self.place(chunk, rng), scores, sessions)

    def placement(self, n: int) -> Float64[FloatArray, "{n} {n}"]:
        """The pivot keeps its place with 1 − τ, every other document with 1 − τ/(n − 1); [n, n]."""
        matrix = np.eye(n)
        pivot = self.pivot - 1
        if pivot >= n or n == 1:
            return matrix
        each = self.temperature / (n - 1)
        matrix[np.arange(n), np.arange(n)] = 1 - each
        matrix[pivot], matrix[:, pivot] = each, each
        matrix[pivot, pivot] = 1 - self.temperature
        return matrix


def _fixed(rows: int, n: int) -> IntArray:
    return np.tile(np.arange(n), (rows, 1))


def _count_drawn(
    draw: Callable[[FloatArray], IntArray],
    scores: FloatArray,
    sessions: IntArray,
) -> IntArray:
    """Draws sessions in chunks of consecutive ones and counts documents by position, [Q, n, n]."""
    n_queries, n = scores.shape
    counts = np.zeros((n_queries, n * n), dtype=np.int64)
    query = np.repeat(np.arange(n_queries), sessions)
    for chunk in np.array_split(query, max(1, -(-len(query) * n // _CHUNK))):
        if not len(chunk):
            continue
        docs = draw(scores[chunk])
        first, last = chunk[0], chunk[-1] + 1
        cell = ((chunk - first) * n * n)[:, None] + docs * n + np.arange(n)
        size = (last - first) * n * n
        counts[first:last] += np.bincount(cell.reshape(-1), minlength=size).reshape(-1, n * n)
    return counts.reshape(n_queries, n, n)


def _blend(values: FloatArray, strength: float, rng: np.random.Generator) -> FloatArray:
    noise = rng.uniform(0.0, _LABEL_RANGE, len(values))
    return strength * values + (1 - abs(strength)) * noise


def _least_squares(features: FloatArray, labels: FloatArray) -> Callable[[FloatArray], FloatArray]:
    mean, level = features.mean(axis=0), float(labels.mean())
    weights = np.linalg.lstsq(features - mean, labels - level, rcond=None)[0]
    return lambda other: (other - mean) @ weights + level


def _check_strength(strength: float) -> None:
    if not -1 <= strength <= 1:
        raise UserError(f"strength {strength:g}: a policy's strength lies in [-1, 1]")


def _check_probability(temperature: float) -> None:
    if not 0 <= temperature <= 1:
        raise UserError(f"temperature {temperature:g}: the share of changed sessions lies in [0, 1]")
