"""How judges favour systems: their own, their family's, and others'.

With M_h(s) and M_j(s) a system's mean by human and by judge labels, the difference is D(j, s) = M_j(s) - M_h(s). Its
mean over the systems is the judge's *leniency*; what remains, c(j, s) = D(j, s) - leniency(j), says whom it favours:

* self(j) = c(j, own system of j);
* family(j) = mean c over the systems of j's family without its own;
* cross(j, G) = mean c over the systems of group G, and B[F, G] the mean of that over the judges of family F.

c sums to 0 over the systems: favour for some is disfavour for the others. All of these are linear in the topics, so a
bootstrap over topics is one matrix product. A judge whose labels are a threshold on the scores by which its own system
ranks gives that system the best ordering there can be: self(j) > 0 is then no more than to be expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from ir_shared.console import UserError
from jaxtyping import Float64, Int64

from rerank_judge.bias_estimates import Differences, Estimate
from rerank_judge.collection import Collection, FloatArray, IntArray, require_ordering
from rerank_judge.families import Families
from rerank_judge.holes import Holes, condense, fill_holes, judged_shares, on_judged
from rerank_judge.labeling import LabelSet, human_labels
from rerank_judge.leaderboard import Board, BoardOptions, leaderboard
from rerank_judge.metrics import Metric
from rerank_judge.ordering import rho, tau_b
from rerank_judge.permutation import FamilyTest, family_test
from rerank_judge.plateau import TOLERANCE

__all__ = ["BiasReport", "JudgeBias", "bias_from_boards", "bias_report", "displacement"]


@dataclass(frozen=True)
class JudgeBias:
    """One judge's bias.

    Attributes:
        judge: the judge.
        family: its family, None where it has none.
        own: its own system, None where it is not among the systems.
        leniency: mean difference over all systems.
        own_preference: self(j); None without an own system.
        family_preference: family(j); None without another system of its family.
        cross: cross(j, G) by group; that of its own family includes its own system.
        centred: c(j, s) by system.
        displacement: rank by humans minus rank by the judge, by system; positive for promoted.
        own_rank: its own system's rank by humans and by the judge; None without one.
        tau: Kendall's tau-b between both orderings of the systems.
        rho: Spearman's rho.
    """

    judge: str
    family: str | None
    own: str | None
    leniency: Estimate
    own_preference: Estimate | None
    family_preference: Estimate | None
    cross: dict[str, Estimate]
    centred: dict[str, Estimate]
    displacement: dict[str, int]
    own_rank: tuple[int, int] | None
    tau: float
    rho: float


@dataclass(frozen=True)
class BiasReport:
    """The bias of all judges.

    Attributes:
        metric: the metric.
        holes: what became of unjudged documents.
        n_topics: topics.
        groups: names of the systems by family, those without one last.
        human: mean by human labels by system; with the first judge's labels where it fills the holes.
        judged: judged@10 and judged@100 by humans, by system, in the lists as they are; None if unknown.
        judges: the judges.
        own_preference: mean of self(j) over the judges; None where no judge has an own system.
        family_preference: mean of family(j).
        matrix: B[F, G] by judge family and system group; a judge without a family is a row of its own.
        tests: permutation tests of the families, with own systems and without.
    """

    metric: str
    holes: Holes
    n_topics: int
    groups: dict[str, tuple[str, ...]]
    human: dict[str, float]
    judged: dict[str, tuple[float, ...]] | None
    judges: tuple[JudgeBias, ...]
    own_preference: Estimate | None
    family_preference: Estimate | None
    matrix: dict[str, dict[str, Estimate]]
    tests: tuple[FamilyTest, ...]

    @property
    def self_judging(self) -> tuple[str, ...]:
        """Judges whose own system is among the systems."""
        return tuple(judge.judge for judge in self.judges if judge.own is not None)

    def to_json(self) -> dict[str, Any]:
        """All fields, and the judges that judge themselves."""
        return {**vars(self), "self_judging": self.self_judging}


def bias_report(
    collection: Collection,
    judges: Sequence[LabelSet],
    families: Families,
    metric: str | Metric = "AP@100",
    *,
    holes: Holes = "raw",
    n_boot: int = 1000,
    seed: int = 0,
    **board: Unpack[BoardOptions],
) -> BiasReport:
    """Measures the bias of judges on the systems of a collection.

    Args:
        collection: pairs and runs; with ``extra_pairs`` for ``holes="filled"``, and deeper lists than the metric looks
            at for ``holes="condensed"``.
        judges: the judges' labels; those of pairs that no human judged count only where they fill holes.
        families: which judges and systems belong together.
        metric: a metric's name.
        holes: what becomes of documents that no human judged.
        n_boot: resamples of topics for the intervals; 0 for none.
        seed: seed of the resamples.
        board: the options of a leaderboard; ``missing_topics`` must be "zero".

    Raises:
        UserError: fewer than three systems, or a judge that can fill no hole.
    """
    require_ordering(collection.systems)
    lists = condense(collection) if holes == "condensed" else collection
    sides = [_sides(lists, labels, holes) for labels in judges]
    humans = [leaderboard(lists, human, [metric], **board) for human, _ in sides]
    boards = [leaderboard(lists, labels, [metric], **board) for _, labels in sides]
    shares = judged_shares(collection)
    return bias_from_boards(humans, boards, families, judged=shares, holes=holes, n_boot=n_boot, seed=seed)


def bias_from_boards(
    human: Board | Sequence[Board],
    judges: Sequence[Board],
    families: Families,
    *,
    judged: Float64[FloatArray, "systems 2"] | None = None,
    holes: Holes = "raw",
    n_boot: int = 1000,
    seed: int = 0,
) -> BiasReport:
    """The same from leaderboards of one metric.

    Args:
        human: the human leaderboard, or one for each judge.
        judges: the judges' leaderboards of the same systems and topics.
        families: which judges and systems belong together.
        judged: judged@10 and judged@100 of each system, [S, 2].
        holes: what became of unjudged documents.
        n_boot: resamples of topics; 0 for none.
        seed: seed of the resamples.

    Raises:
        UserError: there is no judge, the leaderboards do not fit, or a topic is missing and was skipped.
    """
    humans = [human] * len(judges) if isinstance(human, Board) else list(human)
    _check(humans, judges)
    systems = judges[0].systems
    differences = Differences.of(_subtract(humans, judges), judged, n_boot, seed)
    cast = [_Judge.find(board.judge, families, systems) for board in judges]
    groups = families.groups(systems)
    found = [_judge_bias(differences, j, who, groups, humans[j], judges[j]) for j, who in enumerate(cast)]
    rows: dict[str, list[int]] = {}
    for j, who in enumerate(cast):
        rows.setdefault(who.family or who.name, []).append(j)
    return BiasReport(
        metric=judges[0].metrics[0],
        holes=holes,
        n_topics=len(judges[0].topics),
        groups={group: tuple(systems[s] for s in places) for group, places in groups.items()},
        human=dict(zip(systems, humans[0].means[:, 0].tolist(), strict=True)),
        judged=None if judged is None else {s: tuple(row) for s, row in zip(systems, judged.tolist(), strict=True)},
        judges=tuple(found),
        own_preference=differences.mean([(j, [who.own]) for j, who in enumerate(cast) if who.own is not None]),
        family_preference=differences.mean([(j, who.siblings) for j, who in enumerate(cast) if who.siblings]),
        matrix={
            row: {group: _given(differences.mean([(j, places) for j in js])) for group, places in groups.items()}
            for row, js in rows.items()
        },
        tests=_tests(differences.centred.mean(axis=2), cast, [families.of(system) for system in systems], seed),
    )


def displacement(
    human: Float64[FloatArray, " systems"], judge: Float64[FloatArray, " systems"]
) -> Int64[IntArray, " systems"]:
    """Rank by humans minus rank by the judge, a rank being 1 + the number of better systems, [S]; positive: promoted.

    Means within 1e-12 of each other share a rank. Means [S] each.
    """
    return _ranks(human) - _ranks(judge)


@dataclass(frozen=True)
class _Judge:
    """A judge with its family, and the places of its own system and of its family's others."""

    name: str
    family: str | None
    own: int | None
    siblings: list[int]

    @classmethod
    def find(cls, name: str, families: Families, systems: Sequence[str]) -> _Judge:
        family, own = families.of(name), families.own_system(name, systems)
        places = [s for s, system in enumerate(systems) if family is not None and families.of(system) == family]
        return cls(name, family, own, [s for s in places if s != own])


def _judge_bias(
    differences: Differences, j: int, who: _Judge, groups: dict[str, list[int]], human: Board, judge: Board
) -> JudgeBias:
    systems, reference, means = judge.systems, human.means[:, 0], judge.means[:, 0]
    moved = displacement(reference, means).tolist()
    own = who.own
    return JudgeBias(
        judge=who.name,
        family=who.family,
        own=None if own is None else systems[own],
        leniency=differences.mean_leniency(j),
        own_preference=None if own is None else differences.mean([(j, [own])]),
        family_preference=differences.mean([(j, who.siblings)] if who.siblings else []),
        cross={group: _given(differences.mean([(j, places)])) for group, places in groups.items()},
        centred=dict(zip(systems, differences.each(j), strict=True)),
        displacement=dict(zip(systems, moved, strict=True)),
        own_rank=None if own is None else (int(_ranks(reference)[own]), int(_ranks(means)[own])),
        tau=tau_b(reference, means)[0],
        rho=rho(reference, means)[0],
    )


def _tests(
    centred: FloatArray, cast: Sequence[_Judge], systems: Sequence[str | None], seed: int
) -> tuple[FamilyTest, ...]:
    kinds, owns = [who.family for who in cast], [who.own for who in cast]
    tests = [family_test(centred, kinds, systems, owns, with_own=own, seed=seed) for own in (True, False)]
    return tuple(test for test in tests if test is not None)


def _sides(collection: Collection, labels: LabelSet, holes: Holes) -> tuple[LabelSet, LabelSet]:
    """The labels of both sides; only filled holes bring in pairs that no human judged."""
    return (
        fill_holes(collection, labels)
        if holes == "filled"
        else (human_labels(collection), on_judged(collection, labels))
    )


def _check(humans: Sequence[Board], judges: Sequence[Board]) -> None:
    if not judges:
        raise UserError("bias needs at least one judge")
    if len(humans) != len(judges):
        raise UserError(f"{len(humans)} human leaderboards for {len(judges)} judges: give one, or one for each judge")
    for board in (*humans, *judges):
        if (board.systems, board.topics) != (judges[0].systems, judges[0].topics):
            raise UserError(f"{board.judge} and {judges[0].judge}: different systems or topics; evaluate the same runs")
        if len(board.metrics) != 1 or board.metrics != judges[0].metrics:
            raise UserError("bias is measured in one metric, the same for humans and judges")


def _subtract(humans: Sequence[Board], judges: Sequence[Board]) -> FloatArray:
    """Judge minus human, [J, S, T]."""
    values = np.stack(
        [judge.values[:, :, 0] - human.values[:, :, 0] for human, judge in zip(humans, judges, strict=True)]
    )
    if np.isnan(values).any():
        raise UserError('bias needs every system on every topic; use missing_topics="zero"')
    return values


def _given(estimate: Estimate | None) -> Estimate:
    assert estimate is not None, "a group has systems"
    return estimate


def _ranks(means: FloatArray) -> IntArray:
    return np.asarray(1 + (means[None, :] > means[:, None] + TOLERANCE).sum(axis=1), dtype=np.int64)
