"""The plots of a study, made from the documents of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ir_shared.plotting import COLOURS, figure, save

__all__ = ["plot_study"]

Document = Mapping[str, Any]


def plot_study(folder: Path, documents: Mapping[str, Document], computed: Sequence[str]) -> tuple[Path, ...]:
    """Draws the plots of all parts, as PNG and SVG, and gives their paths without suffix.

    Args:
        folder: where they go.
        documents: the parts' documents by name.
        computed: the parts that are new; of the others, only missing plots are drawn.
    """
    plots: list[Path] = []
    for name, document in documents.items():
        if not (document.get("rows") or "report" in document):
            continue
        for suffix, draw in _DRAWING.get(name.partition("/")[0], {}).items():
            path = folder / f"{name.replace('/', '-')}{suffix}"
            plots.append(path)
            if name in computed or not all(path.with_name(f"{path.name}.{kind}").exists() for kind in ("png", "svg")):
                draw(path, document)
    return tuple(plots)


def _agreement(path: Path, document: Document) -> None:
    rows = [row for row in document["rows"] if row["kappa"] is not None]
    places = list(range(len(rows)))[::-1]
    with figure(height=1.0 + 0.3 * len(rows)) as (fig, axes):
        for place, row in zip(places, rows, strict=True):
            if row["interval"] is not None:
                axes.plot(row["interval"], [place, place], color=COLOURS[0], linewidth=1.4)
        axes.plot([row["kappa"] for row in rows], places, "o", color=COLOURS[0])
        axes.set_yticks(places, [row["judge"] for row in rows])
        axes.set(xlabel="κ with human labels, 95 % interval over topics", title=document["collection"])
    save(fig, path)


def _orderings(path: Path, document: Document) -> None:
    judges = list(dict.fromkeys(row["judge"] for row in document["rows"]))
    metrics = list(dict.fromkeys(row["metric"] for row in document["rows"]))
    with figure(height=1.2 + 0.35 * len(judges)) as (fig, axes):
        for i, metric in enumerate(metrics):
            rows = [row for row in document["rows"] if row["metric"] == metric and row["tau"] is not None]
            places = [len(judges) - 1 - judges.index(row["judge"]) for row in rows]
            axes.plot([row["tau"] for row in rows], places, "oDs^v"[i % 5], color=COLOURS[i % 7], label=metric)
        axes.set_yticks(range(len(judges)), judges[::-1])
        axes.set(xlabel="Kendall's τ with the order by human labels", title=document["collection"])
        axes.legend()
    save(fig, path)


def _transfer(path: Path, document: Document) -> None:
    rows = document["rows"]
    grids = list(next((row["grids"] for row in rows if row["grids"]), {}))
    places = list(range(len(rows)))[::-1]
    with figure(height=1.2 + 0.35 * len(rows)) as (fig, axes):
        direct = [(row["direct"], place) for row, place in zip(rows, places, strict=True) if row["direct"] is not None]
        if direct:
            axes.plot(*zip(*direct, strict=True), "|", color="#333333", markersize=12, label="own decision or labels")
        for i, grid in enumerate(grids):
            points = [
                (row["grids"][grid]["value"], place)
                for row, place in zip(rows, places, strict=True)
                if grid in row["grids"] and row["grids"][grid]["value"] is not None
            ]
            if points:
                axes.plot(*zip(*points, strict=True), "oDs^v"[i % 5], color=COLOURS[i % 7], label=f"threshold, {grid}")
        axes.set_yticks(places, [row["judge"] for row in rows])
        title = f"thresholds from {document['source']} on {document['to']}"
        axes.set(xlabel=document["target"], title=title)
        axes.legend()
    save(fig, path)


def _scatter(path: Path, document: Document) -> None:
    """Every system's mean by each judge against that by humans, one panel for each judge."""
    report = document["report"]
    judges = report["judges"]
    columns = min(4, len(judges))
    lines = -(-len(judges) // columns)
    colours = {group: COLOURS[i % 7] for i, group in enumerate(report["groups"])}
    with figure(width=2.6 * columns, height=2.5 * lines, rows=lines, columns=columns) as (fig, axes):
        panels = axes.ravel().tolist() if hasattr(axes, "ravel") else [axes]
        for panel, judge in zip(panels, judges, strict=False):
            for group, systems in report["groups"].items():
                x = [report["human"][system] for system in systems]
                lenient = judge["leniency"]["value"]
                y = [report["human"][s] + lenient + judge["centred"][s]["value"] for s in systems]
                panel.plot(x, y, "o", color=colours[group], label=group)
            panel.axline((0, 0), slope=1, color="#999999", linewidth=1)
            panel.set_title(f"{judge['judge']}\nτ {_number(judge['tau'])}", fontsize=8)
        for panel in panels[len(judges) :]:
            panel.set_visible(False)
        panels[0].legend(fontsize=7)
        fig.supxlabel(f"{report['metric']} by human labels")
        fig.supylabel("by the judge's")
    save(fig, path)


def _matrix(path: Path, document: Document) -> None:
    """The matrix of families as colours and numbers."""
    report = document["report"]
    rows, columns = list(report["matrix"]), list(report["groups"])
    values = [[report["matrix"][row][column]["value"] for column in columns] for row in rows]
    largest = max([abs(value) for line in values for value in line] + [1e-9])
    with figure(width=1.8 + 1.1 * len(columns), height=1.4 + 0.5 * len(rows)) as (fig, axes):
        image = axes.imshow(values, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel="systems", ylabel="judges", title=f"favour, {report['metric']}, holes {report['holes']}")
        for i, line in enumerate(values):
            for k, value in enumerate(line):
                ink = "white" if abs(value) > 0.6 * largest else "#333333"
                axes.text(k, i, f"{value:+.3f}", ha="center", va="center", color=ink, fontsize=8)
        fig.colorbar(image)
    save(fig, path)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


_DRAWING: dict[str, dict[str, Callable[[Path, Document], None]]] = {
    "agreement": {"": _agreement},
    "orderings": {"": _orderings},
    "transfer": {"": _transfer},
    "bias": {"-systems": _scatter, "-families": _matrix},
}
"""What is drawn for a kind of part, by what its file is called behind the part's name."""
