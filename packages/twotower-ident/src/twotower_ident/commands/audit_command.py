"""``audit``: can this log identify this model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer
from ir_shared.console import Exit, notice, print_json, print_table

from twotower_ident.commands.log_options import (
    BiasColumns,
    Column,
    FeatureColumn,
    Features,
    Json,
    Log,
    Merge,
    Out,
    Partitions,
    PositionBase,
    Quiet,
    Seed,
    document,
    plots_wanted,
    read_features,
    read_log,
)

if TYPE_CHECKING:
    from twotower_ident.audit_report import AuditReport

__all__ = ["audit_command"]


def audit_command(
    log: Log,
    keys: Annotated[
        str,
        typer.Option(
            "--keys",
            help="What the verdict rests on: pair, doc, exact[:DIGITS] (equal feature vectors), bucket:COLUMN, or the "
            "features' classifier overlap or linear rank.",
        ),
    ] = "pair",
    weights: Annotated[
        Literal["plugin", "unit"],
        typer.Option("--weights", help="Standard errors of θ from click rates, or of the design alone."),
    ] = "plugin",
    link: Annotated[
        Literal["logit", "log"],
        typer.Option("--link", help="logit for additive two-tower models, log for products of probabilities (PBM)."),
    ] = "logit",
    max_se: Annotated[
        float, typer.Option("--max-se", help="Largest standard error of a contrast that counts as identified.", min=0)
    ] = 0.2,
    min_impressions: Annotated[
        float, typer.Option("--min-impressions", help="Cells with fewer impressions make no link.", min=0)
    ] = 0.0,
    fail_on: Annotated[
        Literal["weak", "one-sided", "split"] | None,
        typer.Option("--fail-on", help="End with exit code 4 when the verdict is this or worse."),
    ] = None,
    classifier: Annotated[
        Literal["trees", "logistic", "none"], typer.Option("--classifier", help="How overlap of features is measured.")
    ] = "trees",
    features: Features = None,
    feature_column: FeatureColumn = None,
    bias_columns: BiasColumns = None,
    column: Column = None,
    position_base: PositionBase = 1,
    merge: Merge = None,
    partitions: Partitions = 1,
    out: Out = None,
    seed: Seed = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Tell whether a click log can identify a two-tower model, how well, for which queries, and how to repair it."""
    from twotower_ident.audit_report import VERDICTS
    from twotower_ident.log_audit import audit

    opened = read_log(
        log,
        column=column,
        position_base=position_base,
        feature_column=feature_column,
        features=features,
        bias_columns=bias_columns,
        merge=merge,
    )
    report = audit(
        opened,
        keys=keys,
        weights=weights,
        link=link,
        max_se=max_se,
        min_impressions=min_impressions,
        partitions=partitions,
        features=read_features(opened, features, feature_column),
        classifier=classifier,
        seed=seed,
    )
    result = document("audit", log, seed, audit=report)
    if out is not None:
        report.write(out, plots=plots_wanted(quiet), provenance=result["provenance"])
        if not quiet:
            notice(f"{out}: read report.md first")
    if json:
        print_json(result)
    else:
        _print(report)
    if fail_on is not None and VERDICTS.index(report.verdict) >= VERDICTS.index(fail_on):
        raise typer.Exit(Exit.CHECK_FAILED)


_MOST_SWAPS = 5


def _shortened(advised: list[str], swaps: int) -> list[str]:
    """Advice without most of its first lines, a swap each, where these are many."""
    left = swaps - _MOST_SWAPS
    if left <= 0:
        return advised
    rest = f"Swaps left out here: {left}; report.md, which --out writes, names all."
    return [*advised[:_MOST_SWAPS], rest, *advised[swaps:]]


def _print(report: AuditReport, most: int = 25) -> None:
    from twotower_ident.report import advice

    lines = [f"verdict: {report.verdict}", *(f"  {reason}" for reason in report.reasons)]
    if report.overlap is not None:
        lines.append(f"  features: {report.overlap.summary}")
    lines += [f"  do: {line}" for line in _shortened(advice(report), len(report.repairs.bridges))]
    rows = [
        [
            row["position"],
            f"{row['impressions']:,.0f}",
            None if row["component"] < 0 else row["component"] + 1,
            row["se"],
            row["estimate"],
        ]
        for row in report.positions.head(most).iter_rows(named=True)
    ]
    reference = report.labels[report.contrasts.reference]
    columns = ["position", "impressions", "component", f"SE to {reference}", "estimate"]
    print_table("\n".join(lines) + "\n", columns, rows)
    shares = report.queries.shares()
    rankings = [[name, share["queries"], share["impressions"]] for name, share in shares.items()]
    print_table("\nrankings that can be learned", ["", "share of queries", "share of traffic"], rankings)
