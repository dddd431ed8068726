"""The plots of the claims; none where ``rerank-judge[plot]`` is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ir_shared.claims import Figure

from rerank_judge.claims.worlds import FAMILIES
from rerank_judge.collection import FloatArray

__all__ = ["plot_curves", "plot_pairs"]


def plot_curves(folder: Path, curves: Mapping[tuple[str, str, str], FloatArray]) -> tuple[Figure, ...]:
    """κ over the range of thresholds, one line for each judge and collection, coloured by family.

    Args:
        folder: where the plot goes.
        curves: κ [n_thresholds] by family, judge and collection.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    with figure() as (fig, axes):
        for (family, _, _), kappa in curves.items():
            colour = COLOURS[FAMILIES.index(family)]
            axes.plot(np.linspace(0, 1, len(kappa)), kappa, color=colour, alpha=0.75, linewidth=1.4)
        for family, colour in zip(FAMILIES, COLOURS, strict=False):
            axes.plot([], [], color=colour, label=family)
        axes.set(xlabel="threshold, as a share of its range", ylabel="κ with human labels")
        axes.legend()
    save(fig, folder / "kappa-by-threshold")
    return (
        Figure("kappa-by-threshold", "Agreement by threshold: the flatter a line, the less the threshold matters."),
    )


def plot_pairs(folder: Path, rows: Sequence[tuple[str, float, float]]) -> tuple[Figure, ...]:
    """κ on the target with the threshold from the grid and with the exact one, a row for each judge and direction.

    Args:
        folder: where the plot goes.
        rows: name, κ with the grid's threshold, κ with the exact one.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    names, grid, exact = zip(*rows, strict=True)
    places = np.arange(len(rows))[::-1]
    with figure(height=1.2 + 0.35 * len(rows)) as (fig, axes):
        axes.hlines(places, grid, exact, color="#999999", linewidth=1.4)
        axes.plot(grid, places, "o", color=COLOURS[1], label="grid of 0.01")
        axes.plot(exact, places, "D", color=COLOURS[0], label="exact")
        axes.set_yticks(places, names)
        axes.set_xlabel("κ with human labels on the target")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.6 / len(rows)), ncols=2)
    save(fig, folder / "exact-against-grid")
    return (Figure("exact-against-grid", "Each judge with the threshold carried over from the other collection."),)
