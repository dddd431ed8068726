"""What is refused, repaired or counted on the host before a session reaches a model.

Every error names the file and the row (a session, counted from 0) or the line, what is wrong, and what to do. Repairs
are counted in :class:`Counts`, and a pass over the data reports them once.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from ir_shared.console import UserError
from numpy.typing import NDArray

from clax.data.sessions import Sessions, ranks

__all__ = ["Counts", "Rules", "check_alike", "clean"]


@dataclass(frozen=True)
class Rules:
    """What ids and positions may be, and which departures are repaired instead of refused.

    Attributes:
        num_pairs: the largest id, that of unknown pairs included.
        max_positions: P; documents shown below it are cut off and counted.
        zero_based: ids start at 0 and are raised by one, as 0 means padding here.
        binarise_clicks: counts of clicks become 1; otherwise only 0 and 1 are accepted.
        unknown_id: the id of pairs outside the vocabulary, which are counted; None if there is no such id.
        clip_to_unknown: ids above ``num_pairs`` become ``unknown_id``; otherwise they are refused.
    """

    num_pairs: int
    max_positions: int
    zero_based: bool = False
    binarise_clicks: bool = False
    unknown_id: int | None = None
    clip_to_unknown: bool = False

    def __post_init__(self) -> None:
        if self.num_pairs < 1 or self.max_positions < 1:
            raise UserError(f"num_pairs {self.num_pairs}, max_positions {self.max_positions}: both must be at least 1")


@dataclass(frozen=True)
class Counts:
    """What a pass over the data met. Counts add up over parts of the data.

    Attributes:
        sessions: sessions with at least one document.
        documents: documents that reach the model.
        clicks: clicks on them.
        multi_click_sessions: sessions with more than one click, which the cascade model cannot explain.
        empty_sessions: sessions without a document; they are masked out.
        truncated_documents: documents shown below the last position that the data set keeps.
        unknown_documents: documents whose pair is not in the vocabulary.
        unsorted_sessions: sessions whose documents were not in the order of their positions, and have been sorted.
        binarised_clicks: documents whose click was a number above 1.
    """

    sessions: int = 0
    documents: int = 0
    clicks: int = 0
    multi_click_sessions: int = 0
    empty_sessions: int = 0
    truncated_documents: int = 0
    unknown_documents: int = 0
    unsorted_sessions: int = 0
    binarised_clicks: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def repairs(self) -> list[str]:
        """One phrase for each kind of repair that was made."""
        phrases = {
            "empty_sessions": "empty sessions skipped",
            "truncated_documents": "documents below the last position cut off",
            "unknown_documents": "documents outside the vocabulary",
            "unsorted_sessions": "sessions sorted by position",
            "binarised_clicks": "click counts made 1",
        }
        return [f"{getattr(self, name)} {phrase}" for name, phrase in phrases.items() if getattr(self, name)]


def clean(sessions: Sessions, rules: Rules) -> tuple[Sessions, Counts]:
    """Checks sessions, and repairs what the rules allow.

    Returns:
        Sessions with bool clicks, int32 ids of 1..num_pairs, positions of 1..P ascending within each session (None for
        1, 2, ...), no hidden rank (positions tell the ranks apart, so a hidden one is simply absent), and what was met.

    Raises:
        UserError: with file and row, for anything that the rules do not allow.
    """
    sessions, binarised = _clean_clicks(sessions, rules)
    sessions = _drop_hidden(sessions)
    _check_numbers(sessions)
    before = sessions.num_documents
    sessions = _truncate(sessions, rules.max_positions)
    truncated = before - sessions.num_documents
    sessions, unsorted = _sort(sessions)
    sessions, unknown = _clean_ids(sessions, rules)
    running = np.concatenate([[0], np.cumsum(sessions.clicks, dtype=np.int64)])
    clicks = np.diff(running[sessions.offsets])
    return sessions, Counts(
        sessions=int(np.count_nonzero(sessions.lengths)),
        documents=sessions.num_documents,
        clicks=int(running[-1]),
        multi_click_sessions=int(np.count_nonzero(clicks > 1)),
        empty_sessions=int(np.count_nonzero(sessions.lengths == 0)),
        truncated_documents=truncated,
        unknown_documents=unknown,
        unsorted_sessions=unsorted,
        binarised_clicks=binarised,
    )


def check_alike(first: Sessions, sessions: Sessions) -> None:
    """Refuses sessions whose columns, or the width of whose features, differ from those of the first sessions read.

    Raises:
        UserError: names both files.
    """
    for name in ("pair_ids", "features", "bias_features", "labels", "query_ids"):
        ours, theirs = getattr(sessions, name), getattr(first, name)
        if (ours is None) != (theirs is None):
            without, having = (sessions, first) if ours is None else (first, sessions)
            raise UserError(f"{without.file}: has no {name}, but {having.file} has; the files of one log must be alike")
        if ours is not None and len(ours) and len(theirs) and ours.shape[1:] != theirs.shape[1:]:
            raise UserError(
                f"{sessions.file}: row {sessions.first_row}: {name} are {ours.shape[1]} wide, "
                f"but {theirs.shape[1]} in {first.file}: row {first.first_row}"
            )


def _first(bad: NDArray[np.bool_]) -> int | None:
    """The index of the first true value, None if there is none."""
    return int(np.argmax(bad)) if bad.any() else None


def _clean_clicks(sessions: Sessions, rules: Rules) -> tuple[Sessions, int]:
    clicks = sessions.clicks
    if clicks.dtype == np.bool_:
        return sessions, 0
    high = clicks > 1
    # Not `clicks < 0`: a comparison with NaN is false, and NaN must be refused whatever the rules.
    bad = ~(clicks >= 0) if rules.binarise_clicks else ~((clicks == 0) | (clicks == 1))
    at = _first(bad)
    if at is not None:
        remedy = (
            ""
            if rules.binarise_clicks or not clicks[at] > 1
            else "; binarise_clicks (--binarise-clicks) makes counts 1"
        )
        raise UserError(f"{sessions.where(at)}: click {clicks[at]} is neither 0 nor 1{remedy}")
    return replace(sessions, clicks=clicks != 0), int(np.count_nonzero(high))


def _drop_hidden(sessions: Sessions) -> Sessions:
    mask = sessions.mask
    if mask is None:
        return sessions
    at = _first(sessions.clicks & ~mask)
    if at is not None:
        raise UserError(f"{sessions.where(at)}: click on a masked rank; a hidden document cannot be clicked")
    if mask.all():
        return replace(sessions, mask=None)
    positions = ranks(sessions) if sessions.positions is None else sessions.positions
    return replace(_keep(replace(sessions, positions=positions), mask), mask=None)


def _keep(sessions: Sessions, keep: NDArray[np.bool_]) -> Sessions:
    running = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
    return sessions.pick(keep, running[sessions.offsets])


def _check_numbers(sessions: Sessions) -> None:
    for name in ("features", "bias_features", "labels"):
        values: NDArray[Any] | None = getattr(sessions, name)
        # The sum of finite values is finite (or overflows, which the second look then clears), and costs one pass.
        if values is None:
            continue
        with np.errstate(over="ignore"):
            total = values.sum()
        if np.isfinite(total):
            continue
        at = _first(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
        if at is not None:
            raise UserError(f"{sessions.where(at)}: {name} hold NaN or infinity; fill or drop them first")


def _truncate(sessions: Sessions, max_positions: int) -> Sessions:
    positions = sessions.positions
    if positions is None:
        if not len(sessions) or sessions.lengths.max() <= max_positions:
            return sessions
        return _keep(sessions, ranks(sessions) <= max_positions)
    at = _first(positions < 1)
    if at is not None:
        raise UserError(f"{sessions.where(at)}: position {positions[at]} on a valid rank; positions count from 1")
    keep = positions <= max_positions
    return sessions if keep.all() else _keep(sessions, keep)


def _sort(sessions: Sessions) -> tuple[Sessions, int]:
    if sessions.positions is None:
        return sessions, 0
    rising = sessions.positions[1:] > sessions.positions[:-1]
    starts = sessions.offsets[1:-1]
    rising[starts[(starts > 0) & (starts < sessions.num_documents)] - 1] = True  # between two sessions anything goes
    if rising.all():
        return replace(sessions, positions=sessions.positions.astype(np.int32, copy=False)), 0
    owner = np.repeat(np.arange(len(sessions)), sessions.lengths)
    order = np.lexsort((sessions.positions, owner))
    unsorted = len(np.unique(owner[1:][~rising]))
    sessions = sessions.pick(order)
    positions = sessions.positions
    assert positions is not None
    at = _first((positions[1:] == positions[:-1]) & (owner[1:] == owner[:-1]))
    if at is not None:
        raise UserError(
            f"{sessions.where(at)}: position {positions[at]} is given twice; a session shows one document per rank"
        )
    return replace(sessions, positions=positions.astype(np.int32, copy=False)), unsorted


def _clean_ids(sessions: Sessions, rules: Rules) -> tuple[Sessions, int]:
    ids = sessions.pair_ids
    if ids is None or not len(ids):
        return sessions, 0
    if rules.zero_based:
        ids = ids.astype(np.int64) + 1
    low, high = int(ids.min()), int(ids.max())
    if low < rules.zero_based:
        at = int(np.argmin(ids))
        raise UserError(f"{sessions.where(at)}: id {low - rules.zero_based} is negative; ids count from 1")
    if low == 0:
        at = int(np.argmin(ids))
        raise UserError(
            f"{sessions.where(at)}: id 0 on a valid rank, but 0 means padding and ids count from 1; "
            "if the ids start at 0, say so with zero_based (--zero-based)"
        )
    if high > rules.num_pairs:
        if rules.unknown_id is None or not rules.clip_to_unknown:
            at = int(np.argmax(ids > rules.num_pairs))
            raise UserError(
                f"{sessions.where(at)}: id {ids[at]} is beyond the table of {rules.num_pairs} pairs; "
                "fit with a larger num_pairs, or with clip_to_unknown (--clip-to-unknown)"
            )
        ids = np.where(ids > rules.num_pairs, rules.unknown_id, ids)
    unknown = 0
    if rules.unknown_id is not None and high >= rules.unknown_id:
        unknown = int(np.count_nonzero(ids == rules.unknown_id))
    return replace(sessions, pair_ids=ids.astype(np.int32, copy=False)), unknown
