"""The tables of a study, made from the documents of its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rerank_judge.report import Table

__all__ = ["bias_tables", "tables_of"]

Document = Mapping[str, Any]


def tables_of(documents: Mapping[str, Document]) -> list[Table]:
    """All tables, in the order of the parts."""
    makers: dict[str, Callable[[Document], list[Table]]] = {
        "agreement": _agreement,
        "orderings": _orderings,
        "transfer": _transfer,
        "left-out": _left_out,
        "folds": _folds,
        "bias": _bias,
    }
    return [table for name, document in documents.items() for table in makers[name.partition("/")[0]](document)]


def bias_tables(report: Document, subject: str) -> list[Table]:
    """The tables of a bias report's document.

    Args:
        report: what :meth:`~rerank_judge.bias.BiasReport.to_json` gives, as JSON.
        subject: what it is about, for the titles.
    """
    return [_bias_judges(report, subject), _bias_matrix(report, subject), _bias_systems(report, subject)]


def _agreement(document: Document) -> list[Table]:
    rows = [
        [row["judge"], row["kappa"], _interval(row["interval"]), row["mcc"], row["alpha"], row["accuracy"], row["f1"]]
        for row in document["rows"]
    ]
    title = f"Agreement with humans on {document['collection']}"
    note = (
        f"{document['topics']} topics, {document['pairs']} pairs, {document['relevant']} relevant. κ is Cohen's, "
        "pooled over all pairs, with a bootstrap over topics; α is Krippendorff's, ordinal for a judge that gives "
        "grades, else of relevant against not."
    )
    return [Table(title, ["judge", "κ", "95 % interval", "MCC", "α", "accuracy", "macro F1"], rows, note)]


def _orderings(document: Document) -> list[Table]:
    metrics = list(dict.fromkeys(row["metric"] for row in document["rows"]))
    cells = {(row["judge"], row["metric"]): row for row in document["rows"]}
    judges = dict.fromkeys(row["judge"] for row in document["rows"])
    columns = ["judge", *(head for metric in metrics for head in (f"τ {metric}", "95 % interval"))]
    rows = [
        [judge, *(value for m in metrics for value in (cells[judge, m]["tau"], _interval(cells[judge, m]["interval"])))]
        for judge in judges
    ]
    note = "Kendall's τ-b against the order by human labels. Its bootstrap over topics lies low: compare in pairs."
    return [Table(f"Orderings of {document['systems']} systems on {document['collection']}", columns, rows, note)]


def _transfer(document: Document) -> list[Table]:
    grids = list(next((row["grids"] for row in document["rows"] if row["grids"]), {}))
    columns = ["judge", "own decision", *(head for grid in grids for head in (f"threshold, {grid}", f"value, {grid}"))]
    rows: list[list[Any]] = []
    for row in document["rows"]:
        cells: list[Any] = [row["judge"], row["direct"]]
        for grid in grids:
            one = row["grids"].get(grid)
            cells += [None, None] if one is None else [f"{one['threshold']:.6g}", one["value"]]
        rows.append(cells)
    title = f"{_target(document['target'])} on {document['to']} with thresholds selected on {document['source']}"
    same = any(one["in_sample"] for row in document["rows"] for one in row["grids"].values())
    return [Table(title, columns, rows, "In-sample: both hold the same judgements." if same else "")]


def _left_out(document: Document) -> list[Table]:
    rows = [[row["judge"], row["to"], f"{row['threshold']:.6g}", row["value"]] for row in document["rows"]]
    title = f"{_target(document['target'])} with thresholds selected on all other collections"
    note = "Selected on κ pooled over the other collections' pairs, or on the mean of their τ."
    return [Table(title, ["judge", "on", "threshold", "value"], rows, note)]


def _folds(document: Document) -> list[Table]:
    rows = [
        [row["judge"], row["value"], row["in_sample"], f"{min(row['thresholds']):.4g}–{max(row['thresholds']):.4g}"]
        for row in document["rows"]
    ]
    title = f"κ on {document['collection']} with {document['folds']}-fold calibration over topics"
    note = "Held out: every topic labelled at the threshold of the other folds. In-sample: one threshold fitted to all."
    return [Table(title, ["judge", "held out", "in-sample", "thresholds"], rows, note)]


def _bias(document: Document) -> list[Table]:
    report = document["report"]
    subject = f"{document['systems']} of {document['collection']}, {report['metric']}, holes {report['holes']}"
    tables = bias_tables(report, subject)
    if document.get("panel_tau") is not None:
        note = f"τ of the panel that leaves out each system's own family: {document['panel_tau']:.3f}."
        first = tables[0]
        tables[0] = Table(first.title, first.columns, first.rows, f"{first.note} {note}")
    return tables


def _bias_judges(report: Document, subject: str) -> Table:
    groups = list(report["groups"])
    columns = ["judge", "leniency", "self", "95 % interval", "family", "95 % interval", *(f"→ {g}" for g in groups)]
    columns += ["own rank", "τ", "judged@10", "judged@100"]
    rows: list[list[Any]] = []
    for judge in report["judges"]:
        own, family, rank = judge["own_preference"], judge["family_preference"], judge["own_rank"]
        row = [judge["judge"], judge["leniency"]["value"], *_estimate(own), *_estimate(family)]
        row += [f"{judge['cross'][group]['value']:+.3f}" for group in groups]
        row += [None if rank is None else f"{rank[0]} → {rank[1]}", judge["tau"], *_judged(own)]
        rows.append(row)
    own, family = report["own_preference"], report["family_preference"]
    rows.append(["mean", None, *_estimate(own), *_estimate(family), *[None] * (len(groups) + 2), *_judged(own)])
    tests = [
        f"permutation of families {'with' if test['own'] else 'without'} own systems: p = {test['p_value']:.4f} "
        f"({test['n']} assignments{'' if test['exact'] else ', sampled'})"
        for test in report["tests"]
    ]
    note = (
        "Differences judge minus human, less each judge's leniency; self for its own system, family for its family's "
        "others, → for a group; judged shares of the own system."
    )
    return Table(f"Bias: {subject}", columns, rows, f"{note} {'; '.join(tests)}".strip())


def _bias_matrix(report: Document, subject: str) -> Table:
    groups = list(report["groups"])
    columns = ["judges", *groups]
    rows = [
        [family, *(_signed(cells[group]["value"], cells[group]["interval"]) for group in groups)]
        for family, cells in report["matrix"].items()
    ]
    if report["judged"] is not None:
        for i, k in enumerate((10, 100)):
            shares = [[report["judged"][system][i] for system in report["groups"][group]] for group in groups]
            rows.append([f"judged@{k}", *(f"{sum(share) / len(share):.2f}" for share in shares)])
    note = "Mean centred difference of the systems in the column under the judges of the row, own systems included."
    return Table(f"Families: {subject}", columns, rows, note)


def _bias_systems(report: Document, subject: str) -> Table:
    judges = report["judges"]
    columns = ["system", "human", "judged@10", "judged@100", *(judge["judge"] for judge in judges)]
    rows = [
        [system, value, *_shares(report, system), *(f"{judge['displacement'][system]:+d}" for judge in judges)]
        for system, value in report["human"].items()
    ]
    return Table(f"Ranks gained: {subject}", columns, rows, "Rank by humans minus rank by the judge: + is promoted.")


def _shares(report: Document, system: str) -> Sequence[float | None]:
    return (None, None) if report["judged"] is None else report["judged"][system]


def _estimate(estimate: Document | None) -> list[Any]:
    if estimate is None:
        return [None, None]
    interval = estimate["interval"]
    return [f"{estimate['value']:+.3f}", None if interval is None else _interval((interval["low"], interval["high"]))]


def _judged(estimate: Document | None) -> Sequence[float | None]:
    return (None, None) if estimate is None or estimate["judged"] is None else estimate["judged"]


def _signed(value: float, interval: Document | None) -> str:
    ends = "" if interval is None else f" [{_interval((interval['low'], interval['high']))}]"
    return f"{value:+.3f}{ends}"


def _interval(ends: Sequence[float | None] | None) -> str | None:
    if ends is None or ends[0] is None or ends[1] is None:
        return None
    return f"{ends[0]:.3f} to {ends[1]:.3f}"


def _target(target: str) -> str:
    return "κ" if target == "kappa" else target.replace("tau:", "τ ")
