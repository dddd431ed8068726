"""What an audit found, as tables, JSON and a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ir_shared.run_dir import atomic_write, write_json

from twotower_ident.aggregate import collision_probability
from twotower_ident.contrasts import Contrasts
from twotower_ident.jsonable import plain
from twotower_ident.overlap_range import FeatureOverlap
from twotower_ident.repair import Exploration, Merge, Swap
from twotower_ident.swap_graph import QueryVerdicts, Shares, SwapGraph, reachable

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["VERDICTS", "AuditReport", "Repairs", "Settings"]

VERDICTS = ("identified", "weak", "one-sided", "split")
"""From best to worst."""

MAX_QUERIES = 1_000_000
_SKETCH = 1000


@dataclass(frozen=True)
class Settings:
    """What the audit was asked; see :func:`twotower_ident.log_audit.audit`."""

    keys: str
    weights: str
    link: str
    max_se: float
    min_impressions: float


@dataclass(frozen=True)
class Repairs:
    """What would make the log better.

    Attributes:
        bridges: swaps that connect a split graph.
        merges: neighbours whose merging connects it.
        swap: the most useful extra swap of a connected graph that is weak.
        exploration: uniform shuffling that brings every contrast to the target.
    """

    bridges: list[Swap]
    merges: list[Merge]
    swap: Swap | None
    exploration: Exploration | None

    def to_json(self, labels: list[str]) -> dict[str, Any]:
        """The suggestions, positions by name."""
        return {
            "bridges": [_swap_json(swap, labels) for swap in self.bridges],
            "merges": [[labels[merge.first], labels[merge.second]] for merge in self.merges],
            "swap": _swap_json(self.swap, labels) if self.swap is not None else None,
            "exploration": plain(self.exploration),
        }


def _swap_json(swap: Swap, labels: list[str]) -> dict[str, Any]:
    return {
        "positions": [labels[swap.first], labels[swap.second]],
        "impressions": swap.impressions,
        "worst_se_before": plain(swap.worst_before),
        "worst_se_after": plain(swap.worst_after),
    }


@dataclass(frozen=True, eq=False)
class AuditReport:
    """The result of :func:`twotower_ident.log_audit.audit`.

    Attributes:
        verdict: ``identified``, ``weak``, ``one-sided`` or ``split``.
        reasons: why.
        settings: what was asked.
        labels: what each position or bias factor is called, K names.
        n_cells: cells with impressions.
        n_pairs: pairs.
        n_queries: queries.
        graph: positions and the swaps between them.
        laplacian: information of the position contrasts, shape [K, K].
        contrasts: their precision.
        shares: how much of the log tells anything.
        queries: what can be learned of each query's ranking.
        query_labels: names of the queries, where known.
        repairs: what would help.
        overlap: what features add; None without features.
        notes: what else should be known.
    """

    verdict: str
    reasons: list[str]
    settings: Settings
    labels: list[str]
    n_cells: int
    n_pairs: int
    n_queries: int
    graph: SwapGraph
    laplacian: NDArray[np.float64]
    contrasts: Contrasts
    shares: Shares
    queries: QueryVerdicts
    query_labels: pl.DataFrame | None
    repairs: Repairs
    overlap: FeatureOverlap | None
    notes: list[str]

    @property
    def components(self) -> list[list[str]]:
        """The positions of each component, by name."""
        members = (np.flatnonzero(self.graph.component == c) for c in range(self.graph.n_components))
        return [[self.labels[k] for k in own] for own in members]

    @property
    def positions(self) -> pl.DataFrame:
        """One row a position: traffic, components, standard error of the contrast to the reference, and its status."""
        import polars as pl

        shown = self.graph.impressions
        return pl.DataFrame(
            {
                "position": self.labels,
                "impressions": shown,
                "clicks": self.graph.clicks,
                "ctr": self.graph.clicks / np.where(shown > 0, shown, np.nan),
                "component": self.graph.component,
                "strong_component": self.graph.strong,
                "se": self.contrasts.standard_errors,
                "estimate": self.statuses,
            }
        )

    @property
    def statuses(self) -> list[str]:
        """Whether each contrast to the reference has a finite estimate: ``finite``, ``inf``, ``-inf``, or why not."""
        reference = self.contrasts.reference
        found = self.graph.discordance
        above, below = reachable(found, reference), reachable(found.T, reference)
        status = []
        for k in range(len(self.labels)):
            if not self.graph.seen[k]:
                status.append("no impressions")
            elif above[k] and below[k]:
                status.append("finite")
            elif above[k] or below[k]:
                status.append("inf" if above[k] else "-inf")
            elif self.graph.component[k] == self.graph.component[reference]:
                status.append("no informative swaps")
            else:
                status.append("unlinked")
        return status

    @property
    def links(self) -> pl.DataFrame:
        """One row a linked pair of positions: swaps, information, standard error of the contrast, discordances."""
        import polars as pl

        first, second = np.nonzero(np.triu(self.graph.swap_pairs, 1))
        return pl.DataFrame(
            {
                "position": [self.labels[k] for k in first],
                "other": [self.labels[k] for k in second],
                "swap_pairs": self.graph.swap_pairs[first, second],
                "swap_impressions": self.graph.swap_impressions[first, second],
                "information": -self.laplacian[first, second],
                "se": np.sqrt(self.contrasts.resistance[first, second]),
                "wins": self.graph.discordance[first, second],
                "losses": self.graph.discordance[second, first],
            }
        )

    @property
    def query_frame(self) -> pl.DataFrame:
        """One row a query: documents, groups, impressions, verdict; above 10⁶ queries the busiest of each verdict."""
        import polars as pl

        known = self.query_labels if self.query_labels is not None else pl.DataFrame({"qid": range(self.n_queries)})
        frame = known.with_columns(
            pl.Series("documents", self.queries.n_documents),
            pl.Series("groups", self.queries.n_groups),
            pl.Series("impressions", self.queries.impressions),
            pl.Series("verdict", self.queries.verdict),
        )
        if frame.height <= MAX_QUERIES:
            return frame
        return frame.sort("impressions", descending=True).group_by("verdict", maintain_order=True).head(_SKETCH)

    def to_json(self) -> dict[str, Any]:
        """Everything but the single queries; infinities as ``"inf"`` and ``"-inf"``."""
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "notes": self.notes,
            "settings": plain(self.settings),
            "cells": self.n_cells,
            "pairs": self.n_pairs,
            "queries": {"count": self.n_queries, "shares": self.queries.shares()},
            "hash_collision_probability": collision_probability(self.n_pairs),
            "reference": self.labels[self.contrasts.reference],
            "components": self.components,
            "strong_components": self.graph.n_strong,
            "connectivity": plain(self.contrasts.connectivity),
            "informative": plain(self.shares),
            "positions": plain(self.positions.to_dicts()),
            "repairs": self.repairs.to_json(self.labels),
            "overlap": plain(self.overlap.to_json()) if self.overlap is not None else None,
        }

    def write(self, out: str | Path, *, plots: bool = True, **extra: object) -> list[Path]:
        """Writes ``audit.json``, ``links.csv``, ``positions.csv``, ``queries.csv``, ``report.md`` and the plots.

        Args:
            out: folder; made if absent.
            plots: whether to draw; needs ``twotower-ident[plot]``.
            extra: further entries of the JSON, such as the provenance.

        Returns:
            The files.
        """
        from twotower_ident.report import audit_markdown

        folder = Path(out)
        write_json(folder / "audit.json", {**self.to_json(), **extra})
        for name, frame in (("links", self.links), ("positions", self.positions), ("queries", self.query_frame)):
            atomic_write(folder / f"{name}.csv", frame.write_csv())
        drawn: list[Path] = []
        if plots:
            from twotower_ident.plots import audit_plots

            drawn = audit_plots(self, folder)
        atomic_write(folder / "report.md", audit_markdown(self, [file.name for file in drawn if file.suffix == ".png"]))
        files = ["audit.json", "links.csv", "positions.csv", "queries.csv", "report.md"]
        return [folder / name for name in files] + drawn
