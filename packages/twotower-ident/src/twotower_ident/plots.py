"""The pictures of an audit, of a position-bias curve and of a misfit; they need ``twotower-ident[plot]``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_shared.plotting import COLOURS, figure, save

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from twotower_ident.audit_report import AuditReport
    from twotower_ident.conditional_bias import PositionBias
    from twotower_ident.misfit import ResidualMap
    from twotower_ident.weighting_test import WeightTest

__all__ = ["audit_plots", "bias_plot", "residual_plot", "weight_test_plot"]

_MAX_TICKS = 12


def audit_plots(report: AuditReport, folder: Path) -> list[Path]:
    """Draws links, contrasts and components, and with features their overlap.

    Args:
        report: the audit.
        folder: where ``links``, ``contrasts``, ``components`` and ``overlap`` go, as PNG and SVG.

    Returns:
        The files.
    """
    pairs = report.graph.swap_pairs.copy()
    np.fill_diagonal(pairs, 0)
    with np.errstate(divide="ignore"):
        counts = np.where(pairs > 0, np.log10(pairs), np.nan)
    # From one pair upwards: a scale cut to the data would show noise as structure.
    limits = (0.0, max(float(np.nanmax(counts, initial=0.0)), 1.0))
    files = list(_matrix_plot(counts, report.labels, "pairs seen at both (log10)", folder / "links", limits=limits))
    files += _contrast_plot(report, folder / "contrasts")
    files += _component_plot(report, folder / "components")
    found = report.overlap.classifier if report.overlap is not None else None
    if found is not None:
        names = [report.labels[k] for k in found.positions]
        files += _matrix_plot(found.overlap, names, "overlap of features (1 = same)", folder / "overlap", limits=(0, 1))
    return files


def bias_plot(curves: Sequence[PositionBias], path: Path) -> tuple[Path, Path]:
    """Draws one or several curves with their 95 % intervals.

    Args:
        curves: on one scale.
        path: without the suffix.
    """
    with figure() as (fig, ax):
        for i, curve in enumerate(curves):
            x = np.arange(1, len(curve.labels) + 1)
            known = np.isfinite(curve.bias)
            ax.plot(x[known], curve.bias[known], marker="o", color=COLOURS[i % len(COLOURS)], label=curve.estimator)
            ax.fill_between(
                x, curve.low, curve.high, where=known.tolist(), color=COLOURS[i % len(COLOURS)], alpha=0.2, linewidth=0
            )
        _ticks(ax.xaxis, curves[0].labels)
        ax.set_xlabel("position")
        ax.set_ylabel("position effect (logit)" if curves[0].scale == "logit" else "examination ratio")
        ax.legend()
    return save(fig, path)


def weight_test_plot(test: WeightTest, labels: Sequence[str], path: Path) -> tuple[Path, Path]:
    """Draws the unweighted and the weighted curve.

    Args:
        test: the test.
        labels: what each position is called.
        path: without the suffix.
    """
    x = np.arange(1, len(labels) + 1)
    with figure() as (fig, ax):
        ax.plot(x, _drawable(test.unweighted), marker="o", label="unweighted")
        ax.plot(x, _drawable(test.weighted), marker="s", label="weighted")
        _ticks(ax.xaxis, labels)
        ax.set_xlabel("position")
        ax.set_ylabel("position effect (logit)")
        ax.set_title(f"p = {test.p_value:.3g}")
        ax.legend()
    return save(fig, path)


def residual_plot(residuals: ResidualMap, path: Path) -> tuple[Path, Path]:
    """Draws mean residuals by position and decile.

    Args:
        residuals: the map.
        path: without the suffix.
    """
    limit = float(np.nanmax(np.abs(residuals.mean)))
    with figure() as (fig, ax):
        image = ax.imshow(residuals.mean.T, cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
        ax.grid(visible=False)
        _ticks(ax.xaxis, residuals.labels, start=0)
        _ticks(ax.yaxis, [str(group) for group in range(1, residuals.mean.shape[1] + 1)], start=0)
        ax.set_xlabel("position")
        ax.set_ylabel(f"{residuals.by} (group of equal traffic)")
        fig.colorbar(image, label="observed less predicted click rate")
    return save(fig, path)


def _matrix_plot(
    values: NDArray[np.float64],
    labels: Sequence[str],
    meaning: str,
    path: Path,
    limits: tuple[float, float] | None = None,
) -> tuple[Path, Path]:
    low, high = limits or (None, None)
    with figure(width=5.6, height=4.6) as (fig, ax):
        image = ax.imshow(values, cmap="viridis", vmin=low, vmax=high)
        ax.grid(visible=False)
        for axis in (ax.xaxis, ax.yaxis):
            _ticks(axis, labels, start=0)
        ax.set_xlabel("position")
        ax.set_ylabel("position")
        fig.colorbar(image, label=meaning)
    return save(fig, path)


def _contrast_plot(report: AuditReport, path: Path) -> tuple[Path, Path]:
    errors = report.contrasts.standard_errors
    x = np.arange(1, len(errors) + 1)
    linked = np.isfinite(errors)
    with figure() as (fig, ax):
        ax.plot(x[linked], errors[linked], marker="o", linestyle="none", label="linked to the reference")
        top = max(float(errors[linked].max(initial=0.0)), report.settings.max_se) * 1.15
        cut = np.isinf(errors)
        if cut.any():
            ax.plot(x[cut], np.full(cut.sum(), top), marker="^", linestyle="none", label="unlinked: infinite")
        ax.axhline(report.settings.max_se, color=COLOURS[-1], linewidth=1, linestyle="--", label="limit")
        _ticks(ax.xaxis, report.labels)
        ax.set_xlabel("position")
        ax.set_ylabel(f"standard error of the contrast to {report.labels[report.contrasts.reference]}")
        ax.legend()
    return save(fig, path)


def _component_plot(report: AuditReport, path: Path) -> tuple[Path, Path]:
    from matplotlib import colormaps

    x = np.arange(1, len(report.labels) + 1)
    n = report.graph.n_components
    colours = COLOURS if n <= len(COLOURS) else colormaps["turbo"](np.linspace(0, 1, n))
    with figure(height=2.6) as (fig, ax):
        for c in range(n):
            own = report.graph.component == c
            ax.bar(x[own], report.graph.impressions[own], width=0.9, color=colours[c])
        ax.set_yscale("log")
        _ticks(ax.xaxis, report.labels)
        ax.set_xlabel("position, one colour a component")
        ax.set_ylabel("impressions")
    return save(fig, path)


def _drawable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.isfinite(values), values, np.nan)


def _ticks(axis: Any, labels: Sequence[str], *, start: int = 1) -> None:
    step = -(-len(labels) // _MAX_TICKS)
    axis.set_ticks(range(start, len(labels) + start, step), labels=[labels[i] for i in range(0, len(labels), step)])
