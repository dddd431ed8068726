"""Plots of what an evaluation or a propensity table says, as PNG and SVG; needs ``clax[plot]``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ir_shared.plotting import figure, save

from clax.evaluation import Evaluation
from clax.standard_errors import Propensities

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration", "plot_examination", "plot_perplexity"]

_Z = 1.959963984540054


def plot_perplexity(evaluations: Mapping[str, Evaluation], path: str | Path) -> tuple[Path, Path]:
    """Perplexity by position of one or several models, with 95 % intervals: unconditional left, conditional right.

    Args:
        evaluations: by the name to show.
        path: of the files, without the suffix.

    Returns:
        The paths of the PNG and the SVG.
    """
    with figure(width=9.0, columns=2) as (fig, axes):
        for name, found in evaluations.items():
            for ax, figures in zip(axes, (found.perplexity, found.conditional_perplexity), strict=True):
                positions = np.arange(1, len(figures.per_position) + 1)
                errors = _Z * figures.per_position_errors
                ax.errorbar(positions, figures.per_position, errors, label=name, marker="o", capsize=2)
        for ax, title in zip(axes, ("before any click is seen", "given the clicks above"), strict=True):
            ax.set(title=title, xlabel="position", ylabel="perplexity")
        axes[0].legend()
        return save(fig, path)


def plot_examination(tables: Mapping[str, Propensities], path: str | Path) -> tuple[Path, Path]:
    """Examination relative to the first position, with 95 % intervals; for UBM a curve per position of the last click.

    Args:
        tables: by the name to show.
        path: of the files, without the suffix.

    Returns:
        The paths of the PNG and the SVG.
    """
    with figure() as (fig, ax):
        for name, table in tables.items():
            for last in np.unique(table.last_clicks):
                _curve(ax, table, int(last), name)
        ax.set(xlabel="position", ylabel="examination, relative to the first", ylim=(0, None))
        ax.legend()
        return save(fig, path)


def plot_calibration(found: Evaluation, path: str | Path) -> tuple[Path, Path]:
    """Observed against predicted click rates, with 95 % intervals; a calibrated model lies on the diagonal.

    Args:
        found: an evaluation.
        path: of the files, without the suffix.

    Returns:
        The paths of the PNG and the SVG.
    """
    table = found.calibration
    filled = table.counts > 0
    predicted, observed, n = table.predicted[filled], table.observed[filled], table.counts[filled]
    errors = _Z * np.sqrt(observed * (1 - observed) / n)
    with figure(width=4.4) as (fig, ax):
        ax.plot([0, 1], [0, 1], color="#999999", linewidth=1.0)
        ax.errorbar(predicted, observed, errors, marker="o", linestyle="none", capsize=2)
        ax.set(xlabel="predicted click probability", ylabel="share clicked", xlim=(0, 1), ylim=(0, 1))
        return save(fig, path)


def _curve(ax: Axes, table: Propensities, last: int, name: str) -> None:
    here = (table.last_clicks == last) & np.isfinite(table.ratio)
    ratio = table.ratio[here]
    below, above = np.maximum(ratio - table.low[here], 0), np.maximum(table.high[here] - ratio, 0)
    label = name if not table.last_clicks.any() else f"{name}, last click {last or 'none'}"
    ax.errorbar(table.positions[here], ratio, (below, above), label=label, marker="o", capsize=2)
