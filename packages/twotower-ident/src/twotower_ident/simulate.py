"""Simulated click logs, at three levels: expectations of cells, sampled cells, and single sessions.

All three have one distribution. Cells are what estimation needs, and drawing them directly costs a fraction of drawing
sessions: the fixed order needs no permutation, and the clicks of a cell are one binomial draw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from ir_shared.console import UserError
from jaxtyping import Float64, Int, Int64
from numpy.typing import NDArray

from twotower_ident.cells import CellTable, FloatArray, IntArray
from twotower_ident.letor import RankingData
from twotower_ident.policies import RankScores, Sampler
from twotower_ident.user_models import UserModel

__all__ = [
    "ClickWorld",
    "cell_frame",
    "expected_cells",
    "iter_sessions",
    "make_world",
    "pair_names",
    "simulate_cells",
    "simulate_sessions",
]

_SESSIONS_EACH = 50_000
_QUERIES_EACH = 4_096


@dataclass(frozen=True, eq=False)
class ClickWorld:
    """Everything that clicks depend on.

    Attributes:
        offsets: pairs of query q are ``offsets[q]:offsets[q + 1]``, shape [Q + 1].
        relevance: relevance logit of each pair, shape [P].
        scores: the policy's score of each pair, shape [P]; the highest is shown first, the earlier wins a tie.
        position_bias: bias logit of each position, shape [K]; only the first K documents are shown.
        qids: names of the queries.
    """

    offsets: Int64[IntArray, " bounds"]
    relevance: Float64[FloatArray, " pairs"]
    scores: Float64[FloatArray, " pairs"]
    position_bias: Float64[FloatArray, " positions"]
    qids: tuple[str, ...]

    @property
    def n_positions(self) -> int:
        """K, how many documents of a query are shown."""
        return len(self.position_bias)

    @property
    def sizes(self) -> Int64[IntArray, " queries"]:
        """Pairs of each query, shape [Q]."""
        return np.diff(self.offsets)

    @property
    def pair_query(self) -> Int64[IntArray, " pairs"]:
        """Query of each pair, shape [P]."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    @property
    def list_lengths(self) -> Int64[IntArray, " pairs"]:
        """Documents that a session shows of each pair's query, shape [P]."""
        return np.minimum(self.sizes, self.n_positions)[self.pair_query]

    def click_probability(
        self, pair: Int64[IntArray, "*shape"], position: Int[NDArray[np.integer], "*shape"]
    ) -> Float64[FloatArray, "*shape"]:
        """σ(θ + γ) of cells; position counts from 1."""
        from scipy.special import expit

        probability: FloatArray = expit(self.position_bias[position - 1] + self.relevance[pair])
        return probability


def make_world(
    data: RankingData, policy: RankScores, user: UserModel, *, seed: int = 0, k: int | None = None
) -> ClickWorld:
    """Users before a ranking that a policy scored.

    Args:
        data: documents whose labels the users go by.
        policy: how documents are scored for display.
        user: who clicks.
        seed: of the policy's noise, drawn once for each document.
        k: how many documents are shown; all where not given.
    """
    longest = int(data.sizes.max())
    return ClickWorld(
        offsets=data.offsets,
        relevance=user.relevance(data.labels),
        scores=policy.scores(data, np.random.default_rng(seed)),
        position_bias=user.position_bias(longest if k is None else min(k, longest)),
        qids=data.qids,
    )


def expected_cells(world: ClickWorld, sampler: Sampler, *, sessions: float = 1.0) -> CellTable:
    """The population limit: expected impressions and clicks of every cell that the policy can show.

    Args:
        world: users and scores; queries are equally frequent.
        sampler: must know its placement probabilities in closed form.
        sessions: the scale; with 1, impressions are probabilities.

    Raises:
        UserError: the sampler has no closed form.
    """
    per_query = sessions / len(world.sizes)
    blocks = []
    for docs in _blocks(world):
        shown = sampler.placement(docs.shape[1])[:, : world.n_positions]
        row, column = np.nonzero(shown)
        impressions = np.broadcast_to(per_query * shown[row, column], (len(docs), len(row)))
        position = np.broadcast_to(column + 1, impressions.shape)
        blocks.append([part.reshape(-1) for part in (docs[:, row], position, impressions)])
    pair, position, impressions = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    clicks = impressions * world.click_probability(pair, position)
    return _table(world, pair, position, impressions, clicks, np.full(len(world.sizes), per_query))


def simulate_cells(world: ClickWorld, sampler: Sampler, *, sessions: int, seed: int) -> CellTable:
    """Sampled impressions and clicks of cells, distributed as if every session had been drawn.

    Args:
        world: users and scores; a session's query is drawn uniformly.
        sampler: how a session's order departs from the fixed one.
        sessions: how many sessions.
        seed: the same seed gives the same cells.
    """
    rng = np.random.default_rng(seed)
    drawn = _sessions_per_query(world, sessions, rng)
    blocks = []
    for docs in _blocks(world):
        counts = sampler.count(world.scores[docs], drawn[world.pair_query[docs[:, 0]]], rng)[..., : world.n_positions]
        query, row, column = np.nonzero(counts)
        blocks.append((docs[query, row], column + 1, counts[query, row, column]))
    pair, position, impressions = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    clicks = rng.binomial(impressions, world.click_probability(pair, position))
    return _table(world, pair, position, impressions, clicks, drawn)


def iter_sessions(world: ClickWorld, sampler: Sampler, *, sessions: int, seed: int) -> Iterator[pl.DataFrame]:
    """Single sessions, in frames of some fifty thousand: one row for each shown document.

    Columns: ``session`` (from 0), ``qid``, ``docid`` (``<qid>-<index in the query>``), ``position`` (from 1),
    ``click``. Sessions of a query follow each other.
    """
    rng = np.random.default_rng(seed)
    drawn = _sessions_per_query(world, sessions, rng)
    first = np.concatenate([[0], np.cumsum(drawn)])
    names = pair_names(world)
    for docs in _blocks(world):
        query = world.pair_query[docs[:, 0]]
        row = np.repeat(np.arange(len(docs)), drawn[query])
        number = first[query[row]] + _within(row)
        for part in range(0, len(row), _SESSIONS_EACH):
            rows = row[part : part + _SESSIONS_EACH]
            placed = sampler.place(world.scores[docs[rows]], rng)[:, : world.n_positions]
            pair = np.take_along_axis(docs[rows], placed, axis=1)
            position = np.broadcast_to(np.arange(1, pair.shape[1] + 1), pair.shape)
            click = rng.random(pair.shape) < world.click_probability(pair, position)
            yield names[pair.reshape(-1)].select(
                pl.Series("session", np.repeat(number[part : part + _SESSIONS_EACH], pair.shape[1])),
                "qid",
                "docid",
                pl.Series("position", position.reshape(-1).astype(np.int32)),
                pl.Series("click", click.reshape(-1).astype(np.int8)),
            )


def simulate_sessions(world: ClickWorld, sampler: Sampler, *, sessions: int, seed: int) -> pl.DataFrame:
    """All sessions of :func:`iter_sessions` in one frame."""
    return pl.concat(list(iter_sessions(world, sampler, sessions=sessions, seed=seed)))


def pair_names(world: ClickWorld) -> pl.DataFrame:
    """Columns ``qid`` and ``docid`` of each pair, P rows, as sessions name them."""
    query = world.pair_query
    qids = pl.Series("qid", world.qids, dtype=pl.String).gather(query)
    index = pl.Series("index", np.arange(len(query)) - world.offsets[query])
    return pl.DataFrame([qids, index]).select("qid", pl.format("{}-{}", "qid", "index").alias("docid"))


def cell_frame(world: ClickWorld, cells: CellTable) -> pl.DataFrame:
    """Cells as an aggregated log: ``qid``, ``docid``, ``position``, ``impressions``, ``clicks``."""
    return pair_names(world)[cells.pair].with_columns(
        pl.Series("position", cells.position),
        pl.Series("impressions", cells.impressions).cast(pl.Int64),
        pl.Series("clicks", cells.clicks).cast(pl.Int64),
    )


def _sessions_per_query(world: ClickWorld, sessions: int, rng: np.random.Generator) -> IntArray:
    if sessions < 1:
        raise UserError(f"sessions {sessions}: simulate at least one session")
    n = len(world.sizes)
    return rng.multinomial(sessions, np.full(n, 1.0 / n))


def _blocks(world: ClickWorld) -> Iterator[IntArray]:
    """Queries of one length together: their pairs in the fixed order of the policy, shape [B, n]."""
    order = np.lexsort((-world.scores, world.pair_query))
    for n in np.unique(world.sizes[world.sizes > 0]):
        queries = np.flatnonzero(world.sizes == n)
        for start in range(0, len(queries), _QUERIES_EACH):
            chosen = queries[start : start + _QUERIES_EACH]
            yield order[world.offsets[chosen][:, None] + np.arange(n)]


def _within(runs: IntArray) -> IntArray:
    """Counts from 0 within each run of equal values."""
    starts = np.flatnonzero(np.diff(runs, prepend=-1))
    return np.arange(len(runs)) - np.repeat(starts, np.diff(starts, append=len(runs)))


def _table(
    world: ClickWorld,
    pair: IntArray,
    position: IntArray,
    impressions: FloatArray | IntArray,
    clicks: FloatArray | IntArray,
    sessions: FloatArray | IntArray,
) -> CellTable:
    order = np.argsort(pair * (world.n_positions + 1) + position)
    return CellTable(
        pair=pair[order],
        position=position[order].astype(np.int32),
        impressions=impressions[order].astype(np.float64),
        clicks=clicks[order].astype(np.float64),
        pair_query=world.pair_query,
        n_positions=world.n_positions,
        query_sessions=sessions.astype(np.float64),
    )
