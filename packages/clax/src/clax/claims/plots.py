"""The plots of the claims; none where ``clax[plot]`` is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from ir_shared.claims import Figure
from numpy.typing import NDArray

__all__ = ["plot_bars", "plot_examination", "plot_lines"]


def plot_bars(path: Path, values: Mapping[str, float], axis: str, caption: str) -> tuple[Figure, ...]:
    """One bar for each name.

    Args:
        path: of the files, without the suffix.
        values: by name.
        axis: what the values are.
        caption: what to see.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    places = np.arange(len(values))[::-1]
    with figure(height=1.2 + 0.28 * len(values)) as (fig, axes):
        axes.barh(places, list(values.values()), color=COLOURS[0])
        axes.axvline(0.0, color="#333333", linewidth=1.0)
        axes.set_yticks(places, list(values))
        axes.set_xlabel(axis)
    save(fig, path)
    return (Figure(path.name, caption),)


def plot_lines(
    path: Path, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], axes_names: tuple[str, str], caption: str
) -> tuple[Figure, ...]:
    """Curves on logarithmic axes, with a line at 1.

    Args:
        path: of the files, without the suffix.
        lines: x and y by name.
        axes_names: of x and y.
        caption: what to see.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import figure, save

    with figure() as (fig, axes):
        for name, (x, y) in lines.items():
            axes.plot(x, y, marker="o", label=name)
        axes.axhline(1.0, color="#333333", linewidth=1.0)
        axes.set(xscale="log", yscale="log", xlabel=axes_names[0], ylabel=axes_names[1])
        axes.legend(ncols=2)
    save(fig, path)
    return (Figure(path.name, caption),)


def plot_examination(path: Path, true: NDArray[np.float64], found: NDArray[np.float64]) -> tuple[Figure, ...]:
    """Examination by position relative to the first: the truth and what was found.

    Args:
        path: of the files, without the suffix.
        true: by position.
        found: by position.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import figure, save

    positions = np.arange(1, len(true) + 1)
    with figure(width=4.8, height=3.2) as (fig, axes):
        axes.plot(positions, true, marker="o", label="true")
        axes.plot(positions, found, marker="D", linestyle="--", label="recovered")
        axes.set(xlabel="position", ylabel="examination, relative to the first", ylim=(0, None))
        axes.legend()
    save(fig, path)
    return (Figure(path.name, "Examination by position, as simulated and as recovered."),)
