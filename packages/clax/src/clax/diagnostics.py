"""What a log can tell before any model is fitted, and how well known parameters were recovered after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int
from numpy.typing import NDArray

from clax.aggregation import aggregate
from clax.arrays import FloatArray, IntArray
from clax.batch import Batch
from clax.models import ClickModel
from clax.parameters import Params, Tabular, row_probabilities
from clax.standard_errors import components

__all__ = ["Diagnosis", "Recovery", "diagnose", "recovery"]

_FEW_CLICKS = 10
_SCALE_FREE = ("pbm", "ubm")


@dataclass(frozen=True)
class Diagnosis:
    """A log's counts and what stands in the way of telling position from relevance.

    Attributes:
        documents: valid ranks.
        clicks: clicks.
        pairs: distinct query-document pairs.
        moving_pairs: those shown at more than one position; only they tell about position bias.
        positions: that occur.
        impressions: by position.
        clicks_at: by position.
        component: of each position; positions in different components cannot be compared.
        cells: distinct (pair, position).
        impressions_per_cell: the 10th, 50th and 90th percentile.
        warnings: in words.
    """

    documents: int
    clicks: int
    pairs: int
    moving_pairs: int
    positions: tuple[int, ...]
    impressions: tuple[int, ...]
    clicks_at: tuple[int, ...]
    component: tuple[int, ...]
    cells: int
    impressions_per_cell: tuple[float, float, float]
    warnings: tuple[str, ...]

    @property
    def identifiable(self) -> bool:
        """Whether all positions hang together."""
        return max(self.component) == 0

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return {**asdict(self), "identifiable": self.identifiable}


def diagnose(data: Iterable[Batch]) -> Diagnosis:
    """Looks at a log in one streaming pass.

    Raises:
        UserError: it holds no valid rank.
    """
    cells = aggregate(data, ("pair_ids", "positions"))
    pairs, at, weights = cells.pair_ids[:, 0], cells.positions[:, 0], cells.weights[:, 0].astype(float)
    clicks = weights * cells.clicks[:, 0]
    positions, row = np.unique(at, return_inverse=True)
    shown = np.bincount(row, weights)
    clicked = np.bincount(row, clicks).astype(float)
    component = components(pairs, row)
    places, cell = np.unique(np.stack([pairs, at]), axis=1, return_inverse=True)
    per_cell = np.bincount(cell.ravel(), weights)
    _, spread = np.unique(places[0], return_counts=True)
    return Diagnosis(
        documents=int(weights.sum()),
        clicks=int(clicks.sum()),
        pairs=len(spread),
        moving_pairs=int((spread > 1).sum()),
        positions=_integers(positions),
        impressions=_integers(shown),
        clicks_at=_integers(clicked),
        component=_integers(component),
        cells=len(per_cell),
        impressions_per_cell=tuple(np.percentile(per_cell, [10, 50, 90]).tolist()),
        warnings=tuple(_warnings(positions, clicked, component, int((spread > 1).sum()))),
    )


def _warnings(
    positions: Int[IntArray, " positions"],
    clicked: Float64[FloatArray, " positions"],
    component: Int[IntArray, " positions"],
    moving: int,
) -> Iterable[str]:
    if not clicked.sum():
        yield "there is no click at all"
    if len(positions) > 1 and not moving:
        yield "no document was shown at two positions: position bias and relevance cannot be told apart"
    elif component.max() > 0:
        groups = [positions[component == c].tolist() for c in range(int(component.max()) + 1)]
        yield f"positions fall into groups that no document links, {groups}: they cannot be compared with each other"
    few = positions[clicked < _FEW_CLICKS].tolist()
    if few:
        yield f"fewer than {_FEW_CLICKS} clicks at positions {few}: what is estimated there is mostly noise"


@dataclass(frozen=True)
class Recovery:
    """One parameter's estimates against the truth, over the rows that the data looks up.

    Attributes:
        parameter: its name.
        rows: how many.
        rmse: root mean squared error of the probabilities, weighted by how often each row is looked up.
        max_error: the largest absolute error, unweighted.
        correlation: weighted Pearson correlation; NaN for a single row.
        scale: the factor that was taken out of the estimates first, for models whose attraction and examination are
            known only up to a common factor (by weighted least squares); 1 for others.
    """

    parameter: str
    rows: int
    rmse: float
    max_error: float
    correlation: float
    scale: float

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def recovery(model: ClickModel, params: Params, truth: Params, data: Iterable[Batch]) -> list[Recovery]:
    """Compares fitted weights with the true ones, parameter by parameter.

    Args:
        model: of tables.
        params: fitted.
        truth: true.
        data: the log, which says how often each row is looked up.

    Raises:
        UserError: a parameter is not a table.
    """
    parameters = model.parameters()
    for name, parameter in parameters.items():
        if not isinstance(parameter, Tabular):
            raise UserError(f"{name} is a {type(parameter).__name__}, but only tables can be compared with a truth")
    counts = {name: np.zeros(p.rows) for name, p in parameters.items() if isinstance(p, Tabular)}
    for batch in data:
        model.check(batch)
        mask = np.asarray(batch.mask)
        weights = None if batch.weights is None else np.asarray(batch.weights)[mask]
        for name, parameter in parameters.items():
            assert isinstance(parameter, Tabular)
            counts[name] += np.bincount(np.asarray(parameter.index(batch))[mask], weights, parameter.rows)
    return [_compare(name, p, params[name], truth[name], counts[name], model.name) for name, p in parameters.items()]  # type: ignore[arg-type]


def _compare(
    name: str, parameter: Tabular, params: Params, truth: Params, counts: Float64[FloatArray, " rows"], model: str
) -> Recovery:
    used = counts > 0
    weights = counts[used] / counts.sum()
    estimate, true = (row_probabilities(parameter, p)[used] for p in (params, truth))
    # Least squares: a mean of log ratios would follow estimates near 0, of which the log knows least.
    scale = float(weights @ estimate**2 / (weights @ (estimate * true))) if model in _SCALE_FREE else 1.0
    error = estimate / scale - true
    a, b = estimate - weights @ estimate, true - weights @ true
    spread = float(np.sqrt((weights @ a**2) * (weights @ b**2)))
    correlation = float(weights @ (a * b)) / spread if spread > 0 else float("nan")
    rmse = float(np.sqrt(weights @ error**2))
    return Recovery(name, int(used.sum()), rmse, float(np.abs(error).max()), correlation, scale)


def _integers(values: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(x) for x in values)
