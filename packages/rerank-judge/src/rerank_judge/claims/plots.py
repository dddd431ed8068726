"""The plots of the claims; none where ``rerank-judge[plot]`` is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ir_shared.claims import Figure

from rerank_judge.claims.worlds import FAMILIES
from rerank_judge.collection import FloatArray

__all__ = ["plot_cells", "plot_changes", "plot_curves", "plot_matrix", "plot_pairs"]


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
    caption = "Each judge with the threshold carried over from the other collection."
    heads = ("grid of 0.01", "exact")
    return _dumbbells(folder / "exact-against-grid", rows, heads, "κ with human labels on the target", caption)


def plot_cells(folder: Path, rows: Sequence[tuple[str, float, float]]) -> tuple[Figure, ...]:
    """The LLM judge and the best re-ranker in each cell.

    Args:
        folder: where the plot goes.
        rows: cell, value of the LLM judge, value of the best re-ranker.
    """
    caption = "In each cell that the data decides, the LLM judge and the best of the re-rankers."
    return _dumbbells(
        folder / "cells", rows, ("UMBRELA (GPT-4o)", "best re-ranker"), "κ or τ with human labels", caption
    )


def plot_changes(folder: Path, rows: Sequence[tuple[str, float, float]]) -> tuple[Figure, ...]:
    """τ of each judge with lists as they are and after the change.

    Args:
        folder: where the plot goes.
        rows: judge, τ as lists are, τ after.
    """
    caption = "Each judge's ordering of the submitted runs, with unjudged documents in the lists and without."
    heads = ("lists as they are", "without unjudged documents")
    return _dumbbells(folder / "condensed", rows, heads, "τ with the order by human labels", caption)


def _dumbbells(
    path: Path, rows: Sequence[tuple[str, float, float]], heads: tuple[str, str], axis: str, caption: str
) -> tuple[Figure, ...]:
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    names, first, second = zip(*rows, strict=True)
    places = np.arange(len(rows))[::-1]
    with figure(height=1.2 + 0.35 * len(rows)) as (fig, axes):
        axes.hlines(places, first, second, color="#999999", linewidth=1.4)
        axes.plot(first, places, "o", color=COLOURS[1], label=heads[0])
        axes.plot(second, places, "D", color=COLOURS[0], label=heads[1])
        axes.set_yticks(places, names)
        axes.set_xlabel(axis)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.6 / len(rows)), ncols=2)
    save(fig, path)
    return (Figure(path.name, caption),)


def plot_matrix(folder: Path, families: Sequence[str], values: Sequence[Sequence[float]]) -> tuple[Figure, ...]:
    """How families of judges favour families of systems, as colours and numbers.

    Args:
        folder: where the plot goes.
        families: their names.
        values: mean centred difference, a row for each family of judges and a column for each of systems.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import figure, save

    largest = max(abs(value) for row in values for value in row)
    with figure(width=5.2, height=3.2) as (fig, axes):
        axes.imshow(values, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
        axes.grid(visible=False)
        axes.set_xticks(range(len(families)), families)
        axes.set_yticks(range(len(families)), families)
        axes.set(xlabel="systems", ylabel="judges")
        for i, row in enumerate(values):
            for k, value in enumerate(row):
                ink = "white" if abs(value) > 0.6 * largest else "#333333"
                axes.text(k, i, f"{value:+.3f}", ha="center", va="center", color=ink)
    save(fig, folder / "families")
    return (
        Figure("families", "Blue: the judges of the row overrate the systems of the column, relative to the rest."),
    )
