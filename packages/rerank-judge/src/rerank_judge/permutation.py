"""Would any other assignment of systems to families favour the judges' families as much? A permutation test.

Family labels are exchanged among the systems that have one; systems without a family, such as the first stage, keep
out of it. The figure of an assignment is the mean over judges of the judge's centred difference on the systems of its
family, once with the judge's own system and once without.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from rerank_judge.collection import FloatArray, IntArray

__all__ = ["FamilyTest", "assignments", "family_test"]

_EXACT_LIMIT = 20_000
_SAMPLED = 10_000
_SLACK = 1e-12


@dataclass(frozen=True)
class FamilyTest:
    """A permutation test of family preference.

    Attributes:
        statistic: mean over judges of the centred difference on their own family's systems.
        p_value: share of the assignments whose statistic is at least as large, the observed one counted in.
        n: assignments looked at.
        exact: whether these are all there are, rather than a sample.
        own: whether each judge's own system counts for its family.
    """

    statistic: float
    p_value: float
    n: int
    exact: bool
    own: bool


def family_test(
    centred: Float64[FloatArray, "judges systems"],
    judges: Sequence[str | None],
    systems: Sequence[str | None],
    own: Sequence[int | None],
    *,
    with_own: bool,
    seed: int = 0,
) -> FamilyTest | None:
    """Tests whether judges favour their families' systems more than an exchange of labels would let them.

    Args:
        centred: centred difference of each judge on each system, [J, S].
        judges: the judges' families, None for one without, [J].
        systems: the systems' families, None for a baseline, [S].
        own: place of each judge's own system, None where it is not there, [J].
        with_own: whether own systems count for their judges' families.
        seed: seed of the sample, where there are too many assignments to look at all.

    Returns:
        The test; None where no judge has a system of its family, or all systems are of one.
    """
    placed = [s for s, family in enumerate(systems) if family is not None]
    names = sorted({family for family in systems if family is not None})
    code = {family: i for i, family in enumerate(names)}
    observed = np.array([code[systems[s] or ""] for s in placed], dtype=np.int64)
    taking_part = [j for j, family in enumerate(judges) if family in code]
    if len(names) < 2 or not taking_part:
        return None
    labels, exact = assignments(observed, seed)
    total, counted = np.zeros(len(labels)), np.zeros(len(labels))
    for j in taking_part:
        same = labels == code[judges[j] or ""]
        if not with_own:
            same &= np.array([s != own[j] for s in placed])
        size = same.sum(axis=1)
        total += np.where(size > 0, same @ centred[j, placed] / np.maximum(size, 1), 0.0)
        counted += size > 0
    values = np.where(counted > 0, total / np.maximum(counted, 1), np.nan)
    if not counted[0]:
        return None
    # The first row is the observed assignment; undefined ones cannot reach it.
    reached = int((values >= values[0] - _SLACK).sum())
    return FamilyTest(float(values[0]), reached / len(labels), len(labels), exact, with_own)


def assignments(
    observed: Int64[IntArray, " systems"], seed: int
) -> tuple[Int64[IntArray, "assignments systems"], bool]:
    """Assignments of the same labels to the same systems, the observed one first, [n, S]; and whether all are there."""
    counts = Counter(observed.tolist())
    total = math.factorial(len(observed)) // math.prod(math.factorial(count) for count in counts.values())
    if total <= _EXACT_LIMIT:
        every = np.array([row for row in _arrange(counts, len(observed)) if row != observed.tolist()], dtype=np.int64)
        return np.concatenate([observed[None], every.reshape(-1, len(observed))]), True
    rng = np.random.default_rng(seed)
    drawn = rng.permuted(np.tile(observed, (_SAMPLED, 1)), axis=1)
    return np.concatenate([observed[None], drawn]), False


def _arrange(counts: Counter[int], left: int) -> Iterator[list[int]]:
    if not left:
        yield []
        return
    for label in sorted(counts):
        if counts[label]:
            counts[label] -= 1
            for rest in _arrange(counts, left - 1):
                yield [label, *rest]
            counts[label] += 1
