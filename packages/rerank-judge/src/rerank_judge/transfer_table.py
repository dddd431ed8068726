"""A table of transfers, one row for each judge, with published figures beside ours and why they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from rerank_judge.calibration import KAPPA
from rerank_judge.grids import ThresholdGrid
from rerank_judge.judged import JudgedCollection
from rerank_judge.labeling import Coverage, ScoreSet
from rerank_judge.leaderboard import BoardOptions
from rerank_judge.plateau import TieBreak
from rerank_judge.reference import Figures, Published
from rerank_judge.transfer import Transferred, direct_value, shared_judges, transfer, value_at

__all__ = ["TransferRow", "TransferTable", "transfer_row", "transfer_table"]


@dataclass(frozen=True)
class TransferRow:
    """One judge's values on the target collection.

    Attributes:
        judge: the judge.
        coverage: how its pairs on the target collection meet the human ones.
        direct: the target for its labels or own decisions; None where it makes none.
        transferred: one transfer for each grid; empty for a judge that gives labels.
        at: a threshold given by hand, None if there is none.
        value_at: what it attains.
        published: published figures, None if there are none.
        at_published: what the published threshold attains here.
        notes: why our thresholds differ from the published one.
    """

    judge: str
    coverage: Coverage
    direct: float | None
    transferred: tuple[Transferred, ...]
    at: float | None = None
    value_at: float | None = None
    published: Figures | None = None
    at_published: float | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TransferTable:
    """The rows for thresholds selected on ``source`` for a target and applied to ``to``."""

    source: str
    to: str
    target: str
    rows: Sequence[TransferRow]

    @property
    def in_sample(self) -> bool:
        """Whether both collections hold the same judgements."""
        return any(transferred.in_sample for row in self.rows for transferred in row.transferred)

    def equal_to_published(self) -> tuple[int, int]:
        """Published figures that ours equal to three decimals, and those that there are to compare."""
        pairs = [(row.direct, row.published.direct) for row in self.rows if row.published]
        pairs += [(row.at_published, row.published.kappa) for row in self.rows if row.published]
        equal = [f"{ours:.3f}" == f"{theirs:.3f}" for ours, theirs in pairs if ours is not None and theirs is not None]
        return sum(equal), len(equal)

    def notes(self) -> list[str]:
        """All rows' notes, each once."""
        return list(dict.fromkeys(note for row in self.rows for note in row.notes))


def transfer_table(
    source: JudgedCollection,
    to: JudgedCollection,
    target: str = KAPPA,
    grids: Sequence[ThresholdGrid | str] = ("paper", "exact"),
    *,
    at: Mapping[str, float] | None = None,
    published: Published | None = None,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> TransferTable:
    """Transfers every judge that both collections know; arguments as :func:`transfer_row`, ``at`` by judge."""
    rows = [
        transfer_row(
            source,
            to,
            judge,
            target,
            grids,
            at=(at or {}).get(judge),
            published=published,
            tie_break=tie_break,
            **board,
        )
        for judge in shared_judges(source, to)
    ]
    return TransferTable(source.name, to.name, target, rows)


def transfer_row(
    source: JudgedCollection,
    to: JudgedCollection,
    judge: str,
    target: str = KAPPA,
    grids: Sequence[ThresholdGrid | str] = ("paper", "exact"),
    *,
    at: float | None = None,
    published: Published | None = None,
    tie_break: TieBreak = "center",
    **board: Unpack[BoardOptions],
) -> TransferRow:
    """One judge's transfers, with what other thresholds attain.

    Args:
        source: collection to select thresholds on.
        to: collection to apply them to.
        judge: a judge that both know.
        target: "kappa" or "tau:METRIC".
        grids: which thresholds to choose from, one transfer for each.
        at: a threshold given by hand.
        published: published kappas of ``to``; used where the target is kappa.
        tie_break: see :func:`~rerank_judge.plateau.best_plateau`.
        board: for tau, the options of a leaderboard.
    """
    scored = isinstance(source.judges[judge], ScoreSet) and isinstance(to.judges[judge], ScoreSet)
    transferred = tuple(
        transfer(source, to, judge, target, grid, tie_break=tie_break, **board) for grid in (grids if scored else ())
    )
    figures = published.judges.get(judge) if published is not None and target == KAPPA else None
    notes = [_explain(source, one, published) for one in transferred] if published is not None and figures else []
    return TransferRow(
        judge=judge,
        coverage=to.judges[judge].coverage,
        direct=direct_value(to, judge, target, **board),
        transferred=transferred,
        at=at,
        value_at=None if at is None else value_at(to, judge, at, target, **board),
        published=figures,
        at_published=None if figures is None or figures.threshold is None else value_at(to, judge, figures.threshold),
        notes=tuple(note for note in notes if note),
    )


def _explain(source: JudgedCollection, transferred: Transferred, published: Published) -> str | None:
    """Why our threshold is not the published one, in one line; None where it is.

    The usual reasons: the published search rounded kappa to three decimals before comparing, so that several thresholds
    tied and chance decided; or its grid does not reach the best threshold.
    """
    ours = transferred.selection
    theirs = published.judges[ours.judge].threshold
    if theirs is None or abs(theirs - ours.threshold) < 1e-9:
        return None
    if published.selected_on != source.name:
        on = published.selected_on or "another collection"
        return f"the published thresholds for {transferred.to} were selected on {on}, ours on {source.name}"
    at_theirs = value_at(source, ours.judge, theirs)
    assert at_theirs is not None, "a judge with a selection has scores"
    gain = f"{ours.value:.5f} against {at_theirs:.5f} on {source.name}"
    chosen = f"{ours.judge}: {ours.grid} selects {ours.threshold:.6g}, published {theirs:g}"
    if f"{ours.value:.3f}" == f"{at_theirs:.3f}":
        return f"{chosen}: the published search compared three decimals, where both tie ({gain})"
    if ours.grid == "exact":
        return f"{chosen}: the best threshold lies between the published grid's points ({gain})"
    return f"{chosen}: ours is better there ({gain})"
