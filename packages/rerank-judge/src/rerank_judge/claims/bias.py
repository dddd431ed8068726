"""Claims on bias: judges favour their own and their family's rankings, and families judge each other alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from ir_shared.claims import Context, Measurement

from rerank_judge.bootstrap import percentile_interval
from rerank_judge.claims.plots import plot_matrix
from rerank_judge.claims.preference import Centred, centred, passed_on
from rerank_judge.claims.published import PAPER_FAMILIES, YEARS, bias_labels, reranker_runs, year
from rerank_judge.claims.tiny_rerankers import KINDS, tiny_world
from rerank_judge.collection import FloatArray
from rerank_judge.judged_pool import judged_pool
from rerank_judge.labeling import ScoreSet

__all__ = [
    "paper_preference",
    "paper_preference_passed_on",
    "paper_push",
    "paper_push_passed_on",
    "pool_preference",
    "pool_preference_passed_on",
    "pool_push",
    "pool_push_passed_on",
    "tiny_family",
    "tiny_family_passed_on",
    "tiny_self",
    "tiny_self_passed_on",
]

_POOL = "each published re-ranker ranks the judged passages of DL22 and DL23: no BM25, no holes (real)"
_PAPER = "BM25's top 1000 re-ranked by the eight models, DL19 to DL23 (real)"
_TINY = "tiny T5, Llama and BERT re-rankers trained from scratch on topics of synthetic words (synthetic)"


def pool_preference(context: Context) -> Measurement:
    """The smaller of the mean self- and the mean family-preference of the eight judges, averaged over DL22 and DL23."""
    return _preference(context, _pool(context), _POOL)


def pool_preference_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _preference(context, _next_family(_pool(context)), _POOL)


def pool_push(context: Context) -> Measurement:
    """The larger of the mean centred differences of Rank1's systems under monoT5's and under RankLLaMA's judges."""
    return _push(context, _pool(context), _POOL)


def pool_push_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _push(context, _next_family(_pool(context)), _POOL)


def paper_preference(context: Context) -> Measurement:
    """As :func:`pool_preference`, in the paper's own setting."""
    return _preference(context, _paper(context), _PAPER)


def paper_preference_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _preference(context, _next_family(_paper(context)), _PAPER)


def paper_push(context: Context) -> Measurement:
    """As :func:`pool_push`, in the paper's own setting."""
    return _push(context, _paper(context), _PAPER)


def paper_push_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _push(context, _next_family(_paper(context)), _PAPER)


def tiny_self(context: Context) -> Measurement:
    """The mean self-preference of six tiny judges, beyond what judges of other families give the same systems.

    They are the yardstick because any imperfect judge promotes poor systems and demotes good ones.
    """
    return _tiny(context, "self", _tiny_world(context))


def tiny_self_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _tiny(context, "self", _tiny_passed_on(context))


def tiny_family(context: Context) -> Measurement:
    """The mean family-preference of the same judges, own systems left out, with the same yardstick."""
    return _tiny(context, "family", _tiny_world(context))


def tiny_family_passed_on(context: Context) -> Measurement:
    """The same with each family's systems given to the next family."""
    return _tiny(context, "family", _tiny_passed_on(context))


def _tiny_world(context: Context) -> Centred:
    world = tiny_world(context.seed)
    return centred(world.collection, world.labels, world.families, context.seed)


def _tiny_passed_on(context: Context) -> Centred:
    names = list(KINDS)
    return passed_on(_tiny_world(context), dict(zip(names, [*names[1:], names[0]], strict=True)))


def _tiny(context: Context, which: Literal["self", "family"], found: Centred) -> Measurement:
    own = float(found.self_preference(beyond_others=True)[0])
    family = float(found.family_preference(beyond_others=True)[0])
    details = {"self, beyond other families' judges": own, "family, beyond other families' judges": family}
    details |= {"self": float(found.self_preference()[0]), "family": float(found.family_preference()[0])}
    figures = plot_matrix(context.folder, list(KINDS), _matrix([found], list(KINDS)))
    return Measurement(own if which == "self" else family, _TINY, details=details, figures=figures)


def _pool(context: Context) -> list[Centred]:
    found = []
    for name in YEARS:
        judged = year(context, name)
        scores = [known for known in judged.judges.values() if isinstance(known, ScoreSet)]
        pool = judged_pool(judged.collection, scores)
        found.append(centred(pool, bias_labels(judged), PAPER_FAMILIES, context.seed))
    return found


def _paper(context: Context) -> list[Centred]:
    return [
        centred(collection, bias_labels(judged), PAPER_FAMILIES, context.seed)
        for judged, collection in reranker_runs(context)
    ]


def _next_family(found: Sequence[Centred]) -> list[Centred]:
    names = list(PAPER_FAMILIES.members)
    order = dict(zip(names, [*names[1:], names[0]], strict=True))
    return [passed_on(one, order) for one in found]


def _preference(context: Context, found: Sequence[Centred], data: str) -> Measurement:
    own = np.mean([one.self_preference() for one in found], axis=0)
    family = np.mean([one.family_preference() for one in found], axis=0)
    smaller = np.minimum(own, family)
    counts = np.sum([one.share_positive() for one in found], axis=0).tolist()
    beyond = np.mean([one.family_preference(beyond_others=True) for one in found], axis=0)
    details: dict[str, object] = {
        "self": float(own[0]),
        "family": float(family[0]),
        "family, beyond other families' judges": float(beyond[0]),
        "judges and years that favour their own system": f"{counts[0]} of {counts[2]}",
        "judges and years that favour their family's others": f"{counts[1]} of {counts[2]}",
    }
    names = list(PAPER_FAMILIES.members)
    figures = plot_matrix(context.folder, names, _matrix(found, names))
    return Measurement(float(smaller[0]), data, _ends(smaller[1:]), details, figures)


def _push(context: Context, found: Sequence[Centred], data: str) -> Measurement:
    names = list(PAPER_FAMILIES.members)

    def effect(judge: str, system: str) -> FloatArray:
        return np.asarray(np.mean([one.cross(judge, system) for one in found], axis=0), dtype=np.float64)

    larger = np.maximum(effect("monoT5", "Rank1"), effect("RankLLaMA", "Rank1"))
    details: dict[str, object] = {}
    for judge in names:
        for system in names:
            drawn = effect(judge, system)
            low, high = _ends(drawn[1:])
            details[f"{judge} judges, {system} systems"] = f"{drawn[0]:+.3f} [{low:+.3f}, {high:+.3f}]"
    figures = plot_matrix(context.folder, names, _matrix(found, names))
    return Measurement(float(larger[0]), data, _ends(larger[1:]), details, figures)


def _matrix(found: Sequence[Centred], names: Sequence[str]) -> list[list[float]]:
    return [[float(np.mean([one.cross(j, s)[0] for one in found])) for s in names] for j in names]


def _ends(values: FloatArray) -> tuple[float, float]:
    interval = percentile_interval(values)
    return interval.low, interval.high
