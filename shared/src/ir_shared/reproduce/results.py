"""The record of one claim: what ``report.json`` lists and what a later run can skip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ir_shared.claims import Claim, Scale, Verdict
from ir_shared.console import UserError
from ir_shared.run_dir import read_json, to_jsonable, write_json

__all__ = ["DECIDED", "FILE_NAME", "Result", "load", "save"]

FILE_NAME = "result.json"
DECIDED = frozenset({Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE})
"""Verdicts that rest on a measurement. Only these are kept for a later run: the others cost nothing to find again."""


@dataclass(frozen=True)
class Result:
    """What became of one claim.

    Attributes:
        package: distribution name.
        version: its version.
        claim: the claim's name.
        statement: the claim in words.
        paper: the paper's figure or None.
        paper_note: where it stands, or why there is none.
        measured: the value, the mean over the seeds where there are seeds; None without a measurement.
        interval: 95 % interval or None.
        unit: unit of the value.
        criterion: in words, e.g. ``"≥ 0.1"``.
        bounds: the criterion's low and high end; None where it is open.
        verdict: one of :class:`~ir_shared.claims.Verdict`.
        seconds: wall time.
        seeds: the seeds used; empty for a deterministic claim.
        values: the value of each seed.
        scale: scale of this run.
        figures: ``{"path", "caption"}``, paths relative to the report.
        data: what it was measured on.
        details: further numbers by name.
        control: what must fail the criterion, and, if it was run, its value, interval and verdict.
        note: what is missing or what went wrong.
    """

    package: str
    version: str
    claim: str
    statement: str
    paper: float | None
    measured: float | None
    interval: tuple[float, float] | None
    unit: str
    criterion: str
    verdict: Verdict
    seconds: float
    seeds: list[int]
    scale: Scale
    figures: list[dict[str, str]] = field(default_factory=list)
    paper_note: str = ""
    bounds: tuple[float | None, float | None] = (None, None)
    values: list[float] = field(default_factory=list)
    data: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    control: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def unmeasured(cls, package: str, version: str, claim: Claim, scale: Scale, verdict: Verdict, note: str) -> Result:
        """The record of a claim on which there is no measurement, with the reason."""
        return cls(
            package=package,
            version=version,
            claim=claim.name,
            statement=claim.statement,
            paper=claim.paper,
            paper_note=claim.paper_note,
            measured=None,
            interval=None,
            unit=claim.unit,
            criterion=str(claim.criterion),
            bounds=(_finite(claim.criterion.low), _finite(claim.criterion.high)),
            verdict=verdict,
            seconds=0.0,
            seeds=[],
            scale=scale,
            control={"description": claim.control.description},
            note=note,
        )

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Result:
        """Reads back what :meth:`to_json` gave."""
        interval, bounds = document["interval"], document["bounds"]
        return cls(
            **{
                **document,
                "verdict": Verdict(document["verdict"]),
                "interval": tuple(interval) if interval else None,
                "bounds": tuple(bounds),
            }
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object; NaN and infinities are null."""
        return {name: to_jsonable(value) for name, value in vars(self).items()}

    def failed(self, note: str) -> Result:
        """The same claim with the verdict ``error``."""
        return replace(self, verdict=Verdict.ERROR, note=note)


def save(folder: Path, key: str, result: Result) -> None:
    """Writes a result beside its figures, last, so that a folder with a result is complete."""
    write_json(folder / FILE_NAME, {"key": key, "result": result.to_json()})


def load(folder: Path, key: str) -> Result | None:
    """The result of an earlier run with the same key, or None where there is none or a part of it is gone."""
    file = folder / FILE_NAME
    if not file.exists():
        return None
    try:
        document = read_json(file)
        result = Result.from_json(document["result"]) if document["key"] == key else None
    except (UserError, KeyError, TypeError, ValueError):
        return None  # damaged, or written by another version of this package
    if result and all((folder / Path(figure["path"]).name).exists() for figure in result.figures):
        return result
    return None


def _finite(bound: float) -> float | None:
    return None if bound in (float("inf"), float("-inf")) else bound
