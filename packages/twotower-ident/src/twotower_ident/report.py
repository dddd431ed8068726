"""An audit as one page of Markdown: the verdict first, then what it rests on, then what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from twotower_ident.audit_report import AuditReport
    from twotower_ident.overlap_range import FeatureOverlap

__all__ = ["advice", "audit_markdown"]

MEANING = {
    "identified": "The log determines the position effects of this model.",
    "weak": "The log links all positions, but what it says of them is too little or easily misread.",
    "one-sided": "The log links all positions, but some contrasts have no finite maximum-likelihood estimate.",
    "split": "The log does not determine the position effects: between its components any shift fits as well.",
}

_CAPTIONS = {
    "links": "Swap pairs of each two positions",
    "contrasts": "Standard error of each contrast to the reference",
    "components": "Components of the positions",
    "overlap": "Overlap of the features at each two positions",
}


def audit_markdown(report: AuditReport, images: Sequence[str] = ()) -> str:
    """The page.

    Args:
        report: the audit.
        images: file names of plots beside the page.
    """
    parts = [f"# Audit: {report.verdict}", MEANING[report.verdict], _bullets(report.reasons)]
    if report.notes:
        parts += ["## To know", _bullets(report.notes)]
    parts += ["## What to do", _bullets(advice(report) or ["Nothing: fit the model."])]
    parts += ["## The log", _facts(report), "## Rankings", _rankings(report), "## Positions", _positions(report)]
    if report.overlap is not None:
        parts += ["## Features", _features(report.overlap)]
    for image in images:
        caption = _CAPTIONS.get(image.rsplit(".", 1)[0], image)
        parts.append(f"![{caption}]({image})")
    return "\n\n".join(parts) + "\n"


def advice(report: AuditReport) -> list[str]:
    """What would make the log better, a sentence each."""
    labels, repairs = report.labels, report.repairs
    found = [
        f"Swap documents between positions {labels[swap.first]} and {labels[swap.second]}: about "
        f"{swap.impressions:,.0f} impressions, half at each, bring this standard error to {swap.worst_after:.2f}."
        for swap in repairs.bridges
    ]
    if repairs.merges:
        pairs = ", ".join(f"{labels[merge.first]} with {labels[merge.second]}" for merge in repairs.merges)
        found.append(f"Or suppose that neighbours share one effect (--merge): {pairs}. This is an assumption.")
    if repairs.swap is not None:
        swap = repairs.swap
        found.append(
            f"The most useful {swap.impressions:,.0f} extra swap impressions are between positions "
            f"{labels[swap.first]} and {labels[swap.second]}: the largest standard error falls from "
            f"{swap.worst_before:.3f} to {swap.worst_after:.3f}."
        )
    if report.verdict == "one-sided":
        found.append("Collect more clicks, merge the positions without (--merge), or fit with a ridge and say so.")
    worst = float(np.nanmax(report.contrasts.standard_errors))
    if report.verdict == "weak" and worst <= report.settings.max_se:
        found.append("Take position effects from position-bias, or give the relevance tower features.")
    exploration = repairs.exploration
    if worst > report.settings.max_se and exploration is not None:
        if exploration.temperature is None:
            found.append(
                f"Even with every page shuffled, a standard error of {exploration.target:g} takes "
                f"{exploration.sessions:,.0f} sessions."
            )
        else:
            found.append(
                f"Shuffling {exploration.temperature:.2%} of as many pages as this log has brings every contrast to a "
                f"standard error of {exploration.target:g}."
            )
    return found


def _facts(report: AuditReport) -> str:
    shares, graph = report.shares, report.graph
    return _table(
        ["", ""],
        [
            ["keys", report.settings.keys],
            ["link, weights", f"{report.settings.link}, {report.settings.weights}"],
            ["queries, pairs, cells", f"{report.n_queries:,}, {report.n_pairs:,}, {report.n_cells:,}"],
            ["impressions, clicks", f"{graph.impressions.sum():,.0f}, {graph.clicks.sum():,.0f}"],
            ["components, strong components", f"{graph.n_components}, {graph.n_strong}"],
            ["pairs seen at two positions or more", f"{shares.swapped_pairs:.2%}"],
            [
                "informative pairs (clicked and not)",
                f"{shares.pairs:.2%}, with {shares.impressions:.2%} of the traffic",
            ],
            ["median impressions of an informative pair", f"{shares.impressions_each:g}" if shares.pairs else "-"],
            ["queries with one session", f"{shares.single_session_queries:.2%}"],
        ],
    )


def _rankings(report: AuditReport) -> str:
    meaning = {
        "full": "all documents can be compared",
        "partly": "some documents can be compared",
        "none": "no two documents can be compared",
    }
    rows = [
        [meaning[name], f"{share['queries']:.2%}", f"{share['impressions']:.2%}"]
        for name, share in report.queries.shares().items()
    ]
    return _table(["ranking of a query", "queries", "traffic"], rows)


def _positions(report: AuditReport, most: int = 50) -> str:
    frame = report.positions
    rows = [
        [
            str(row["position"]),
            f"{row['impressions']:,.0f}",
            "-" if row["ctr"] is None or row["ctr"] != row["ctr"] else f"{row['ctr']:.4f}",
            "-" if row["component"] < 0 else str(row["component"] + 1),
            "-" if row["se"] != row["se"] else f"{row['se']:.4f}",
            str(row["estimate"]),
        ]
        for row in frame.head(most).iter_rows(named=True)
    ]
    reference = report.labels[report.contrasts.reference]
    table = _table(["position", "impressions", "CTR", "component", f"SE to {reference}", "estimate"], rows)
    left = frame.height - most
    return table if left <= 0 else f"{table}\n\n{left} more are in `positions.csv`."


def _features(overlap: FeatureOverlap) -> str:
    linear = overlap.linear
    rows = [
        [f"equal vectors ({overlap.exact.n_keys:,})", _components(overlap.exact.components)],
        [f"{overlap.bucket.keys} ({overlap.bucket.n_keys:,})", _components(overlap.bucket.components)],
    ]
    found = overlap.classifier
    if found is not None:
        between = found.overlap[np.triu_indices(len(found.positions), 1)]
        rows.append(
            [
                "classifier",
                f"overlap {between.min():.3f} to {between.max():.3f}; held-out log-loss {found.log_loss:.3f}, "
                f"shares alone {found.prior_log_loss:.3f}",
            ]
        )
    rows.append(
        [
            "linear tower",
            f"{linear.verdict}, rank {linear.rank} of {linear.full_rank}, standard errors inflated up to "
            f"{linear.inflation.max():.1f} times",
        ]
    )
    return f"{overlap.summary[0].upper()}{overlap.summary[1:]}.\n\n" + _table(["measure", "finding"], rows)


def _components(count: int) -> str:
    return "1 component" if count == 1 else f"{count} components"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
