"""The plots of the claims; none where ``twotower-ident[plot]`` is not installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ir_shared.claims import Figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["plot_curves", "plot_points"]


def plot_curves(
    folder: Path, curves: Mapping[str, NDArray[np.float64]], truth: NDArray[np.float64], caption: str
) -> tuple[Figure, ...]:
    """Bias curves over positions, with the users' own in grey.

    Args:
        folder: where the plot goes.
        curves: θ_k − θ_1 by policy, each of shape [K]; positions without a value are left out.
        truth: the users' curve, shape [K].
        caption: one sentence that says what to see.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    position = np.arange(1, len(truth) + 1)
    styles = ("-", "--", ":")
    with figure(height=4.6) as (fig, axes):
        axes.plot(position, truth, color="#999999", linewidth=5, alpha=0.5, label="users")
        for i, (name, curve) in enumerate(curves.items()):
            colour, style = COLOURS[i % len(COLOURS)], styles[i // len(COLOURS) % len(styles)]
            axes.plot(position, curve, color=colour, linestyle=style, linewidth=1.4, label=name)
        axes.set(xlabel="position", ylabel="position bias (logit)")
        axes.legend(fontsize="small")
    save(fig, folder / "curves")
    return (Figure("curves", caption),)


def plot_points(
    folder: Path, rows: Sequence[tuple[str, float, float]], heads: tuple[str, str], axis: str, caption: str
) -> tuple[Figure, ...]:
    """Two values of each row, joined by a line.

    Args:
        folder: where the plot goes.
        rows: name, first and second value.
        heads: what the two values are.
        axis: name of the axis.
        caption: one sentence that says what to see.
    """
    if find_spec("matplotlib") is None:
        return ()
    from ir_shared.plotting import COLOURS, figure, save

    names, first, second = zip(*rows, strict=True)
    places = np.arange(len(rows))[::-1]
    with figure(height=1.4 + 0.35 * len(rows)) as (fig, axes):
        axes.hlines(places, first, second, color="#999999", linewidth=1.4)
        axes.plot(first, places, "o", color=COLOURS[1], label=heads[0])
        axes.plot(second, places, "D", color=COLOURS[0], label=heads[1])
        axes.set_yticks(places, names)
        axes.set_xlabel(axis)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.0 + 0.8 / len(rows)), ncols=2)
    save(fig, folder / "points")
    return (Figure("points", caption),)
