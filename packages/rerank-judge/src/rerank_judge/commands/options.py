"""Options that several commands share, and the reading of their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from ir_shared.console import UserError
from ir_shared.run_dir import provenance

from rerank_judge.bootstrap import Interval
from rerank_judge.labeling import SCALES, Scale
from rerank_judge.metrics import DEFAULT_METRICS

__all__ = [
    "At",
    "BinarizeHuman",
    "BinarizeJudge",
    "Bootstrap",
    "Human",
    "Json",
    "Judges",
    "Metrics",
    "MissingTopicsOption",
    "OnDuplicateOption",
    "OnMissingOption",
    "Quiet",
    "RRTruncationOption",
    "Runs",
    "ScaleOption",
    "Seed",
    "TieBreakOption",
    "document",
    "parse_at",
    "parse_binarize_judge",
    "parse_scales",
    "show_interval",
]

Human = Annotated[Path, typer.Option("--human", help="Human judgements, in qrels format.")]
Judges = Annotated[
    list[Path],
    typer.Option("--judge", help="Labels (qrels format) or scores (run format) of a judge; repeat for several."),
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of run files, one for each system.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON, with versions and hashes of the inputs.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress on stderr.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.", min=0)]
Bootstrap = Annotated[
    int,
    typer.Option("--bootstrap", help="Resamples of topics for a 95% interval, 0 for none.", min=0),
]
BinarizeHuman = Annotated[
    int, typer.Option("--binarize-human", help="Lowest human grade that counts as relevant (2 for TREC DL passages).")
]
BinarizeJudge = Annotated[
    str,
    typer.Option(
        "--binarize-judge",
        help="Lowest grade of the judge that counts as relevant; auto: 1 for labels of 0 and 1, else the human one.",
    ),
]
OnMissingOption = Annotated[
    Literal["error", "skip", "non-relevant"],
    typer.Option("--on-missing", help="Human pairs that the judge lacks: refuse, leave out, or take as not relevant."),
]
OnDuplicateOption = Annotated[
    Literal["error", "keep-best"],
    typer.Option("--on-duplicate", help="A docid that a run has twice for a topic: refuse, or keep its best score."),
]
ScaleOption = Annotated[
    Literal["auto", "probability", "log-odds", "logit"],
    typer.Option(
        "--scale",
        help="What scores are: auto takes scores within [0, 1] for probabilities and others for logits, which hold no "
        "decision of their own; log-odds decide at 0.",
    ),
]
MissingTopicsOption = Annotated[
    Literal["zero", "skip"],
    typer.Option("--missing-topics", help="A topic that a run lacks counts 0 (as trec_eval -c), or is left out."),
]
RRTruncationOption = Annotated[
    Literal["trec", "file-order"],
    typer.Option(
        "--rr-truncation",
        help="Where scores tie across the cut-off of RR@k, cut in trec_eval's order or as the file goes.",
    ),
]
TieBreakOption = Annotated[
    Literal["center", "first", "last"],
    typer.Option(
        "--tie-break",
        help="Of equally good thresholds take the centre of the longest plateau, or the lowest, or the highest.",
    ),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        help="AP@k, RR@k, nDCG@k or judged@k; repeat for several.",
        show_default=", ".join(DEFAULT_METRICS),
    ),
]
At = Annotated[
    list[str] | None,
    typer.Option(
        "--at", help="JUDGE=THRESHOLD: label this judge's scores at a threshold of yours; repeat for several."
    ),
]


def parse_at(values: Iterable[str] | None, judges: Sequence[str]) -> dict[str, float]:
    """Reads ``JUDGE=THRESHOLD``.

    Raises:
        UserError: another form, an unknown judge, a judge given twice, or no number.
    """
    thresholds: dict[str, float] = {}
    for value in values or ():
        name, sign, number = value.rpartition("=")
        if not sign:
            raise UserError(f"--at {value!r}: expected JUDGE=THRESHOLD")
        if name in thresholds:
            raise UserError(f"--at {value!r}: {name} has another threshold already; give one for each judge")
        if name not in judges:
            raise UserError(f"--at {value!r}: no judge of that name; the judges are {', '.join(judges)}")
        try:
            thresholds[name] = float(number)
        except ValueError:
            raise UserError(f"--at {value!r}: {number!r} is not a number") from None
    return thresholds


def parse_scales(values: Iterable[str] | None) -> list[tuple[str | None, Scale]]:
    """Reads ``SCALE`` or ``JUDGE=SCALE``: judge, or None for all, and scale, in an order in which the last one holds.

    Raises:
        UserError: another scale.
    """
    scales: list[tuple[str | None, Scale]] = []
    for value in values or ():
        name, _, text = value.rpartition("=")
        scale = next((scale for scale in SCALES if scale == text), None)
        if scale is None:
            raise UserError(f"--scale {value!r}: expected one of {', '.join(SCALES)}, or JUDGE= and one of these")
        scales.append((name or None, scale))
    return sorted(scales, key=lambda pair: pair[0] is not None)


def parse_binarize_judge(value: str) -> int | None:
    """Reads ``auto`` (None) or an integer.

    Raises:
        UserError: neither.
    """
    if value == "auto":
        return None
    try:
        return int(value)
    except ValueError:
        raise UserError(f"--binarize-judge {value!r}: expected auto or an integer") from None


def document(command: str, inputs: Mapping[str, Path], seed: int | None = None, **result: object) -> dict[str, Any]:
    """A result with its provenance, as ``--json`` prints it."""
    return {"command": command, **result, "provenance": provenance("rerank-judge", inputs=dict(inputs), seed=seed)}


def show_interval(interval: Interval | None) -> str | None:
    """An interval as a cell of a table."""
    return None if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
