"""The claim that re-rankers match or beat the LLM judge, counted in every way that the paper's sentence can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from ir_shared.claims import Context, Measurement
from jaxtyping import Float64

from rerank_judge.agreement import topic_counts, topic_kappa
from rerank_judge.bootstrap import percentile_interval, topic_weights
from rerank_judge.calibration import select_threshold
from rerank_judge.claims.plots import plot_cells
from rerank_judge.claims.published import UMBRELA, YEARS, year
from rerank_judge.collection import Collection, FloatArray, IntArray
from rerank_judge.judged import JudgedCollection
from rerank_judge.labeling import LabelSet, ScoreSet, direct, human_labels, threshold
from rerank_judge.leaderboard import leaderboard
from rerank_judge.ordering import tau_b_many

__all__ = ["best_reranker", "best_shuffled"]

_DRAWS = 1000
_PAPER_YEARS = 5
_METRICS = ("AP@100", "RR@10", "nDCG@10")
_DIGITS = 3
"""Compared as the paper prints them: only so can two judges be equal."""

Strategy = Literal["direct", "thresholds"]


@dataclass(frozen=True, eq=False)
class _Cell:
    """One year and measure.

    Attributes:
        strategy: how the re-rankers' scores become labels.
        name: year and measure.
        measure: the measure.
        best: the best re-ranker's value, on all topics in the first row and on resamples in the others, [1 + B].
        llm: UMBRELA's, [1 + B].
        winner: the best re-ranker on all topics.
    """

    strategy: Strategy
    name: str
    measure: str
    best: Float64[FloatArray, " draws"]
    llm: Float64[FloatArray, " draws"]
    winner: str


def best_reranker(context: Context) -> Measurement:
    """Share of the decided cells in which the best re-ranker is at least as good as UMBRELA, to three decimals."""
    return _measure(context, lambda _, scores: scores)


def best_shuffled(context: Context) -> Measurement:
    """The same with every re-ranker's scores shuffled among the pairs of each topic."""
    return _measure(context, _Shuffle(context.seed))


@dataclass(frozen=True)
class _Shuffle:
    seed: int

    def __call__(self, collection: Collection, scores: ScoreSet) -> ScoreSet:
        noise = np.random.default_rng(self.seed).random(collection.n_pairs)
        shuffled = np.lexsort((noise, collection.pair_topic))
        return replace(scores, scores=scores.scores[shuffled])


def _measure(context: Context, change: Callable[[Collection, ScoreSet], ScoreSet]) -> Measurement:
    years = {name: year(context, name, runs=name == "dl22") for name in YEARS}
    changed = {name: _changed(one, change) for name, one in years.items()}
    cells = _cells(changed, context.seed)
    won = np.stack([np.round(cell.best, _DIGITS) >= np.round(cell.llm, _DIGITS) for cell in cells]).mean(axis=0)
    interval = percentile_interval(won[1:].astype(np.float64))
    rows = [(f"{cell.name}, {cell.strategy}", float(cell.llm[0]), float(cell.best[0])) for cell in cells]
    return Measurement(
        value=float(won[0]),
        data=f"{len(cells)} of the paper's {2 * _PAPER_YEARS * 4} cells, DL22 and DL23 (real)",
        interval=(interval.low, interval.high),
        details=_counts(cells) | _values(cells),
        figures=plot_cells(context.folder, rows),
    )


def _changed(judged: JudgedCollection, change: Callable[[Collection, ScoreSet], ScoreSet]) -> JudgedCollection:
    judges = {
        name: change(judged.collection, known) if isinstance(known, ScoreSet) else known
        for name, known in judged.judges.items()
    }
    return replace(judged, judges=judges)


def _cells(years: Mapping[str, JudgedCollection], seed: int) -> list[_Cell]:
    """The cells that the data decides: kappa of both years in both strategies, tau of DL22 for direct labels."""
    cells = []
    for name, judged in years.items():
        own = {n: direct(k) for n, k in _scored(judged).items() if k.direct_threshold is not None}
        cells.append(_kappa_cell("direct", name, judged, own, seed))
        if judged.collection.systems:
            cells += [_tau_cell(name, judged, own, metric, seed) for metric in _METRICS]
    for source, target in (YEARS, YEARS[::-1]):
        thresholds = {
            n: select_threshold(years[source].collection, k, grid="paper").threshold
            for n, k in _scored(years[source]).items()
        }
        labels = {n: threshold(k, thresholds[n]) for n, k in _scored(years[target]).items()}
        cells.append(_kappa_cell("thresholds", target, years[target], labels, seed))
    return cells


def _scored(judged: JudgedCollection) -> dict[str, ScoreSet]:
    return {name: known for name, known in judged.judges.items() if isinstance(known, ScoreSet)}


def _kappa_cell(
    strategy: Strategy, name: str, judged: JudgedCollection, labels: Mapping[str, LabelSet], seed: int
) -> _Cell:
    weights = _weights(judged.collection, seed)

    def kappa(one: LabelSet) -> FloatArray:
        return topic_kappa(weights @ topic_counts(judged.collection, one))

    return _cell(strategy, name, "κ", {n: kappa(one) for n, one in labels.items()}, kappa(_llm(judged)))


def _tau_cell(name: str, judged: JudgedCollection, labels: Mapping[str, LabelSet], metric: str, seed: int) -> _Cell:
    weights = _weights(judged.collection, seed)

    def means(one: LabelSet) -> FloatArray:
        values = leaderboard(judged.collection, one, [metric]).values[:, :, 0]
        return np.asarray(weights @ values.T / values.shape[1], dtype=np.float64)

    human = means(human_labels(judged.collection))
    taus = {n: tau_b_many(human, means(one)) for n, one in labels.items()}
    return _cell("direct", name, f"τ {metric}", taus, tau_b_many(human, means(_llm(judged))))


def _cell(strategy: Strategy, name: str, measure: str, judges: Mapping[str, FloatArray], llm: FloatArray) -> _Cell:
    values = np.stack(list(judges.values()))
    winner = list(judges)[int(values[:, 0].argmax())]
    return _Cell(strategy, f"{name} {measure}", measure, values.max(axis=0), llm, winner)


def _llm(judged: JudgedCollection) -> LabelSet:
    known = judged.judges[UMBRELA]
    assert isinstance(known, LabelSet), "UMBRELA gives labels"
    return known


def _weights(collection: Collection, seed: int) -> IntArray:
    topics = len(collection.topics)
    return np.concatenate([np.ones((1, topics), dtype=np.int64), topic_weights(topics, _DRAWS, seed)])


def _counts(cells: list[_Cell]) -> dict[str, object]:
    """Wins in each way of counting: of the decided cells, and of all the paper's."""
    counts: dict[str, object] = {}
    for strategy in ("direct", "thresholds"):
        for measures, per_year in (("κ, τ MAP, τ MRR", 3), ("κ, τ MAP, τ MRR, τ nDCG", 4)):
            chosen = [
                cell for cell in cells if cell.strategy == strategy and (per_year == 4 or "nDCG" not in cell.measure)
            ]
            for sign, better in ((">", np.greater), ("≥", np.greater_equal)):
                won = sum(
                    bool(better(round(float(c.best[0]), _DIGITS), round(float(c.llm[0]), _DIGITS))) for c in chosen
                )
                everything = _PAPER_YEARS * per_year
                text = f"{won} of {len(chosen)} decided; {everything - len(chosen)} of {everything} missing"
                counts[f"{strategy}, best re-ranker {sign} UMBRELA, {measures}"] = text
    return counts


def _values(cells: list[_Cell]) -> dict[str, object]:
    return {
        f"{cell.name}, {cell.strategy}": f"{cell.winner} {cell.best[0]:.3f}, UMBRELA {cell.llm[0]:.3f}"
        for cell in cells
    }
