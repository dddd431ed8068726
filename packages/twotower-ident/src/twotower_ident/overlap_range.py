"""What features add to the identification of positions, as a range: from equal vectors to a linear tower.

Which end applies is a matter of the relevance tower: a free value for each feature vector profits from equal vectors
only, a linear tower from any overlap that leaves its design at full rank, a network from something between.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ir_shared.console import UserError
from jaxtyping import Int64

from twotower_ident.cells import CellTable, IntArray, group_rows
from twotower_ident.contrasts import Link, Weights, cell_variances, resistances, swap_laplacian
from twotower_ident.features import PairFeatures, feature_buckets, position_leaks
from twotower_ident.linear_design import LinearOverlap, linear_overlap
from twotower_ident.overlap import ClassifierKind, ClassifierOverlap, classifier_overlap
from twotower_ident.swap_graph import position_graph

__all__ = ["FeatureOverlap", "GraphView", "feature_overlap", "graph_view"]


@dataclass(frozen=True)
class GraphView:
    """The swap graph under one notion of a pair.

    Attributes:
        keys: what counts as one pair.
        n_keys: how many there are.
        components: of the position graph; 1 identifies all contrasts.
        max_se: largest standard error of a contrast to the reference; infinite with several components.
    """

    keys: str
    n_keys: int
    components: int
    max_se: float


@dataclass(frozen=True, eq=False)
class FeatureOverlap:
    """Identification through features, from the pessimistic end to the optimistic one.

    Attributes:
        exact: equal feature vectors count as one pair; the lower bound for any tower.
        bucket: vectors in one cell of a coarse grid count as one pair, which supposes that relevance is flat there.
        classifier: overlap of the features at each two positions; None where it cannot be had.
        linear: what a linear tower identifies; the upper bound.
        leaks: features that give the position away, with their ordering share.
        notes: what should be known.
    """

    exact: GraphView
    bucket: GraphView
    classifier: ClassifierOverlap | None
    linear: LinearOverlap
    leaks: list[tuple[str, float]]
    notes: list[str]

    @property
    def summary(self) -> str:
        """The range in one line."""
        low = "identified" if self.exact.components == 1 else f"{self.exact.components} components"
        if low == self.linear.verdict:
            return f"features leave positions {low}, from equal vectors to a linear tower"
        return (
            f"between {low} (equal feature vectors, pessimistic) and {self.linear.verdict} (linear tower, optimistic)"
        )

    def to_json(self) -> dict[str, Any]:
        """The range and each measure."""
        return {
            "summary": self.summary,
            "exact": self.exact,
            "bucket": self.bucket,
            "classifier": self.classifier,
            "linear": self.linear,
            "leaks": [{"feature": name, "ordering_share": share} for name, share in self.leaks],
            "notes": self.notes,
        }


def feature_overlap(
    cells: CellTable,
    features: PairFeatures,
    *,
    weights: Weights = "plugin",
    link: Link = "logit",
    bins: int = 10,
    classifier: ClassifierKind | Literal["none"] = "trees",
    seed: int = 0,
) -> FeatureOverlap:
    """Measures overlap in every way.

    Args:
        cells: the aggregated log, keys ``pair``.
        features: of its pairs.
        weights: information of one impression, see :func:`twotower_ident.contrasts.cell_variances`.
        link: likewise.
        bins: quantiles of each axis of the grid.
        classifier: kind of classifier, or ``none``.
        seed: of the classifier.
    """
    notes = []
    found = None
    if classifier != "none":
        try:
            found = classifier_overlap(cells, features, kind=classifier, seed=seed)
        except UserError as error:
            notes.append(str(error))
    leaks = position_leaks(cells, features)
    if leaks:
        named = ", ".join(name for name, _ in leaks[:3])
        notes.append(
            f"features that give the position away (a production score or previous rank?): {named}; a relevance tower "
            "can trade them for the position effect; leave them out"
        )
    return FeatureOverlap(
        exact=graph_view(cells, group_rows(features.values), "exact", weights, link),
        bucket=graph_view(cells, feature_buckets(features, bins=bins), f"grid of {bins} quantiles", weights, link),
        classifier=found,
        linear=linear_overlap(cells, features, weights=weights, link=link),
        leaks=leaks,
        notes=notes,
    )


def graph_view(
    cells: CellTable, key: Int64[IntArray, " pairs"], name: str, weights: Weights = "plugin", link: Link = "logit"
) -> GraphView:
    """The position graph when pairs with one key count as one.

    Args:
        cells: the aggregated log.
        key: of each pair, from 0, shape [P].
        name: what to call it.
        weights: information of one impression.
        link: of the model.
    """
    merged = cells.rekey(key)
    graph = position_graph(merged)
    contrasts = resistances(swap_laplacian(merged, cell_variances(merged, weights, link)), graph.component)
    worst = float(contrasts.standard_errors[graph.seen].max())
    return GraphView(name, merged.n_pairs, graph.n_components, worst)
