"""Preference for one's own kind, averaged over judges, with resamples over topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from rerank_judge.bootstrap import topic_weights
from rerank_judge.collection import Collection, FloatArray
from rerank_judge.families import Families
from rerank_judge.holes import Holes, condense, on_judged
from rerank_judge.labeling import LabelSet, human_labels
from rerank_judge.leaderboard import leaderboard

__all__ = ["Centred", "centred", "passed_on"]

_DRAWS = 1000
METRIC = "AP@100"


@dataclass(frozen=True, eq=False)
class Centred:
    """Centred differences of judges on systems, as they are and resampled.

    Attributes:
        values: c(j, s) on all topics in the first row, on each resample of the topics in the others, [1 + B, J, S].
        judges: family of each judge, [J].
        systems: family of each system, None for one without, [S].
        own: place of each judge's own system, None where it is not there, [J].
    """

    values: Float64[FloatArray, "draws judges systems"]
    judges: tuple[str | None, ...]
    systems: tuple[str | None, ...]
    own: tuple[int | None, ...]

    def self_preference(self, *, beyond_others: bool = False) -> Float64[FloatArray, " draws"]:
        """Mean of c over each judge's own system, [1 + B]; see :meth:`family_preference`."""
        return self._mean([(j, s) for j, s in enumerate(self.own) if s is not None], beyond_others)

    def family_preference(self, *, beyond_others: bool = False) -> Float64[FloatArray, " draws"]:
        """Mean of c over each judge's family's other systems, averaged over the judges, [1 + B].

        Args:
            beyond_others: less what judges of other families give the same systems, so that a system that any
                imperfect judge overrates counts for nothing.
        """
        return self._mean([(j, s) for j, s in self._kin() if s != self.own[j]], beyond_others)

    def cross(self, judge: str, system: str) -> Float64[FloatArray, " draws"]:
        """B[F, G]: mean of c over a family's judges and another's systems, [1 + B]."""
        rows, columns = self._of(self.judges, judge), self._of(self.systems, system)
        return np.asarray(self.values[:, rows][:, :, columns].mean(axis=(1, 2)), dtype=np.float64)

    def share_positive(self) -> tuple[int, int, int]:
        """Judges that favour their own system, that favour their family's others, and all that have both."""
        own = [self.values[0, j, s] > 0 for j, s in enumerate(self.own) if s is not None]
        family = [np.mean([self.values[0, j, s] for s in kin]) > 0 for j, kin in self._siblings().items()]
        return sum(map(int, own)), sum(map(int, family)), len(family)

    def _kin(self) -> list[tuple[int, int]]:
        return [
            (j, s)
            for j, family in enumerate(self.judges)
            for s, other in enumerate(self.systems)
            if family is not None and family == other
        ]

    def _siblings(self) -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        for j, s in self._kin():
            if s != self.own[j]:
                found.setdefault(j, []).append(s)
        return found

    def _mean(self, pairs: Sequence[tuple[int, int]], beyond_others: bool) -> FloatArray:
        """Mean over judges of the mean over their systems, [1 + B]."""
        by_judge: dict[int, list[FloatArray]] = {}
        for j, s in pairs:
            value = self.values[:, j, s]
            if beyond_others:
                strangers = [k for k, family in enumerate(self.judges) if family != self.judges[j]]
                value = value - self.values[:, strangers, s].mean(axis=1)
            by_judge.setdefault(j, []).append(value)
        return np.asarray(np.mean([np.mean(values, axis=0) for values in by_judge.values()], axis=0), dtype=np.float64)

    @staticmethod
    def _of(families: Sequence[str | None], wanted: str) -> list[int]:
        return [i for i, family in enumerate(families) if family == wanted]


def centred(
    collection: Collection, labels: Sequence[LabelSet], families: Families, seed: int, holes: Holes = "raw"
) -> Centred:
    """Centred differences in AP@100 of judges on a collection's systems, with resamples of the topics."""
    lists = condense(collection) if holes == "condensed" else collection
    human = leaderboard(lists, human_labels(lists), [METRIC]).values[:, :, 0]
    judged = np.stack([leaderboard(lists, on_judged(lists, one), [METRIC]).values[:, :, 0] for one in labels])
    difference = judged - human
    difference -= difference.mean(axis=1, keepdims=True)
    topics = difference.shape[2]
    weights = np.concatenate([np.ones((1, topics)), topic_weights(topics, _DRAWS, seed)]) / topics
    return Centred(
        values=np.einsum("bt,jst->bjs", weights, difference),
        judges=tuple(families.of(one.name) for one in labels),
        systems=tuple(families.of(system) for system in collection.systems),
        own=tuple(families.own_system(one.name, collection.systems) for one in labels),
    )


def passed_on(found: Centred, order: Mapping[str, str]) -> Centred:
    """The same with every system given to another family, and every judge given a system of its new kind as its own."""
    systems = tuple(None if family is None else order[family] for family in found.systems)
    own: list[int | None] = []
    seen: dict[str | None, int] = {}
    for family in found.judges:
        kin = [s for s, other in enumerate(systems) if family is not None and other == family]
        place = seen.get(family, 0)
        seen[family] = place + 1
        own.append(kin[place % len(kin)] if kin else None)
    return Centred(found.values, found.judges, systems, tuple(own))
