"""One style for every figure, saved as PNG and SVG with the same bytes each time.

    with figure() as (fig, ax):
        ax.plot(x, y, label="ours")
        ax.legend()
    save(fig, "report/recall")  # recall.png and recall.svg

Figures have an opaque white face. A transparent one would take the colour of the page, and dark text on a dark page
cannot be read; a PNG cannot follow the page's theme in any case. Needs ``ir-shared[plot]``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ir_shared.console import missing_extra
from ir_shared.run_dir import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "figure", "save"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito, distinct for colour-blind readers, without its yellow, which white swallows."""

_INK = "#333333"
_GRID = "#DDDDDD"
_RESOLUTION = 150  # dots per inch: sharp at full width of a page, small as a file


@contextmanager
def figure(*, width: float = 6.4, height: float = 4.0, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, Any]]:
    """Makes a figure and its axes; draw inside the block, where the style holds.

    Neither pyplot nor the user's backend and settings are touched.

    Args:
        width: in inches.
        height: in inches.
        rows: rows of axes.
        columns: columns of axes.

    Yields:
        The figure, and its axes: one, or an array of shape [rows, columns] without dimensions of length one.

    Raises:
        UserError: ``ir-shared[plot]`` is not installed.
    """
    if find_spec("matplotlib") is None:
        raise missing_extra("ir-shared", "plot", "a plot")
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style()):
        fig = Figure(figsize=(width, height), layout="constrained")
        yield fig, fig.subplots(rows, columns)


def save(fig: Figure, path: str | Path) -> tuple[Path, Path]:
    """Saves a figure as PNG and SVG; the same figure gives the same bytes.

    Args:
        fig: the figure.
        path: where, without the suffix.

    Returns:
        The paths of the PNG and the SVG.

    Raises:
        UserError: the folder cannot be written to.
    """
    import matplotlib

    path = Path(path)
    # Not with_suffix(): a name may hold a dot, as in "k1=0.9".
    png, svg = path.with_name(f"{path.name}.png"), path.with_name(f"{path.name}.svg")
    with matplotlib.rc_context(_style()):
        # No date and no version of matplotlib: they would change the bytes and say nothing about the figure.
        for file, metadata in ((png, {"Software": None}), (svg, {"Date": None, "Creator": None})):
            data = io.BytesIO()
            fig.savefig(data, format=file.suffix[1:], dpi=_RESOLUTION, metadata=metadata)
            atomic_write(file, data.getvalue())
    return png, svg


def _style() -> Any:
    from matplotlib.rcsetup import cycler

    return {
        "figure.facecolor": "white",
        "axes.facecolor": "white",
        "savefig.facecolor": "white",
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.titlecolor": _INK,
        "text.color": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": _GRID,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlelocation": "left",
        # DejaVu comes with matplotlib, so that the bytes do not depend on the fonts of the machine.
        "font.family": ["DejaVu Sans", "sans-serif"],
        "font.size": 10.0,
        "lines.linewidth": 1.8,
        "lines.markersize": 5.0,
        "legend.frameon": False,
        "svg.fonttype": "none",  # text stays text: it can be searched, and read aloud
        "svg.hashsalt": "ir-shared",
    }
