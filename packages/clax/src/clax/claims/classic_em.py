"""EM the classic way: a Python loop over sessions and ranks, as the field's reference implementations do it.

What "EM is slow" was measured on. It keeps lists of floats instead of objects found by name, so it is leaner than
those. One iteration agrees with :func:`clax.em.fit_em`.
"""

from __future__ import annotations

from collections.abc import Callable

from clax.batch import Batch

__all__ = ["CLASSIC", "Sessions", "Tables", "sessions", "start"]

Tables = dict[str, list[float]]
"""Probabilities by parameter and row."""
Sessions = list[tuple[list[int], list[int], list[bool]]]


class _Counts:
    """Successes and trials of every row, with one pseudo-count on each side."""

    def __init__(self, tables: Tables) -> None:
        self.events = {name: [1.0] * len(rows) for name, rows in tables.items()}
        self.trials = {name: [2.0] * len(rows) for name, rows in tables.items()}

    def add(self, name: str, row: int, event: float, trial: float = 1.0) -> None:
        self.events[name][row] += event
        self.trials[name][row] += trial

    def shares(self) -> Tables:
        """The next probabilities."""
        return {
            name: [e / t for e, t in zip(events, self.trials[name], strict=True)]
            for name, events in self.events.items()
        }


def start(sizes: dict[str, int]) -> Tables:
    """One half everywhere."""
    return {name: [0.5] * size for name, size in sizes.items()}


def sessions(log: Batch) -> Sessions:
    """Full lists as Python lists: pairs, positions, clicks."""
    return list(zip(log.pair_ids.tolist(), log.positions.tolist(), log.clicks.tolist(), strict=True))


def _pbm(tables: Tables, log: Sessions) -> Tables:
    return _examination(tables, log, lambda position, _: position)


def _ubm(tables: Tables, log: Sessions) -> Tables:
    width = len(log[0][0]) + 1
    return _examination(tables, log, lambda position, last: position * width + last)


def _examination(tables: Tables, log: Sessions, row: Callable[[int, int], int]) -> Tables:
    counts = _Counts(tables)
    attraction, examination = tables["attraction"], tables["examination"]
    for pairs, positions, clicks in log:
        last = 0
        for pair, position, click in zip(pairs, positions, clicks, strict=True):
            a, place = attraction[pair], row(position, last)
            t = examination[place]
            counts.add("attraction", pair, 1.0 if click else a * (1 - t) / (1 - a * t))
            counts.add("examination", place, 1.0 if click else t * (1 - a) / (1 - a * t))
            last = position if click else last
    return counts.shares()


def _dbn(tables: Tables, log: Sessions) -> Tables:
    """A backward and a forward pass over each session; what is drawn after the last rank cannot be seen."""
    counts = _Counts(tables)
    attraction, satisfaction, g = tables["attraction"], tables["satisfaction"], tables["continuation"][0]
    for pairs, _, clicks in log:
        after = _backward(tables, pairs, clicks)
        examined, left, final = 1.0, 0.0, len(pairs) - 1
        for rank, (pair, click) in enumerate(zip(pairs, clicks, strict=True)):
            a, s = attraction[pair], satisfaction[pair]
            here, none = after[rank]
            share = examined * here / (examined * here + left * none)
            on, off = after[rank + 1]
            if click:
                counts.add("attraction", pair, 1.0)
                if rank < final:
                    total = s * off + (1 - s) * (g * on + (1 - g) * off)
                    counts.add("satisfaction", pair, s * off / total)
                    counts.add("continuation", 0, (1 - s) * g * on / total, 1 - s * off / total)
                examined, left = examined * a * g * (1 - s), examined * a * (1 - g * (1 - s))
            else:
                counts.add("attraction", pair, 0.0, share)
                if rank < final:
                    counts.add("continuation", 0, share * g * on / (g * on + (1 - g) * off), share)
                examined, left = examined * (1 - a) * g, left + examined * (1 - a) * (1 - g)
    return counts.shares()


def _backward(tables: Tables, pairs: list[int], clicks: list[bool]) -> list[tuple[float, float]]:
    """By rank: the probability of the clicks from there on if it is examined, and whether there is none."""
    after = [(1.0, 1.0)] * (len(pairs) + 1)
    g = tables["continuation"][0]
    for rank in range(len(pairs) - 1, -1, -1):
        a, s = tables["attraction"][pairs[rank]], tables["satisfaction"][pairs[rank]]
        on, off = after[rank + 1]
        goes_on = g * (1 - s) if clicks[rank] else g
        chance = a if clicks[rank] else 1 - a
        after[rank] = (chance * (goes_on * on + (1 - goes_on) * off), 0.0 if clicks[rank] else off)
    return after


CLASSIC: dict[str, Callable[[Tables, Sessions], Tables]] = {"pbm": _pbm, "ubm": _ubm, "dbn": _dbn}
"""One iteration by model."""
