"""Claims on what a log identifies: by swaps, by the overlap of features, and how fast exploration helps."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from ir_shared.claims import Context, Measurement

from twotower_ident.cells import CellTable, group_rows
from twotower_ident.claims import curves
from twotower_ident.claims.documents import documents
from twotower_ident.claims.plots import plot_curves, plot_points
from twotower_ident.contrasts import exploration_resistance, resistances, swap_laplacian
from twotower_ident.exact_fit import fit_exact
from twotower_ident.features import PairFeatures
from twotower_ident.generators import interval_features
from twotower_ident.linear_design import linear_overlap
from twotower_ident.policies import EpsilonGreedy
from twotower_ident.simulate import ClickWorld, simulate_cells
from twotower_ident.swap_graph import position_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "efficiency",
    "efficiency_as_share",
    "embedding_with_exploration",
    "embedding_without_exploration",
    "features_apart",
    "features_overlapping",
]

_RECOVERED = 1e-6
"""Logits within which a contrast of the population limit counts as recovered."""

_WIDTH = 0.1
_OVERLAP, _APART = 0.3, -0.3
_LISTS = 2000

_RATES = (0.05, 0.1, 1 / 3, 2 / 3)
_SESSIONS, _QUERIES, _DOCS = 1_000_000, 20, 8


def embedding_without_exploration(context: Context) -> Measurement:
    """The share of position contrasts that an embedding tower recovers from logs of deterministic policies."""
    return _embedding(context, 0.0)


def embedding_with_exploration(context: Context) -> Measurement:
    """The same with one session in ten shuffled."""
    return _embedding(context, 0.1)


def features_overlapping(context: Context) -> Measurement:
    """The share of position contrasts that a tower of one value for each interval of 0.1 recovers without any swap.

    Features of neighbouring positions overlap, all others do not.
    """
    return _intervals(context, _OVERLAP)


def features_apart(context: Context) -> Measurement:
    """The same where no two positions share a feature value."""
    return _intervals(context, _APART)


def efficiency(context: Context) -> Measurement:
    """The largest relative distance of measured variances from 2 / (N τ (2 − τ)), over four exploration rates.

    Variances are effective resistances of simulated sessions, every impression counting 1; the worst contrast counts.
    """
    return _efficiency(context, lambda rate: exploration_resistance(_SESSIONS, rate))


def efficiency_as_share(context: Context) -> Measurement:
    """The same against 2 / (N τ), as if an explored session helped and any other did not."""
    return _efficiency(context, lambda rate: 2 / (_SESSIONS * rate))


def _embedding(context: Context, temperature: float) -> Measurement:
    found = documents(context)
    truth = curves.truth(found.train)
    fitted, details = {}, {}
    for done, strength in enumerate((1.0, 0.0, -1.0)):
        cells = curves.expected(found.train, (strength, temperature))
        name = curves.name((strength, temperature))
        fitted[name] = fit_exact(cells, "embedding").position_bias
        details[f"components, {name}"] = position_graph(cells).n_components
        context.progress(done + 1, 3)
    return Measurement(
        value=_share_recovered(list(fitted.values()), truth),
        data=found.data,
        details=details,
        figures=plot_curves(context.folder, fitted, truth, "What the logs determine of the curve, beside the users'."),
    )


def _intervals(context: Context, overlap: float) -> Measurement:
    values, position = interval_features(n_queries=_LISTS, overlap=overlap)
    # Ranges end on odd multiples of 0.1, so that no interval of that width straddles two ranges.
    interval = np.floor(values / _WIDTH + 1e-9)
    level = (interval + 0.5) * _WIDTH
    relevance = np.sin(level) + 0.3 * level - 2
    truth = -np.log(np.arange(1, 11))
    p = 1 / (1 + np.exp(-(relevance + truth[position - 1])))
    cells = CellTable.from_arrays(np.arange(len(p)), position, np.ones(len(p)), p, pair_query=np.arange(len(p)) // 10)
    by_interval = cells.rekey(group_rows(interval[:, None]))
    fitted = fit_exact(by_interval, "embedding").position_bias
    linear = linear_overlap(cells, PairFeatures.checked(values[:, None], ["b"]), weights="unit")
    return Measurement(
        value=_share_recovered([fitted], truth),
        data=f"ten positions, {_LISTS:,} lists, no document seen twice (synthetic)",
        details={
            "components of documents": position_graph(cells).n_components,
            "components of intervals": position_graph(by_interval).n_components,
            "linear tower": linear.verdict,
        },
        figures=plot_curves(
            context.folder, {"one value for each interval": fitted}, truth, "What feature overlap alone determines."
        ),
    )


def _share_recovered(fitted: list[NDArray[np.float64]], truth: NDArray[np.float64]) -> float:
    with np.errstate(invalid="ignore"):
        return float(np.mean([np.abs(curve - truth)[1:] < _RECOVERED for curve in fitted]))


def _efficiency(context: Context, expected: Callable[[float], float]) -> Measurement:
    relevance = np.zeros(_QUERIES * _DOCS)
    world = ClickWorld(
        offsets=np.arange(_QUERIES + 1) * _DOCS,
        relevance=relevance,
        scores=-np.tile(np.arange(_DOCS, dtype=np.float64), _QUERIES),
        position_bias=np.zeros(_DOCS),
        qids=tuple(str(q) for q in range(_QUERIES)),
    )
    apart, rows = {}, []
    full = exploration_resistance(_SESSIONS, 1.0)
    for done, rate in enumerate(_RATES):
        cells = simulate_cells(world, EpsilonGreedy(rate), sessions=_SESSIONS, seed=context.seed)
        component = position_graph(cells).component
        measured = resistances(swap_laplacian(cells, np.ones(cells.n_cells)), component).resistance
        contrasts = measured[np.triu_indices(_DOCS, 1)]
        apart[rate] = float(np.abs(contrasts / expected(rate) - 1).max())
        rows.append((f"τ = {rate:.2f}", full / expected(rate), full / float(contrasts.mean())))
        context.progress(done + 1, len(_RATES))
    return Measurement(
        value=max(apart.values()),
        data=f"{_SESSIONS:,} simulated sessions of {_QUERIES} queries with {_DOCS} documents (synthetic)",
        details={name: f"{after:.4f} measured, {before:.4f} by the formula" for name, before, after in rows},
        figures=plot_points(
            context.folder,
            rows,
            ("formula", "measured"),
            "efficiency, full randomisation = 1",
            "What a session is worth for position contrasts, by the share of shuffled sessions.",
        ),
    )
